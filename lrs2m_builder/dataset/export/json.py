"""JSON as in the paper: one record per image with both texts and their sources.

DEST/records.json     a list, or records.jsonl: one object per line
DEST/images/...       the images, unless embedded (base64) or only referenced
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lrs2m_builder.dataset.export._base import ImageChoice, ImageFiles, Options, columns, image_bytes, json_text

IMAGES: tuple[ImageChoice, ...] = ("copy", "reference", "embed")


def write(rows: Iterator[dict[str, Any]], folder: Path, options: Options) -> None:
    """Write the records as a stream (see `ExportFormat.write`)."""
    images = ImageFiles(folder, options)
    records = (_record(row, images, options) for row in rows)
    write_json_list(records, folder / "records.json", lines=options.lines)


def _record(row: Mapping[str, Any], images: ImageFiles, options: Options) -> dict[str, Any]:
    record = {"image": images.place(row), **columns(row, options.text)}
    if options.images == "embed":
        record["image_base64"] = base64.b64encode(image_bytes(row)).decode("ascii")
    return record


def write_json_list(entries: Iterator[dict[str, Any]], path: Path, *, lines: bool = False) -> None:
    """Write objects as a JSON list with one object per line, or as JSON lines with the suffix .jsonl."""
    start, between, end = ("", "\n", "\n") if lines else ("[\n", ",\n", "\n]\n")
    with path.with_suffix(".jsonl" if lines else ".json").open("w", encoding="utf-8") as file:
        file.write(start)
        for number, entry in enumerate(entries):
            file.write(between if number else "")
            file.write(json_text(entry))
        file.write(end)
