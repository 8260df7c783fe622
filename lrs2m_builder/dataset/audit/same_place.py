"""Images of a data set that show ground which an evaluation image shows too, by their footprints and times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lrs2m_builder.dataset.audit.against import AgainstSet
from lrs2m_builder.dataset.audit.collect import image_key
from lrs2m_builder.dataset.audit.findings import PlaceMatch
from lrs2m_builder.dataset.footprints import Footprints, load_shapely, overlapping, read_footprints
from lrs2m_builder.images.georeference import read_georeference
from lrs2m_builder.images.part import ALL
from lrs2m_builder.schema import Place
from lrs2m_builder.sources._scene_names import place_in_name

_WHAT = "lrs2m audit by footprint"
_DAY_S = 86_400


def place_matches(
    files: Sequence[Path], evaluations: Sequence[AgainstSet], within_days: float | None
) -> tuple[PlaceMatch, ...]:
    """Every image whose footprint overlaps an evaluation image's, with the one that it shares most ground with.

    Evaluation images have footprints in Parquet, or as GeoTIFFs. Without any on either side nothing is compared.

    Args:
        within_days: only images taken that close in time, or at an unknown time, count; None: all.

    Raises:
        UserError: a file cannot be read.
        MissingExtraError: there are footprints, and shapely is not installed.
    """
    theirs = [(name, shape, days) for each in evaluations for name, shape, days in _evaluation(each)]
    if not theirs:
        return ()
    own = read_footprints(files, _WHAT)
    names, shapes, days = (np.array(column, object) for column in zip(*theirs, strict=True))
    first, second, share = overlapping(own.shapes, shapes)
    apart = np.abs(own.days[first] - days[second].astype(float))
    if within_days is not None:
        near = ~(apart > within_days)  # an unknown time counts as near
        first, second, share, apart = first[near], second[near], share[near], apart[near]
    best: dict[str, PlaceMatch] = {}
    for place in np.argsort(-share, kind="stable"):
        key = image_key(own.ids[first[place]])
        if key not in best:
            days_apart = None if np.isnan(apart[place]) else float(apart[place])
            subset = key.split("/")[0]
            best[key] = PlaceMatch(key, subset, str(names[second[place]]), float(share[place]), days_apart)
    return tuple(sorted(best.values(), key=lambda match: (-match.share, match.image)))


def _evaluation(against: AgainstSet) -> list[tuple[str, object, float]]:
    """Name, outline and day of each evaluation image that has a footprint."""
    if against.records:
        return _of_records(read_footprints(against.records, _WHAT), against)
    places = [(image, read_georeference(image, ALL)) for image in against.images]
    placed = [(str(image), place, _day(place, image)) for image, place in places if place.geometry is not None]
    if not placed:
        return []
    shapes = load_shapely(_WHAT).from_wkb([place.geometry for _, place, _ in placed])
    return [(name, shape, day) for (name, _, day), shape in zip(placed, shapes, strict=True)]


def _of_records(found: Footprints, against: AgainstSet) -> list[tuple[str, object, float]]:
    rows = zip(found.ids, found.shapes, found.days, strict=True)
    return [(f"{against.path}: {name}", shape, float(day)) for name, shape, day in rows]


def _day(place: Place, image: Path) -> float:
    """Days since 1970 of the acquisition; NaN if unknown."""
    time = place.datetime or place_in_name(image.as_posix()).datetime
    return time.timestamp() / _DAY_S if time else float("nan")
