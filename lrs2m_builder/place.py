"""Where on Earth an image was taken, when and by what."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """Where on Earth an image was taken, when and by what; None is unknown. The names are STAC's.

    Attributes:
        lon, lat: the centre, in degrees of WGS 84.
        bbox: west, south, east and north of the footprint; west is greater than east across the antimeridian.
        geometry: the footprint as WKB in longitude and latitude: a polygon, or a point if only the centre is known.
        crs: the coordinate reference system of the image's own pixels, such as "EPSG:32633", or WKT2.
        gsd: metres on the ground per pixel of the image's file.
        datetime: of the acquisition, in UTC.
        platform: the satellite or aircraft, such as "sentinel-2a".
        split: which part of its data set the image belongs to, such as "train".
        grid_cell: the Major-TOM cell of 10 km that holds the centre.
    """

    lon: float | None = None
    lat: float | None = None
    bbox: tuple[float, float, float, float] | None = None
    geometry: bytes | None = field(default=None, repr=False)
    crs: str | None = None
    gsd: float | None = None
    datetime: dt.datetime | None = None
    platform: str | None = None
    split: str | None = None
    grid_cell: str | None = None


NOWHERE = Place()
