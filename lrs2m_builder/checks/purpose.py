"""Check that a text describes the scene, without its use, lessons or moods."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, split_sentences, without_writing
from lrs2m_builder.checks.date import known_text
from lrs2m_builder.checks.reading.lexicon import late_pattern

_PURPOSE = late_pattern("purpose", "purpose", re.compile)
_CLOSING = late_pattern("purpose", "closing", re.compile)
_STRUCTURE = late_pattern("purpose", "structure", re.compile)


def _purpose(answer: Answer) -> str | None:
    """No use of the image, no lesson from it and no mood."""
    text = without_writing(answer.text)
    found = _PURPOSE.search(text) or _STRUCTURE.search(text)
    found = found or next(filter(None, map(_CLOSING.match, split_sentences(text)[1:])), None)
    if found is None or found.group().strip().casefold() in known_text(answer):
        return None
    return f'The answer judged or gave a purpose ("{found.group().strip()[:80]}"). Say only what is there.'


PURPOSE = Check("purpose", _purpose, level="warn")
