"""When and by which satellite or aircraft a scene was taken, where its tags or its name say so."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from lrs2m_builder.images.georeference import read_georeference
from lrs2m_builder.images.part import ALL
from lrs2m_builder.sources._scene_names import place_in_name


def time_and_platform(path: Path) -> tuple[datetime | None, str | None]:
    """Both, each None if unknown; tags come before the name."""
    tagged, named = read_georeference(path, ALL), place_in_name(str(path))
    return tagged.datetime or named.datetime, tagged.platform or named.platform
