"""Classes as labels state them become anchors in words a caption can use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lrs2m_builder.checks.reading.nouns import is_named
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Anchor
from lrs2m_builder.text import plain_words

# A class as an image's labels hold it, in words, and how many of it are there (None: some, not counted).
Found = tuple[str, int | None]
_NO_PROSE = re.compile(r"[\[\]{}<>|=\\^~]")


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


def in_words(path: Path, stated: str, classes: Mapping[str, str | None]) -> str | None:
    """What a caption calls a class of a label file; None where it is left out.

    Raises:
        UserError: a caption cannot say it, so that no text would ever pass the checks.
    """
    words = classes[stated] if stated in classes else plain_words(stated)
    if words is not None and not _can_be_said(words):
        raise UserError(f"{path}: class {stated!r} is no word; give it one in the manifest's options, classes")
    return words


@lru_cache(maxsize=4096)
def _can_be_said(words: str) -> bool:
    """Whether the checks would find a class in a text that says nothing else."""
    has_letter = any(char.isalpha() for char in words)
    return has_letter and not _NO_PROSE.search(words) and is_named(words, f"There is a {words} here.")


def make_anchors(found: Iterable[Found]) -> tuple[Anchor, ...]:
    """What was found in one image, a class once, in the order of the words; one uncounted find uncounts its class."""
    counts: dict[str, int | None] = {}
    for words, count in found:
        before = counts.get(words, 0)
        counts[words] = None if count is None or before is None else before + count
    return tuple(Anchor(words, count) for words, count in sorted(counts.items()))
