"""Turns label classes into anchors in words that a caption can use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lrs2m_builder.checks.reading.nouns import is_named
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Anchor, Box
from lrs2m_builder.text import plain_words

# A class of an image's labels, in words, its number of objects (None: some, not counted), and the box of a single one.
CountedClass = tuple[str, int | None, Box | None]
_NO_PROSE = re.compile(r"[\[\]{}<>|=\\^~]")


def stated_classes(classes: Mapping[Any, str | None] | None) -> dict[str, str | None]:
    """The option `classes` with its keys as text: YAML reads a pixel value or category such as 3 as a number.

    Raises:
        UserError: it is not a mapping of classes to words or null.
    """
    if classes is None:
        return {}
    if not isinstance(classes, Mapping):
        raise UserError(f"option classes must map a class of the labels to its words or null, not {classes!r}")
    for key, words in classes.items():
        if words is not None and not (isinstance(words, str) and words.strip()):
            raise UserError(f"option classes: {key}: words or null, not {words!r}")
    return {str(key): words for key, words in classes.items()}


def in_words(path: Path, stated: str, classes: Mapping[str, str | None]) -> str | None:
    """The caption words of a class of a label file; None for a dropped class.

    Raises:
        UserError: a caption cannot contain the class, so no text would ever pass the checks.
    """
    words = classes[stated] if stated in classes else plain_words(stated)
    if words is not None and not _can_be_checked(words):
        raise UserError(f"{path}: class {stated!r} is not a word; give it words in the manifest's options, classes")
    return words


@lru_cache(maxsize=4096)
def _can_be_checked(words: str) -> bool:
    """Whether the checks would find the class in a minimal sentence about it."""
    has_letter = any(char.isalpha() for char in words)
    return has_letter and not _NO_PROSE.search(words) and is_named(words, f"There is a {words} here.")


def make_anchors(objects: Iterable[CountedClass]) -> tuple[Anchor, ...]:
    """The anchors of one image: one per class, in order of the words; an uncounted object makes its class uncounted."""
    counts: dict[str, int | None] = {}
    boxes: dict[str, list[Box]] = {}
    for words, count, box in objects:
        before = counts.get(words, 0)
        counts[words] = None if count is None or before is None else before + count
        boxes.setdefault(words, []).extend([box] if box else [])
    return tuple(
        Anchor(words, count, tuple(boxes[words]) if len(boxes[words]) == count else ())
        for words, count in sorted(counts.items())
    )
