"""Check that the words for the view fit the place from which the manifest says the image was taken."""

from __future__ import annotations

import regex

from lrs2m_builder.checks.base import Answer, Check, cued
from lrs2m_builder.checks.reading.lexicon import late_pattern, phrases

_SATELLITE = late_pattern("viewpoint", "satellite", regex.compile)
_DRONE = late_pattern("viewpoint", "drone", regex.compile)
_GROUND = late_pattern("viewpoint", "ground", regex.compile)
_AIRBORNE = late_pattern("viewpoint", "airborne", regex.compile)
_OBLIQUE = late_pattern("viewpoint", "oblique", regex.compile)
# "Aerial" is everyday English for any view from above: it fits a satellite's.
_WRONG_VIEWS = {
    "satellite": (_DRONE, _AIRBORNE, _GROUND, _OBLIQUE),
    "aerial": (_SATELLITE, _DRONE, _GROUND),
    "drone": (_SATELLITE, _GROUND),
    "overhead": (_GROUND,),
}
_CUES = phrases("viewpoint", "cues")


def _viewpoint(answer: Answer) -> str | None:
    """The words for the view fit the manifest's viewpoint."""
    text = cued(answer.text, _CUES)
    for pattern in _WRONG_VIEWS[answer.viewpoint] if text else ():
        if found := pattern.search(text):
            view = "an overhead" if answer.viewpoint == "overhead" else f"a {answer.viewpoint}".replace("a a", "an a")
            return (
                f'The answer spoke of a "{found.group().strip()}"; it is {view} image. Name the view so or not at all.'
            )
    return None


VIEWPOINT = Check("viewpoint", _viewpoint, level="warn")
