"""The JSON form of MGRS-200k (`text_info.json`), used by DGTRS-CLIP.

    DEST/text_info.json   [{"global_filepath", "detailed_caption", "brief_caption", "segment": []}, ...]
    DEST/images/...       the images, unless only referenced

That data set also has texts of image parts; here `segment` is empty. An image with a known place has it under `place`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lrs2m_builder.dataset.export._base import ImageChoice, ImageFiles, Options, place_values, texts
from lrs2m_builder.dataset.export.json import write_json_list

IMAGES: tuple[ImageChoice, ...] = ("copy", "reference")
_KEYS = {"long": "detailed_caption", "short": "brief_caption"}


def write(rows: Iterator[dict[str, Any]], folder: Path, options: Options) -> None:
    """Write one entry per row (see `ExportFormat.write`)."""
    images = ImageFiles(folder, options)
    write_json_list((_entry(row, images, options) for row in rows), folder / "text_info.json")


def _entry(row: Mapping[str, Any], images: ImageFiles, options: Options) -> dict[str, Any]:
    captions = {_KEYS[kind]: text for kind, text in texts(row, options.text).items()}
    place = {name: value for name, value in place_values(row).items() if value is not None}
    known = {"place": place} if place.keys() - {"split"} else {}
    return {"global_filepath": images.place(row), **captions, "segment": [], **known}
