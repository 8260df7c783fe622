"""Toy shards for training: coloured squares whose texts name the colour."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOURS = ("red", "green", "blue", "white", "grey", "yellow", "brown", "black")


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 32), (number * 37 % 256, number * 61 % 256, number % 256)).save(buffer, format="PNG")
    return buffer.getvalue()


def make_rows(num_rows: int, *, subset: str = "toy", unreadable: Iterable[int] = ()) -> list[dict[str, Any]]:
    """Rows with a short text of one sentence and a long one of two to nine."""
    rows = []
    for number in range(num_rows):
        short = f"A {COLOURS[number % 8]} field with the number {number}."
        data = b"no image" if number in set(unreadable) else png(number)
        long = " ".join([short, *["It lies flat beside a road and a row of trees."] * (1 + number % 8)])
        image = {"bytes": data, "path": f"{number}.png"}
        rows.append({"image": image, "caption_short": short, "caption_long": long, "subset": subset})
    return rows


def write_table(path: Path, rows: list[dict[str, Any]], rows_per_group: int = 8) -> Path:
    """Write the rows as Parquet; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=rows_per_group)
    return path


def make_data(folder: Path, num_rows: int = 64, **changes: Any) -> Path:
    """A folder of two files with rows_per_group 8; returns the folder."""
    rows = make_rows(num_rows, **changes)
    write_table(folder / "data" / "toy" / "train-00000.parquet", rows[: num_rows // 2])
    write_table(folder / "data" / "toy" / "train-00001.parquet", rows[num_rows // 2 :])
    return folder
