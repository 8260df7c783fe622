"""Time and platform in the names that agencies give their scenes, and that patches cut from them keep."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

from lrs2m_builder.schema import NOWHERE, Place

_TIME = r"(?P<time>\d{8}T\d{6})"
_START = r"(?<![A-Za-z0-9])"
# Sentinel-2: S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57; Sentinel-1: S1A_IW_GRDH_1SDV_20170613T165043_33UUP;
# EnMAP: ENMAP01-____L2A-DT0000004950_20221103T162438Z_001; Landsat: LC08_L1TP_193024_20170613_20170628_01_T1;
# SSL4EO-S12: a folder s2a, and below it 20200604T054639_20200604T054831_T43RCP.
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(rf"{_START}S2(?P<unit>[A-D])_MSIL[12][ABC]_{_TIME}"),
        lambda found: f"sentinel-2{found['unit'].lower()}",
    ),
    (
        re.compile(rf"{_START}S1(?P<unit>[A-D])_(?:IW|EW|SM|WV|S\d)_\w{{4}}_\w{{4}}_{_TIME}"),
        lambda found: f"sentinel-1{found['unit'].lower()}",
    ),
    (re.compile(rf"{_START}ENMAP01-_*L\w\w-DT\d+_{_TIME}Z"), lambda found: "enmap"),
    (
        re.compile(rf"{_START}L[COTEM](?P<unit>0[4-9])_L\w{{3}}_\d{{6}}_(?P<time>\d{{8}})(?!\d)"),
        lambda found: f"landsat-{int(found['unit'])}",
    ),
    (
        re.compile(rf"(?:^|/)s2(?P<unit>[a-d])/(?:.*/)?{_TIME}_\d{{8}}T\d{{6}}_T\d{{2}}[A-Z]{{3}}"),
        lambda found: f"sentinel-2{found['unit']}",
    ),
)


_EIGHT_DIGITS = re.compile(r"\d{8}")  # each of the patterns holds them, and few names do


def place_in_name(name: str) -> Place:
    """When and by what an image was taken, according to its name or path; NOWHERE if the name does not say."""
    if not _EIGHT_DIGITS.search(name):
        return NOWHERE
    for pattern, platform in _PATTERNS:
        if match := pattern.search(name):
            try:
                time = dt.datetime.strptime(match["time"], "%Y%m%dT%H%M%S" if "T" in match["time"] else "%Y%m%d")
            except ValueError:  # the 31st of June
                continue
            return Place(datetime=time.replace(tzinfo=dt.UTC), platform=platform(match))
    return NOWHERE
