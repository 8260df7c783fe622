"""The table that open_clip trains from (`--dataset-type csv`): TAB-separated, a line a text.

    DEST/train.csv        filepath, title, text ("long" or "short"), sample_id
    DEST/images/...       the images, unless they are only named

open_clip opens the paths as they stand, so it is started in DEST, or --image-prefix says where the images are.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.dataset.export._base import ImageChoice, ImageFiles, Options, texts

IMAGES: tuple[ImageChoice, ...] = ("copy", "reference")


def write(rows: Iterator[dict[str, Any]], folder: Path, options: Options) -> None:
    """Write a line a text: two a row where both texts are wanted (see `Format.write`)."""
    images = ImageFiles(folder, options)
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("filepath", "title", "text", "sample_id"))
        for row in rows:
            for kind, text in texts(row, options.text).items():
                table.writerow((images.place(row), " ".join(text.split()), kind, row["sample_id"]))
