"""Where an image is on Earth according to its own file: the tags of a GeoTIFF.

Most images have no such tags, so that is seen first, from the first bytes of a TIFF: 30 microseconds instead of the
milliseconds in which GDAL opens a file.
"""

from __future__ import annotations

import datetime as dt
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from lrs2m_builder.errors import SampleError
from lrs2m_builder.files import open_regular
from lrs2m_builder.images.part import Part
from lrs2m_builder.images.rasters import raster_driver
from lrs2m_builder.schema import NOWHERE, ImageRef, Place

_GEO_TAGS = {33550, 33922, 34264, 34735}  # pixel scale, tie points, transformation, keys
_GEO_SUFFIXES = {".tif", ".tiff", ".jp2", ".img", ".ntf", ".nitf"}
_NO_GEO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}  # nothing to look for, on no disk
_MAX_TAGS = 4096


def read_georeference(ref: ImageRef | None, part: Part) -> Place:
    """Footprint, CRS and pixel size of an image's file, and time and platform if its tags state them.

    Of a folder of band files, those of the first band. NOWHERE for a file without georeference, for one that cannot be
    read (which is the business of whoever reads its pixels), and for an image inside another file.
    """
    if not isinstance(ref, Path) or ref.suffix.lower() in _NO_GEO_SUFFIXES:
        return NOWHERE
    try:
        file = part.files(ref)[0]
        if not isinstance(file, Path) or file.suffix.lower() not in _GEO_SUFFIXES or not _has_tags(file):
            return NOWHERE
        return _read(file, raster_driver(file))
    except (SampleError, OSError):
        return NOWHERE


def _read(path: Path, driver: str) -> Place:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.transform import from_gcps

    from lrs2m_builder.images.place import crs_name, footprints

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    try:
        with rasterio.open(path, driver=driver) as raster:
            transform, crs = raster.transform, raster.crs
            points, points_crs = raster.gcps
            if crs is None and points:
                transform, crs = from_gcps(points), points_crs
            if crs is None or transform.is_identity:
                return NOWHERE
            (found,) = footprints(transform, crs, [(0, 0, raster.width, raster.height)])
            tags = raster.tags(ns="IMAGERY")
            name = crs_name(crs)
    except (RasterioError, ValueError):  # a CRS that PROJ does not know, a transform without area
        return NOWHERE
    time, platform = _time(tags.get("ACQUISITIONDATETIME")), tags.get("SATELLITEID") or None
    if found is None:
        return Place(crs=name, datetime=time, platform=platform)
    return Place(
        *(found.lon, found.lat, found.bbox, found.geometry, name, found.gsd, time, platform),
        grid_cell=found.grid_cell,
    )


def _time(text: str | None) -> dt.datetime | None:
    """GDAL's time of the acquisition, "2017-06-13 10:10:31"; None if it is no time."""
    try:
        time = dt.datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def _has_tags(path: Path) -> bool:
    """Whether a file may be georeferenced: a TIFF with one of the tags for it, or a file of another kind."""
    with open_regular(path) as file:
        start = file.read(4)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 4:
            return True
        try:
            (version,) = struct.unpack(f"{order}H", start[2:])
            return bool(_GEO_TAGS & _tags(file, order, is_big=version == 43))
        except (struct.error, ValueError, OverflowError):  # its tags end in the middle, or lie nowhere
            return False


def _tags(file: BinaryIO, order: str, *, is_big: bool) -> set[int]:
    """The numbers of the tags of a TIFF's first image."""

    def number(kind: str, at: int | None = None) -> Any:
        if at is not None:
            file.seek(at)
        return struct.unpack(f"{order}{kind}", file.read(struct.calcsize(f"{order}{kind}")))[0]

    start = number("Q", 8) if is_big else number("I", 4)
    count, entry = (number("Q", start), 20) if is_big else (number("H", start), 12)
    data = file.read(entry * min(count, _MAX_TAGS))
    return {struct.unpack_from(f"{order}H", data, at)[0] for at in range(0, len(data) - 1, entry)}
