"""Checks of an answer against the text it was made from."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, split_words

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def _folded(text: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in split_words(text))


def _copy(answer: Answer) -> str | None:
    """A summary that is a sentence of its source adds nothing: Long-CLIP's short texts were just that."""
    mine = _folded(answer.text)
    if mine and any(mine == _folded(sentence) for sentence in (*_SENTENCE_END.split(answer.source), answer.source)):
        return "The answer was a sentence of the text, copied. Write a sentence of your own."
    return None


COPY = Check("copy", _copy)
