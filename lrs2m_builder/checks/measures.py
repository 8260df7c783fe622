"""Checks on figures that no image supports: coordinates, boxes and the ground sampling distance."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, beginning
from lrs2m_builder.checks.date import known_text
from lrs2m_builder.checks.reading.lexicon import late_pattern

_COORDINATES = late_pattern("measures", "coordinates", re.compile)
_FIGURE = re.compile(r"\d+(?:\.\d+)?")
_RESOLUTION = late_pattern("measures", "resolution", re.compile)


def _is_known(found: str, known: str) -> bool:
    """Whether the figures of a finding are those that hints, labels or the source give."""
    figures = set(_FIGURE.findall(found))
    return figures <= set(_FIGURE.findall(known)) if figures else found.casefold() in known


def _first_unknown(pattern: re.Pattern[str], answer: Answer) -> str:
    known = known_text(answer)
    found = (match.group().strip(" ,.") for match in pattern.finditer(beginning(answer.text)))
    return next((words for words in found if not _is_known(words, known)), "")


def _coordinates(answer: Answer) -> str | None:
    """No latitudes and longitudes, no boxes, points or distances in pixels, no cell of a grid over the image."""
    if words := _first_unknown(_COORDINATES, answer):
        return f'The answer gave coordinates ("{words[:60]}"). Say in words where things are.'
    return None


def _resolution(answer: Answer) -> str | None:
    """No ground sampling distance and no image size in pixels that the input does not give."""
    if words := _first_unknown(_RESOLUTION, answer):
        return f'The answer gave a resolution ("{words[:60]}") that nothing given names. Leave it out.'
    return None


COORDINATES = Check("coordinates", _coordinates)
RESOLUTION = Check("resolution", _resolution)
