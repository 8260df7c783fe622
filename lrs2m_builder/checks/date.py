"""Check on a claim that an image cannot support: when it was taken."""

from __future__ import annotations

import regex

from lrs2m_builder.checks.base import Answer, Check, cued
from lrs2m_builder.checks.reading.lexicon import late_pattern, phrases

_DATE = late_pattern("date", "date", regex.compile)
_BATHING = late_pattern("date", "bathing", regex.compile)
_TELLING = late_pattern("date", "telling", regex.compile)
_CUES = phrases("date", "cues")


def known_text(answer: Answer) -> str:
    """All that is known of the image before a model is asked, in lower case."""
    sample = answer.sample
    anchors = (anchor.name for anchor in sample.anchors)
    return "\n".join((*sample.captions, sample.label, *anchors, answer.source, answer.given)).casefold()


def _date_words(found: str) -> list[str]:
    """The parts of a date that the input must have: its year, month, weekday or season, without "in" or "late"."""
    words = [word.removesuffix("time").removeprefix("mid") for word in regex.findall(r"\w+", found.casefold())]
    return [word for word in words if _TELLING.search(word)] or words


def _date(answer: Answer) -> str | None:
    """No year, month, weekday or season but those in the input."""
    text = cued(answer.text, _CUES)
    known = ""
    for found in _DATE.finditer(text):
        if _BATHING.search(text[max(0, found.start() - 12) : found.end()]):
            continue
        known = known or known_text(answer).replace("fall", "fall autumn").replace("autumn", "autumn fall") + " "
        if not all(word in known for word in _date_words(found.group())):
            return f'The answer gave a date or season ("{found.group().strip(" ,.()")}"). Leave it out.'
    return None


DATE = Check("date", _date)
