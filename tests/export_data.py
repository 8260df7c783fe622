"""Rows made by hand, and what an export of them holds."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA
from lrs2m_builder.dataset.export._base import Options
from lrs2m_builder.dataset.export._run import ExportReport, export
from lrs2m_builder.dataset.selection import Filters


def write_rows(path: Path, rows: list[dict[str, Any]], row_group_size: int = 7) -> None:
    """A Parquet file of records; what a row does not say is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=RECORD_SCHEMA), path, row_group_size=row_group_size)


def png(color: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), color).save(file, "PNG")
    return file.getvalue()


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "sample_id": f"a/{number}",
        "subset": "a",
        "image": {"bytes": png((number, 0, 0)), "path": f"{number}.png"},
        "caption_short": f"short {number}",
        "caption_long": f"a long text of number {number}",
        "num_tokens_long": number,
        "num_tokens_short": 4,
    } | changes


def run(data: Path, to: str, dest: Path, **options: Any) -> ExportReport:
    filters = options.pop("filters", Filters())
    images = options.pop("images", None)
    return export(data, to, dest, filters, Options(**options), images)


def records(dest: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((dest / "records.json").read_text())
    return found


def exported_ids(data: Path, dest: Path, **filters: Any) -> list[str]:
    run(data, "json", dest, images="reference", filters=Filters(**filters))
    return [record["sample_id"] for record in records(dest)]
