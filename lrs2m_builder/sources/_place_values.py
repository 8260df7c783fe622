"""A place in a row of a table, a JSON object or a STAC item, under the names that data sets use for it."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import pyarrow as pa

from lrs2m_builder.images.outlines import Bounds, bounds_of, box, centre_of, point, read_outline
from lrs2m_builder.schema import NOWHERE, Place

# The names under which a column is known without being told; the first that has a value counts (docs/place.md).
ALIASES: Mapping[str, tuple[str, ...]] = {
    "lon": ("lon", "longitude", "lng", "centre_lon", "center_lon", "centre_longitude", "center_longitude"),
    "lat": ("lat", "latitude", "centre_lat", "center_lat", "centre_latitude", "center_latitude"),
    "bbox": ("bbox",),
    "geometry": ("geometry", "raw_location", "footprint", "wkt"),
    "crs": ("crs", "proj:code", "proj:epsg"),
    "gsd": ("gsd", "ground_sample_distance"),
    "datetime": ("datetime", "start_datetime", "timestamp", "acquired", "acquisition_date", "acquisition_datetime"),
    "platform": ("platform", "platform_name", "sensor_platform_name", "satellite"),
    "split": ("split",),
    "grid_cell": ("grid_cell",),
}
_KEYS = {alias.casefold(): column for column, names in ALIASES.items() for alias in names}
_BOX_SIDES = ("xmin", "ymin", "xmax", "ymax")
_MAX_GSD = 100_000.0  # metres: a pixel of the coarsest weather model
_MAX_TEXT = 200  # characters of a platform or split
_WORST_CRS = 20_000  # characters of a CRS as WKT
_HALF = 0.5  # degrees by which a centre may miss the bounding box it is compared with


def place_names(schema: pa.Schema) -> list[str]:
    """The columns of a table that may tell a place; none that may hold pixels."""
    return [field.name for field in schema if field.name.casefold() in _KEYS and not _may_hold_pixels(field)]


def _may_hold_pixels(field: pa.Field) -> bool:
    if pa.types.is_nested(field.type):
        return bool(field.name.casefold() != "bbox")
    is_bytes = pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
    return bool(is_bytes) and field.name.casefold() != "geometry"


def quiet_place(entry: Mapping[str, Any]) -> Place:
    """The place that an entry states beside other things; what cannot be used is unknown, and harms no row."""
    return read_place(entry)[0]


def read_place(entry: Mapping[str, Any], columns: Mapping[str, str | None] | None = None) -> tuple[Place, list[str]]:
    """The place that an entry states, and what is wrong with values that cannot be used.

    Args:
        entry: names and values of one row; a STAC item or a GeoJSON feature with its properties inside.
        columns: the entry's name of a column of `Place`, None for one that is not to be read; others are known by
            ALIASES.
    """
    entry = _flat(entry)
    names: dict[str, str] = {}
    for name in sorted((n for n in entry if isinstance(n, str) and n.casefold() in _KEYS), key=_rank):
        if _is_set(entry[name]):
            names.setdefault(_KEYS[name.casefold()], name)
    names |= {column: name or "" for column, name in (columns or {}).items()}
    found: dict[str, Any] = {}
    problems = []
    for column, name in names.items():
        if not _is_set(value := entry.get(name)):
            continue
        try:
            found[column] = _READ[column](value)
        except (ValueError, TypeError, OverflowError, KeyError) as error:
            problems.append(f"{name} {str(value)[:60]!r}: {error}")
    return Place(**found), problems


def merged(first: Place, second: Place) -> Place:
    """What the first knows, and for what it does not the second; a footprint only around the centre that is known."""
    if second is NOWHERE or not second or second == NOWHERE:
        return first
    if first.bbox is None and first.lon is not None and first.lat is not None and second.bbox is not None:
        if not _is_near(first.lon, first.lat, second.bbox):
            second = replace(second, lon=None, lat=None, bbox=None, geometry=None, grid_cell=None)
    elif first.bbox is not None:
        second = replace(second, lon=None, lat=None, bbox=None, geometry=None, grid_cell=None)
    known = {each.name: value for each in fields(Place) if (value := getattr(first, each.name)) is not None}
    return replace(second, **known)


def completed(place: Place) -> Place:
    """The place with centre, bounding box, footprint and grid cell as far as one of them tells the others."""
    if place.geometry is None and place.bbox is None and (place.lon is None or place.lat is None):
        return place if place.lon is None and place.lat is None else replace(place, lon=None, lat=None)
    from lrs2m_builder.images.place import grid_cell

    bbox, lon, lat = place.bbox, place.lon, place.lat
    if bbox is None and place.geometry is not None:
        bbox = bounds_of(place.geometry)
    if lon is None or lat is None:
        assert bbox is not None
        lon, lat = centre_of(bbox)
    geometry = place.geometry or (box(bbox) if bbox else point(lon, lat))
    return replace(
        place,
        lon=lon,
        lat=lat,
        bbox=bbox or (lon, lat, lon, lat),
        geometry=geometry,
        grid_cell=place.grid_cell or grid_cell(lon, lat),
    )


def _is_near(lon: float, lat: float, bbox: Bounds) -> bool:
    west, south, east, north = bbox
    east += 360 if west > east else 0
    inside = any(west - _HALF <= lon + turn <= east + _HALF for turn in (0, 360))
    return inside and south - _HALF <= lat <= north + _HALF


def _rank(name: str) -> tuple[int, str]:
    """Where a name is among the aliases of its column."""
    return ALIASES[_KEYS[name.casefold()]].index(name.casefold()), name


def _is_set(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip()) and value == value


def _flat(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """A feature's properties beside its geometry; a list of numbers is a bounding box only there."""
    properties = entry.get("properties")
    if entry.get("type") == "Feature" and isinstance(properties, Mapping):
        bbox = entry.get("bbox")
        corners = dict(zip(_BOX_SIDES, (*bbox[:2], *bbox[len(bbox) // 2 :][:2]), strict=False)) if bbox else None
        return {**properties, "geometry": entry.get("geometry"), "bbox": corners, "id": entry.get("id")}
    return {name: value for name, value in entry.items() if name != "bbox" or isinstance(value, Mapping)}


def _number(low: float, high: float, hint: str = "") -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool):
            raise ValueError("no number")
        number = float(value)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError(f"not from {low:g} to {high:g}{hint}")
        return number

    return read


def _gsd(value: Any) -> float:
    number = _number(0, _MAX_GSD)(value)
    if number == 0:
        raise ValueError("not above 0 metres")
    return number


def _time(value: Any) -> dt.datetime:
    """A time, or the midnight (UTC) that begins a day."""
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value.strip())
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    raise ValueError("no date in the form of ISO 8601")


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise ValueError("no short text")
    return value.strip()


def _crs(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"EPSG:{value}"
    if not isinstance(value, str) or len(value) > _WORST_CRS:
        raise ValueError("no code or WKT of a coordinate reference system")
    return f"EPSG:{value}" if value.strip().isdecimal() else value.strip()


def _bbox(value: Any) -> Bounds:
    if not isinstance(value, Mapping):
        raise ValueError("no struct of xmin, ymin, xmax and ymax")
    west, south, east, north = (_SIDE[side](value[side]) for side in _BOX_SIDES)
    if south > north:
        raise ValueError("its south is above its north")
    return west, south, east, north


def _outline(value: Any) -> bytes:
    return read_outline(json.loads(value) if isinstance(value, str) and value.lstrip().startswith("{") else value)


_LON = _number(-180, 180)
_LAT = _number(-90, 90, "; are longitude and latitude swapped?")
_SIDE: Mapping[str, Callable[[Any], float]] = {"xmin": _LON, "xmax": _LON, "ymin": _LAT, "ymax": _LAT}
_READ: Mapping[str, Callable[[Any], Any]] = {
    "lon": _LON,
    "lat": _LAT,
    "bbox": _bbox,
    "geometry": _outline,
    "crs": _crs,
    "gsd": _gsd,
    "datetime": _time,
    "platform": _text,
    "split": _text,
    "grid_cell": _text,
}
