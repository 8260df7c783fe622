"""The table that open_clip trains from (`--dataset-type csv`): TAB-separated, one line per text.

    DEST/train.csv        filepath, title, text ("long" or "short"), sample_id, and the columns of a place; the
                          footprint as WKT, its bounding box as JSON
    DEST/images/...       the images, unless only referenced

open_clip opens the paths unchanged, so start it in DEST, or give the location of the images with --image-prefix.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.dataset.export._base import PLACE_NAMES, ImageChoice, ImageFiles, Options, every_text, place_values
from lrs2m_builder.images.outlines import to_wkt

IMAGES: tuple[ImageChoice, ...] = ("copy", "reference")


def write(rows: Iterator[dict[str, Any]], folder: Path, options: Options) -> None:
    """Write one line per text, all texts of a row after each other (see `ExportFormat.write`)."""
    images = ImageFiles(folder, options)
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("filepath", "title", "text", "sample_id", *PLACE_NAMES))
        for row in rows:
            place = _place(row)
            for kind, text in every_text(row, options.text):
                table.writerow((images.place(row), " ".join(text.split()), kind, row["sample_id"], *place))


def _place(row: dict[str, Any]) -> list[Any]:
    """The cells of a row's place; what is unknown is empty."""
    values = place_values(row)
    if row.get("geometry") is not None:
        values["geometry"] = to_wkt(row["geometry"])
    if values["bbox"] is not None:
        values["bbox"] = json.dumps(values["bbox"])
    return list(values.values())
