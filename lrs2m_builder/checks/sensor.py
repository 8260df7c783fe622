"""Check on a claim that an image cannot support: which satellite, aircraft or sensor took it."""

from __future__ import annotations

import re
from functools import cache

from lrs2m_builder.checks.base import Answer, Check, beginning
from lrs2m_builder.checks.date import known_text

# Names that mean nothing else, whatever their case and with or without a hyphen and a number.
_NAMES = r"""
sentinel[\s-]?\d[a-d]?|landsat(?:[\s-]?\d)?|world[\s-]?view[\s-]?\d+|quick[\s-]?bird(?:[\s-]?\d)?|geo[\s-]?eye(?:[\s-]?\d)?
|pl[eé]iades(?:[\s-]?neo)?|ikonos|gao[\s-]?fen(?:[\s-]?\d)?|gf[\s-]\d\d?|zi[\s-]?yuan(?:[\s-]?\d)?|ji[\s-]?lin[\s-]?1
|rapid[\s-]?eye|planet[\s-]?scope|planet\s+labs|sky[\s-]?sat|maxar|digital\s?globe|super[\s-]?view[\s-]?\d
|kompsat(?:[\s-]?\d)?|carto[\s-]?sat(?:[\s-]?\d)?|resource[\s-]?sat|terra[\s-]?sar(?:[\s-]?x)?|radar[\s-]?sat(?:[\s-]?\d)?
|cosmo[\s-]?sky[\s-]?med|tan[\s-]?dem[\s-]?x|iceye|envisat|en[\s-]?map|deimos[\s-]?\d|formosat(?:[\s-]?\d)?|thaichote|naip
|copernicus|google\s+earth|bing\s+maps?|esri\s+world\s+imagery|viirs|modis|aviris(?:[\s-]?ng)?
|hyperion\s+(?:sensor|instrument|image\w*)|dji|operational\s+land\s+imager|thematic\s+mapper|multispectral\s+instrument
"""
# Names that are words too: only as a name, with a number, or beside what a sensor is.
_AS_NAMES = r"""
\bSPOT[\s-]?[1-7]\b|\bALOS(?:[\s-]?\d)?\b|\bASTER(?=\s+(?:image|sensor|scene|instrument|satellite|data))|\bPRISMA\b
|\b(?:Terra|Aqua)(?=\s+(?:satellite|MODIS))|\bHimawari\b|\bGOES[\s-]?\d+\b
|\b(?:MSI|OLI|ETM\+?)(?=\s+(?:sensor|instrument|image))
"""


@cache
def _pattern() -> re.Pattern[str]:
    names, as_names = (re.sub(r"\n", "", text) for text in (_NAMES, _AS_NAMES))
    return re.compile(rf"(?<![\w-])(?i:{names})(?!\w)|{as_names}")


def _letters(text: str) -> str:
    """Only letters and digits, so that "Sentinel 2" and "sentinel-2a" begin alike, and "WORLDVIEW02" is WorldView-2."""
    return re.sub(r"0+(?=\d)", "", re.sub(r"[\W_]+", "", text.casefold()))


def _sensor(answer: Answer) -> str | None:
    """No satellite, aircraft or sensor by name that the input does not name."""
    known = ""
    for found in _pattern().finditer(beginning(answer.text)):
        known = known or _letters(known_text(answer)) + " "
        if _letters(found.group()) not in known:
            return f'The answer named a sensor ("{found.group()}") that nothing given names. Leave it out.'
    return None


SENSOR = Check("sensor", _sensor)
