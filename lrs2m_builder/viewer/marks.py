"""Where a text names the classes that labels say are in the image."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lrs2m_builder.checks.nouns import is_named

_WORD = re.compile(r"[^\W_]+")
_MAX_WORDS = 4  # of a class's name: "ground track field"

Piece = tuple[str, int | None]


def find_class(name: str, text: str) -> list[tuple[int, int]]:
    """Begin and end of every place where the text names a class, as the checks understand naming.

    The shortest runs of words that name it: this asks `is_named` alone, and follows it in whatever it learns.
    """
    if not is_named(name, text):
        return []
    words = [word.span() for word in _WORD.finditer(text)]
    found: list[tuple[int, int]] = []
    for length in range(1, _MAX_WORDS + 1):
        for first, last in zip(words, words[length - 1 :], strict=False):
            start, end = first[0], last[1]
            free = all(end <= taken[0] or taken[1] <= start for taken in found)
            if free and is_named(name, text[start:end]):
                found.append((start, end))
    return sorted(found)


def mark(text: str, classes: Sequence[str]) -> list[Piece]:
    """The text in pieces, each with the number of the class it names, or None.

    Where two classes are named by the same words, the first has them.
    """
    spans = sorted((start, end, number) for number, name in enumerate(classes) for start, end in find_class(name, text))
    pieces: list[Piece] = []
    at = 0
    for start, end, number in spans:
        if start < at:
            continue
        pieces += [(text[at:start], None), (text[start:end], number)]
        at = end
    pieces.append((text[at:], None))
    return [piece for piece in pieces if piece[0]]


def named(text: str, classes: Sequence[str]) -> list[bool]:
    """For each class, whether the text names it."""
    return [is_named(name, text) for name in classes]
