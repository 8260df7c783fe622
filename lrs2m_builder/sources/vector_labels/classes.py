"""Classes as labels state them become anchors in words a caption can use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Anchor
from lrs2m_builder.text import plain_words

# A class as a label file states it, and how many of it were found there (None: some, not counted).
Found = tuple[str, int | None]


def stated_classes(classes: Mapping[Any, str | None] | None) -> dict[str, str | None]:
    """The option `classes` with its keys as text: YAML reads a pixel value or a category 3 as a number.

    Raises:
        UserError: it is no mapping of classes to words or null.
    """
    if classes is None:
        return {}
    if not isinstance(classes, Mapping):
        raise UserError(f"option classes: a mapping of a class of the labels to its words or null, not {classes!r}")
    for key, words in classes.items():
        if words is not None and not (isinstance(words, str) and words.strip()):
            raise UserError(f"option classes: {key}: words or null, not {words!r}")
    return {str(key): words for key, words in classes.items()}


def make_anchors(path: Path, found: Iterable[Found], classes: Mapping[str, str | None]) -> tuple[Anchor, ...]:
    """What was found in one image, a class once and in the order of the words; one uncounted find uncounts its class.

    Raises:
        UserError: a class has no letter, so that no caption can name it.
    """
    counts: dict[str, int | None] = {}
    for stated, count in found:
        words = classes[stated] if stated in classes else plain_words(stated)
        if words is None:
            continue
        if not any(char.isalpha() for char in words):
            raise UserError(f"{path}: class {stated!r} is no word; give it one in the manifest's options, classes")
        before = counts.get(words, 0)
        counts[words] = None if count is None or before is None else before + count
    return tuple(Anchor(words, count) for words, count in sorted(counts.items()))
