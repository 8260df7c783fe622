"""Checks of an answer against the text it was made from."""

from __future__ import annotations

from lrs2m_builder.checks.base import Answer, Check, split_sentences, split_words
from lrs2m_builder.checks.objects import counts_said, is_named


def _folded(text: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in split_words(text))


def _copy(answer: Answer) -> str | None:
    """A summary that is a sentence of its source adds nothing: Long-CLIP's short texts were just that."""
    mine = _folded(answer.text)
    if mine and any(mine == _folded(sentence) for sentence in (*split_sentences(answer.source), answer.source)):
        return "The answer was a sentence of the text, copied. Write a sentence of your own."
    return None


def _anchor_missing(answer: Answer) -> str | None:
    """Every class that the labels say is there is named."""
    missing = [anchor.name for anchor in answer.sample.anchors if not is_named(anchor.name, answer.text)]
    return f"The answer did not mention: {', '.join(missing)}. Mention each of them." if missing else None


def _anchor_count(answer: Answer) -> str | None:
    """Where the text gives a number for a class, it is the labels' or, said of a part of them, less."""
    for anchor in answer.sample.anchors:
        if anchor.count is None:
            continue
        said = counts_said(anchor.name, answer.text)
        too_many = [number for number, exact in said if number > anchor.count]
        exact = [number for number, is_exact in said if is_exact]
        # One number must be the whole; of several, each may be a part ("two planes on the left, three on the right").
        if too_many or (len(exact) == 1 and len(said) == 1 and exact[0] != anchor.count):
            number = (too_many or exact)[0]
            return f"The answer gave {number} as the number of {anchor.name}; there are {anchor.count}."
    return None


COPY = Check("copy", _copy)
ANCHOR_MISSING = Check("anchor_missing", _anchor_missing)
ANCHOR_COUNT = Check("anchor_count", _anchor_count)
