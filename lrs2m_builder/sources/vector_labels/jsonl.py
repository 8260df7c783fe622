"""`.jsonl`, per image a line `{"image": "1.png", "anchors": [{"class": "plane", "count": 3}, {"class": "grass"}]}`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.vector_labels.files import load_text
from lrs2m_builder.sources.vector_labels.shapes import ImageLabels, LabelledObject

MAX_COUNT = 2**31 - 1  # a record's column holds 32 bits


def read(path: Path) -> Iterator[tuple[str, ImageLabels]]:
    """Yield the name of each image and its classes; a class without a count is present in unknown number."""
    for number, line in enumerate(load_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            things = tuple(LabelledObject(_text(anchor["class"]), _count(anchor)) for anchor in entry["anchors"])
            name = _text(entry["image"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f'{path}: line {number}: not {{"image", "anchors": [...]}}: {error!r}') from error
        yield name, ImageLabels(path, things, note=f"line {number}: no anchors")


def _text(value: Any) -> str:
    """A name; a number is accepted too."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"{value!r} is not a name")
    return str(value)


def _count(anchor: dict[str, Any]) -> int | None:
    count = anchor.get("count")
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_COUNT):
        raise ValueError(f"count {count!r} is not a whole number from 1 to {MAX_COUNT}")
    return count
