"""Outlines on Earth as WKB, WKT and GeoJSON: points, polygons and multipolygons in longitude and latitude.

A polygon is its rings, the outer one first, each closed; a height is dropped. Needs no geometry library.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

LonLat = tuple[float, float]
Polygon = tuple[tuple[LonLat, ...], ...]
Bounds = tuple[float, float, float, float]
"""West, south, east and north; west is greater than east across the antimeridian."""

MAX_POINTS = 100_000  # of an outline from outside; a footprint has five
_POINT, _POLYGON, _MULTIPOLYGON = 1, 3, 6
_NAMES = {"point": _POINT, "polygon": _POLYGON, "multipolygon": _MULTIPOLYGON}
_WKT = re.compile(r"(?:SRID=4326;)?\s*(POINT|POLYGON|MULTIPOLYGON)\s*(?:Z\s*)?(\(.*\))\s*", re.IGNORECASE | re.DOTALL)
_WKT_NUMBERS = re.compile(r"([-+.\deE]+)\s+([-+.\deE]+)(?:\s+[-+.\deE]+)*")
_SPANS_HALF = 180  # degrees: a footprint that seems wider crosses the antimeridian


def point(lon: float, lat: float) -> bytes:
    """A point as WKB."""
    return struct.pack("<BIdd", 1, _POINT, lon, lat)


def multipolygon(polygons: Sequence[Polygon]) -> bytes:
    """Polygons as WKB: a Polygon if it is one, else a MultiPolygon."""
    each = [struct.pack("<BII", 1, _POLYGON, len(polygon)) + b"".join(map(_ring, polygon)) for polygon in polygons]
    return each[0] if len(each) == 1 else struct.pack("<BII", 1, _MULTIPOLYGON, len(each)) + b"".join(each)


def box(bounds: Bounds) -> bytes:
    """A bounding box as WKB; two boxes, cut at the antimeridian, if it crosses that."""
    west, south, east, north = bounds
    if west == east and south == north:
        return point(west, south)
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return multipolygon([(((w, south), (e, south), (e, north), (w, north), (w, south)),) for w, e in spans])


def read_outline(value: object) -> bytes:
    """An outline from outside as WKB: WKB itself (also in hexadecimal), WKT, or a GeoJSON geometry.

    Raises:
        ValueError: it is none of these, of another kind (a line), or not in longitude and latitude.
    """
    if isinstance(value, str):
        value = bytes.fromhex(value) if re.fullmatch("(?:[0-9A-Fa-f]{2}){9,}", value) else value
    if isinstance(value, bytes | bytearray | memoryview):
        kind, parts = _read_wkb(bytes(value))
    elif isinstance(value, str):
        kind, parts = _read_wkt(value)
    elif isinstance(value, Mapping):
        kind, parts = _read_geojson(value)
    else:
        raise ValueError(f"{type(value).__name__} where an outline (WKB, WKT or GeoJSON) should be")
    for lon, lat in points_of(parts):
        if not (-180 <= lon <= 180 and -90 <= lat <= 90):
            raise ValueError(f"{lon:g}, {lat:g} is no longitude and latitude")
    return point(*parts[0][0][0]) if kind == _POINT else multipolygon(parts)


def polygons_of(geometry: bytes) -> list[Polygon]:
    """The polygons of a WKB; a point is one polygon of one ring of one point."""
    return _read_wkb(geometry)[1]


def points_of(polygons: Iterable[Polygon]) -> Iterator[LonLat]:
    """All points of all rings."""
    return (spot for polygon in polygons for ring in polygon for spot in ring)


def kind_of(geometry: bytes) -> str:
    """Point, Polygon or MultiPolygon."""
    kind = _read_wkb(geometry)[0]
    return {_POINT: "Point", _POLYGON: "Polygon", _MULTIPOLYGON: "MultiPolygon"}[kind]


def bounds_of(geometry: bytes) -> Bounds:
    """The bounding box of a WKB; parts on both sides of the antimeridian make one that crosses it."""
    polygons = polygons_of(geometry)
    spots = list(points_of(polygons))
    south, north = min(lat for _, lat in spots), max(lat for _, lat in spots)
    west, east = min(lon for lon, _ in spots), max(lon for lon, _ in spots)
    if len(polygons) > 1 and (west, east) == (-180, 180):
        right = [lon for lon, _ in spots if lon > 0]
        left = [lon for lon, _ in spots if lon < 0]
        if min(right) - max(left) > _SPANS_HALF:
            west, east = min(right), max(left)
    return west, south, east, north


def centre_of(bounds: Bounds) -> LonLat:
    """The middle of a bounding box."""
    west, south, east, north = bounds
    lon = (west + east + (360 if west > east else 0)) / 2
    return (lon - 360 if lon > 180 else lon), (south + north) / 2


def to_geojson(geometry: bytes) -> dict[str, Any]:
    """A WKB as a GeoJSON geometry."""
    kind, polygons = _read_wkb(geometry)
    lists = [[[list(spot) for spot in ring] for ring in polygon] for polygon in polygons]
    inside: Any = lists[0][0][0] if kind == _POINT else lists[0] if kind == _POLYGON else lists
    return {"type": kind_of(geometry), "coordinates": inside}


def to_wkt(geometry: bytes) -> str:
    """A WKB as WKT."""
    kind, polygons = _read_wkb(geometry)
    texts = [f"({', '.join(f'({_wkt_ring(ring)})' for ring in polygon)})" for polygon in polygons]
    if kind == _POINT:
        return f"POINT ({_wkt_ring(polygons[0][0])})"
    return f"POLYGON {texts[0]}" if kind == _POLYGON else f"MULTIPOLYGON ({', '.join(texts)})"


def _wkt_ring(ring: Sequence[LonLat]) -> str:
    return ", ".join(f"{lon!r} {lat!r}" for lon, lat in ring)


def _ring(ring: Sequence[LonLat]) -> bytes:
    return struct.pack(f"<I{2 * len(ring)}d", len(ring), *(number for spot in ring for number in spot))


def _read_wkb(data: bytes) -> tuple[int, list[Polygon]]:
    try:
        kind, polygons, end = _wkb_at(data, 0)
    except struct.error as error:
        raise ValueError("WKB that ends too early") from error
    if end != len(data):
        raise ValueError("bytes that are no WKB")
    return kind, polygons


def _wkb_at(data: bytes, at: int) -> tuple[int, list[Polygon], int]:
    """Kind and polygons of the geometry at an offset, and the offset of its end."""
    order = {0: ">", 1: "<"}.get(data[at] if at < len(data) else 2)
    if order is None:
        raise ValueError("bytes that are no WKB")
    (code,) = struct.unpack_from(f"{order}I", data, at + 1)
    at += 5 + (4 if code & 0x20000000 else 0)  # EWKB names its SRID
    has_z = bool(code & 0x80000000) or 1000 < code % 0x10000000 < 3000
    kind, width = (code & 0xFFFF) % 1000, 3 if has_z else 2
    if kind == _POINT:
        return kind, [((struct.unpack_from(f"{order}dd", data, at),),)], at + 8 * width
    if kind not in {_POLYGON, _MULTIPOLYGON}:
        raise ValueError(f"a geometry of kind {kind} is no point or polygon")
    (number,) = struct.unpack_from(f"{order}I", data, at)
    at += 4
    polygons: list[Polygon] = []
    rings: list[tuple[LonLat, ...]] = []
    for _ in range(_bounded(number)):
        if kind == _MULTIPOLYGON:
            _, inner, at = _wkb_at(data, at)
            polygons += inner
        else:
            (length,) = struct.unpack_from(f"{order}I", data, at)
            numbers = struct.unpack_from(f"{order}{_bounded(length) * width}d", data, at + 4)
            rings.append(tuple(zip(numbers[::width], numbers[1::width], strict=True)))
            at += 4 + 8 * len(numbers)
    return kind, _whole(polygons if kind == _MULTIPOLYGON else [tuple(rings)]), at


def _bounded(number: int) -> int:
    if number > MAX_POINTS:
        raise ValueError(f"an outline of {number:,} parts")
    return number


def _whole(polygons: list[Polygon]) -> list[Polygon]:
    """Polygons with at least one ring of four points and only finite numbers."""
    if not polygons or any(not polygon or any(len(ring) < 4 for ring in polygon) for polygon in polygons):
        raise ValueError("an empty outline")
    if not all(math.isfinite(lon) and math.isfinite(lat) for lon, lat in points_of(polygons)):
        raise ValueError("an outline with a number that is not finite")
    return polygons


def _read_wkt(text: str) -> tuple[int, list[Polygon]]:
    match = _WKT.fullmatch(text[: 64 * MAX_POINTS])
    if match is None:
        raise ValueError(f"{text[:60]!r} is no WKT of a point or polygon")
    kind = _NAMES[match[1].lower()]
    if kind == _POINT:
        return kind, [(tuple(_wkt_points(match[2])),)]
    # The innermost brackets are rings; "))" ends a polygon.
    texts = match[2].split("))") if kind == _MULTIPOLYGON else [match[2]]
    polygons = [tuple(tuple(_wkt_points(ring)) for ring in re.findall(r"\(([^()]+)\)?", text)) for text in texts]
    return kind, _whole([polygon for polygon in polygons if polygon])


def _wkt_points(text: str) -> list[LonLat]:
    spots = [(float(x), float(y)) for x, y in _WKT_NUMBERS.findall(text)]
    if not spots:
        raise ValueError(f"{text[:60]!r} has no points")
    return spots


def _read_geojson(value: Mapping[str, Any]) -> tuple[int, list[Polygon]]:
    kind, inside = _NAMES.get(str(value.get("type")).lower()), value.get("coordinates")
    if kind is None:
        raise ValueError(f"a geometry of type {value.get('type')!r} is no point or polygon")
    try:
        if kind == _POINT:
            return kind, [((_spot(inside),),)]
        polygons: Any = inside if kind == _MULTIPOLYGON else [inside]
        return kind, _whole([tuple(tuple(map(_spot, ring)) for ring in polygon) for polygon in polygons])
    except (TypeError, IndexError) as error:
        raise ValueError(f"coordinates that are none: {str(inside)[:60]}") from error


def _spot(values: Any) -> LonLat:
    return float(values[0]), float(values[1])
