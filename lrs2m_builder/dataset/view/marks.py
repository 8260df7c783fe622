"""Where a text names the classes that labels say are in the image."""

from __future__ import annotations

from collections.abc import Sequence

from lrs2m_builder.checks.reading.nouns import find_label, is_named, read
from lrs2m_builder.checks.reading.vocabulary import resolve

Piece = tuple[str, int | None]


def find_class(name: str, text: str) -> list[tuple[int, int]]:
    """Begin and end of every place where the text says that a class is there, as the checks read it.

    A word is judged in its sentence: the "center" of the image is no building, and what is denied is not there.
    """
    tokens = read(text)
    places = _places(tokens.tokens, text)
    found: list[tuple[int, int]] = []
    for mention in sorted(find_label(tokens, resolve(name)), key=lambda mention: mention.start):
        start, end = places[mention.start][0], places[mention.end - 1][1]
        if start >= (found[-1][1] if found else 0):
            found.append((start, end))
    return found


def _places(tokens: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Begin and end of each token in the text."""
    # A letter whose lower case is two stays as it is, so that all places are those of the text.
    lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text).replace("’", "'")
    places, at = [], 0
    for token in tokens:
        start = lower.find(token, at)
        places.append((start, start + len(token)) if start >= 0 else (at, at))
        at = places[-1][1]
    return places


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
