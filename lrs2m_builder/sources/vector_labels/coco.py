"""COCO's `.json`: images, categories and annotations of a whole data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.vector_labels.classes import Found
from lrs2m_builder.sources.vector_labels.files import load_json


def read(path: Path) -> Iterator[tuple[str, list[Found]]]:
    """Yield the name of each image and its classes; a crowd is one outline around many objects: it is not counted."""
    content = load_json(path)
    try:
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        found: dict[Any, list[Found]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            count = None if annotation.get("iscrowd") else 1
            found[annotation["image_id"]].append((names[annotation["category_id"]], count))
        entries = [(str(image["file_name"]), found[image["id"]]) for image in content["images"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not COCO: {error!r} is missing or names nothing") from error
    yield from entries
