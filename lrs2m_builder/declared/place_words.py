"""What a prompt may say about an image's place: `gsd`, `platform` and `month`, in words. Never the coordinates.

A model that reads a longitude and latitude writes the place's name, which no image shows.
"""

from __future__ import annotations

import calendar
from collections.abc import Collection

from lrs2m_builder.schema import Place

PLACE_VARIABLES = ("gsd", "platform", "month")
_OF_PIXELS = "ground sampling distance, ground sample distance, ground resolution, spatial resolution, pixel size"


def place_words(place: Place) -> dict[str, str | None]:
    """The variables of a prompt that names them: "0.5", "Sentinel-2A", "June"; None if unknown.

    `gsd` is in metres per pixel, with two significant digits.
    """
    return {
        "gsd": None if place.gsd is None else f"{float(f'{place.gsd:.2g}'):g}",
        "platform": None if place.platform is None else _platform(place.platform),
        "month": None if place.datetime is None else calendar.month_name[place.datetime.month],
    }


def given_words(place: Place, variables: Collection[str]) -> str:
    """What a prompt with these variables tells of the place, as one text; "" if it names none of it.

    A text that was told the size of a pixel may speak of it in any words.
    """
    told = {name: words for name, words in place_words(place).items() if words and name in variables}
    return " ".join([*told.values(), *([_OF_PIXELS] if "gsd" in told else [])])


def _platform(name: str) -> str:
    """ "sentinel-2a", as STAC writes it, as people do; other names as they are."""
    if not name.islower() or not any(map(str.isalpha, name)):
        return name
    return "-".join(part.upper() if part[0].isdigit() else part.capitalize() for part in name.split("-") if part)
