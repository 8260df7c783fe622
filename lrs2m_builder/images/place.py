"""Where pixels are on Earth: footprint, size of a pixel and grid cell of a window of a georeferenced raster.

Needs rasterio alone; angles are degrees of WGS 84, longitude first, lengths metres.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LonLat = tuple[float, float]
Window = tuple[int, int, int, int]
"""Column and row of the upper left pixel, width, height."""

_EQUATOR_M, _FLATTENING = 6_378_137.0, 1 / 298.257223563  # WGS 84
_CELL_RADIUS_KM = 6378.137  # Major-TOM's Earth is a sphere
_EDGE_POINTS = 16  # per side of a footprint whose sides are curved in longitude and latitude
_CURVED_PX = 0.1  # a side is curved if its middle is further than this from the straight line
_POLE = 90 - 1e-9


@dataclass(frozen=True, slots=True)
class Footprint:
    """A window's place on Earth.

    Attributes:
        lon, lat: the centre of its pixels.
        bbox: west, south, east, north; west is greater than east if it crosses the antimeridian (RFC 7946).
        geometry: the outline as WKB: a Polygon, or a MultiPolygon cut at the antimeridian.
        gsd_x, gsd_y: metres per pixel on the ground at the centre, across and down.
        grid_cell: the Major-TOM cell of 10 km that holds the centre, such as 301U_1184R.
    """

    lon: float
    lat: float
    bbox: tuple[float, float, float, float]
    geometry: bytes
    gsd_x: float
    gsd_y: float
    grid_cell: str

    @property
    def gsd(self) -> float:
        """Metres per pixel: the geometric mean of both axes."""
        return math.sqrt(self.gsd_x * self.gsd_y)


def footprints(transform: Sequence[float], crs: Any, windows: Sequence[Window]) -> list[Footprint | None]:
    """The footprints of windows of a raster; None for one that reaches beyond what its CRS can express.

    Args:
        transform: the raster's affine transform (a, b, c, d, e, f): x = a * column + b * row + c.
        crs: the raster's rasterio CRS.
    """
    if not windows:
        return []
    columns, rows = np.array([_spots(window) for window in windows]).transpose(2, 0, 1)  # (2, windows, 13)
    lons, lats = to_lonlat(transform, crs, columns, rows)
    found: list[Footprint | None] = []
    for window, lon, lat in zip(windows, lons, lats, strict=True):
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            found.append(None)
            continue
        gsd = _metres(lon[9:11], lat[9:11]), _metres(lon[11:13], lat[11:13])
        if _is_curved(lon[:8], lat[:8], min(gsd)):
            ring = _outline(transform, crs, window)
        else:
            ring = list(zip(lon[:8:2].tolist(), lat[:8:2].tolist(), strict=True))
        found.append(_footprint(_wrapped(float(lon[8])), float(lat[8]), ring, gsd))
    return found


def to_lonlat(transform: Sequence[float], crs: Any, columns: Any, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of pixel positions of any shape; 0, 0 is the corner of the first pixel."""
    columns, rows = np.asarray(columns, float), np.asarray(rows, float)
    a, b, c, d, e, f = transform[:6]
    lons_lats = _to_wgs84(crs, (a * columns + b * rows + c).ravel(), (d * columns + e * rows + f).ravel())
    return lons_lats[0].reshape(columns.shape), lons_lats[1].reshape(columns.shape)


def _to_wgs84(crs: Any, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Longitudes and latitudes (2, N); NaN or infinite where the projection has none."""
    from rasterio._err import CPLE_BaseError
    from rasterio.warp import transform as reproject

    try:
        return np.array(reproject(crs, "EPSG:4326", xs, ys))
    except CPLE_BaseError:  # GDAL refuses all points for one that is off the map
        if len(xs) == 1:
            return np.full((2, 1), np.nan)
        half = len(xs) // 2
        return np.concatenate([_to_wgs84(crs, xs[:half], ys[:half]), _to_wgs84(crs, xs[half:], ys[half:])], axis=1)


def grid_cell(lon: float, lat: float, km: float = 10) -> str:
    """The cell of Major-TOM's grid (arXiv 2402.12095): rows from the equator, columns from Greenwich, `km` wide."""
    num_rows = math.ceil(math.pi * _CELL_RADIUS_KM / km)
    row = min(math.floor(lat * num_rows / 180), num_rows // 2 - 1)
    south = row * 180 / num_rows
    num_columns = max(1, math.ceil(2 * math.pi * _CELL_RADIUS_KM * math.cos(math.radians(south)) / km))
    column = math.floor(lon % 360 * num_columns / 360) % num_columns
    east = 2 * column < num_columns
    return f"{abs(row)}{'U' if row >= 0 else 'D'}_{column if east else num_columns - column}{'R' if east else 'L'}"


def crs_name(crs: Any) -> str:
    """A rasterio CRS as "EPSG:32616", or as WKT2 if no code is exactly this CRS."""
    code = crs.to_epsg(confidence_threshold=90)
    return f"EPSG:{code}" if code else str(crs.to_wkt(version="WKT2_2019"))


def wkb(polygons: Sequence[Sequence[LonLat]]) -> bytes:
    """Closed rings as the WKB of a Polygon, or of a MultiPolygon if there are several."""
    each = [struct.pack("<BIII", 1, 3, 1, len(ring)) + np.array(ring, "<f8").tobytes() for ring in polygons]
    return each[0] if len(each) == 1 else struct.pack("<BII", 1, 6, len(each)) + b"".join(each)


def _spots(window: Window) -> list[LonLat]:
    """The pixel positions that are looked up: corners and middles of the sides, centre, ends of the centre pixel."""
    left, top, width, height = window
    right, bottom, x, y = left + width, top + height, left + width / 2, top + height / 2
    sides = [(left, top), (x, top), (right, top), (right, y), (right, bottom), (x, bottom), (left, bottom), (left, y)]
    return [*sides, (x, y), (x - 0.5, y), (x + 0.5, y), (x, y - 0.5), (x, y + 0.5)]


def _metres(lon: np.ndarray, lat: np.ndarray) -> float:
    """The distance of two near points on the ellipsoid, by the chord: exact to 1e-6 below 50 km, at the poles too."""
    lon, lat = np.radians(lon), np.radians(lat)
    squared = _FLATTENING * (2 - _FLATTENING)
    normal = _EQUATOR_M / np.sqrt(1 - squared * np.sin(lat) ** 2)
    x, y = normal * np.cos(lat) * np.cos(lon), normal * np.cos(lat) * np.sin(lon)
    z = normal * (1 - squared) * np.sin(lat)
    chord = math.dist((x[0], y[0], z[0]), (x[1], y[1], z[1]))
    return 2 * _EQUATOR_M * math.asin(min(1.0, chord / (2 * _EQUATOR_M)))


def _is_curved(lon: np.ndarray, lat: np.ndarray, gsd: float) -> bool:
    """Whether the middle of a side is off the straight line in longitude and latitude (corners and middles in turn)."""
    lon = np.unwrap(lon, period=360)
    corners, middles = slice(0, 8, 2), slice(1, 8, 2)
    straight_lon = (lon[corners] + np.roll(lon[corners], -1)) / 2
    straight_lat = (lat[corners] + np.roll(lat[corners], -1)) / 2
    east = (lon[middles] - straight_lon) * np.cos(np.radians(lat[middles]))
    off = np.hypot(east, lat[middles] - straight_lat) * math.pi / 180 * _EQUATOR_M
    return bool(np.max(off) > _CURVED_PX * gsd) or float(np.max(np.abs(lat))) > 85


def _outline(transform: Sequence[float], crs: Any, window: Window) -> list[LonLat]:
    """The outline with many points per side, clockwise in pixels from the upper left."""
    left, top, width, height = window
    up = np.arange(_EDGE_POINTS) / _EDGE_POINTS
    zeros, ones = np.zeros(_EDGE_POINTS), np.ones(_EDGE_POINTS)
    columns = left + width * np.concatenate([up, ones, 1 - up, zeros])
    rows = top + height * np.concatenate([zeros, up, ones, 1 - up])
    lons, lats = to_lonlat(transform, crs, columns, rows)
    return list(zip(lons.tolist(), lats.tolist(), strict=True))


def _footprint(lon: float, lat: float, ring: list[LonLat], gsd: tuple[float, float]) -> Footprint:
    path = _unwrapped(ring)
    turn = path[-1][0] - path[0][0]
    if abs(turn) > 180:  # the ring goes once around: a pole is inside
        path = _around_pole(path, turn, math.copysign(90.0, lat))
    south, north = min(y for _, y in path), max(y for _, y in path)
    west, east = min(x for x, _ in path), max(x for x, _ in path)
    if east - west >= 360 - 1e-9:
        west, east = -180.0, 180.0
        if abs(turn) <= 180:
            path = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    polygons = [_counterclockwise(piece) for piece in _cut(path)]
    if len(polygons) == 1:
        west, east = min(x for x, _ in polygons[0]), max(x for x, _ in polygons[0])
    else:
        west, east = _wrapped(west), _wrapped(east)
    return Footprint(lon, lat, (west, south, east, north), wkb(polygons), *gsd, grid_cell(lon, lat))


def _around_pole(path: list[LonLat], turn: float, pole: float) -> list[LonLat]:
    """The outline of a cap: from the antimeridian once around, and back along the pole."""
    thrice = [(x + shift, y) for shift in (-turn, 0.0, turn) for x, y in path[:-1]]
    cap = [*thrice, (thrice[-1][0], pole), (thrice[0][0], pole), thrice[0]]
    return _half(_half(cap, -180, 1), 180, -1)


def _unwrapped(ring: list[LonLat]) -> list[LonLat]:
    """The closed ring with longitudes that never jump: the last differs from the first by 360 around a pole."""
    path: list[LonLat] = []
    for lon, lat in _without_poles([*ring, ring[0]]):
        if path:
            lon += 360 * round((path[-1][0] - lon) / 360)
        path.append((lon, lat))
    return path


def _without_poles(ring: list[LonLat]) -> Iterable[LonLat]:
    """A corner on a pole, whose longitude means nothing, as two points with its neighbours' longitudes."""
    last = len(ring) - 1
    for number, (lon, lat) in enumerate(ring):
        if abs(lat) < _POLE:
            yield lon, lat
            continue
        before, after = ring[(number or last) - 1][0], ring[number + 1 if number < last else 1][0]
        if number:
            yield before, lat
        if number < last:
            yield after, lat


def _cut(path: list[LonLat]) -> list[list[LonLat]]:
    """The closed ring cut at the antimeridian, each piece shifted into -180..180."""
    west, east = min(x for x, _ in path), max(x for x, _ in path)
    pieces = []
    for turn in range(math.floor((west + 180) / 360), math.ceil((east + 180) / 360) or 1):
        low = 360 * turn - 180
        piece = path if low <= west and east <= low + 360 else _half(_half(path, low, 1), low + 360, -1)
        if len(piece) > 3 and max(x for x, _ in piece) > min(x for x, _ in piece):
            pieces.append([(min(180.0, max(-180.0, x - 360 * turn)), y) for x, y in piece])
    return pieces


def _half(path: list[LonLat], limit: float, sign: int) -> list[LonLat]:
    """The part of a closed ring on one side of a meridian (Sutherland and Hodgman), closed."""
    kept: list[LonLat] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(path):
        if (x0 - limit) * sign >= 0:
            kept.append((x0, y0))
        if (x0 - limit) * (x1 - limit) < 0:
            kept.append((limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)))
    return [*kept, kept[0]] if kept else []


def _counterclockwise(ring: list[LonLat]) -> list[LonLat]:
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring))
    return ring if area >= 0 else ring[::-1]


def _wrapped(lon: float) -> float:
    return (lon + 180) % 360 - 180
