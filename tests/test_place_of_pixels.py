"""Where pixels are on Earth: corners, ground size and cell agree with pyproj, also at poles and the antimeridian."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

from lrs2m_builder.images.place import crs_name, footprints, grid_cell, to_lonlat

shapely = pytest.importorskip("shapely")
pyproj = pytest.importorskip("pyproj")

REAL = Path(os.environ.get("LRS2M_REAL_DATA", "../shared/data"))
CUSTOM = "+proj=laea +lat_0=52.3 +lon_0=10.1 +x_0=120 +y_0=55 +ellps=GRS80 +units=m +type=crs"
CASES = {
    "utm": (Affine(0.5, 0, 733601, 0, -0.5, 3725139), "EPSG:32616"),
    "geographic": (Affine(0.00032, 0, -84.5, 0, -0.00032, 33.6), "EPSG:4326"),
    "mercator at 60 degrees": (Affine(0.6, 0, 1_200_000, 0, -0.6, 8_399_737), "EPSG:3857"),
    "own projection": (Affine(30, 0, 5000, 0, -30, -12000), CUSTOM),
    "rotated": (Affine(-0.0286, -2.5, 592_994.8, -2.5, 0.0286, 4_183_000), "EPSG:32631"),
    "feet": (Affine(1, 0, 2_200_000, 0, -1, 1_300_000), "EPSG:2240"),
}


def ground_size(crs: str, transform: Affine, column: float, row: float) -> float:
    """Metres per pixel by pyproj: the geometric mean of both axes."""
    to_wgs84 = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    geod, sides = pyproj.Geod(ellps="WGS84"), []
    for dx, dy in ((0.5, 0), (0, 0.5)):
        first = to_wgs84.transform(*(transform @ (column - dx, row - dy)))
        second = to_wgs84.transform(*(transform @ (column + dx, row + dy)))
        sides.append(geod.inv(*first, *second)[2])
    return float(np.sqrt(sides[0] * sides[1]))


@pytest.mark.parametrize("name", CASES)
def test_corners_are_those_of_pyproj_and_the_ground_size_is_geodesic(name: str) -> None:
    transform, crs = CASES[name]
    window = (512, 1024, 512, 512)
    (place,) = footprints(transform, CRS.from_user_input(crs), [window])
    assert place is not None
    back = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    ring = shapely.from_wkb(place.geometry).exterior.coords
    pixels = np.array([~transform @ back.transform(lon, lat) for lon, lat in ring])
    for corner in ((512, 1024), (1024, 1024), (1024, 1536), (512, 1536)):
        assert np.min(np.hypot(*(pixels - corner).T)) < 0.1
    assert np.abs(pixels - (768, 1280)).max() < 256.1
    assert np.allclose(~transform @ back.transform(place.lon, place.lat), (768, 1280), atol=0.01)
    assert place.gsd == pytest.approx(ground_size(crs, transform, 768, 1280), rel=0.001)
    assert shapely.from_wkb(place.geometry).is_valid


def test_curved_sides_are_followed() -> None:
    """A whole Sentinel-2 scene: the straight line between two corners is wrong by over a hundred metres."""
    (place,) = footprints(Affine(10, 0, 300_000, 0, -10, 7_000_000), CRS.from_epsg(32632), [(0, 0, 10980, 10980)])
    assert place is not None
    back = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True)
    outline = shapely.segmentize(shapely.from_wkb(place.geometry), 0.01)
    metres = shapely.transform(outline, lambda xy: np.array(back.transform(*xy.T)).T)
    assert metres.hausdorff_distance(shapely.box(300_000, 7_000_000 - 109_800, 409_800, 7_000_000)) < 10


def test_a_window_over_the_antimeridian_is_cut_there_and_its_centre_is_inside() -> None:
    transform = Affine(100, 0, 1_500, 0, -100, 8_000_000)
    crs = CRS.from_string("+proj=tmerc +lat_0=0 +lon_0=180 +k=0.9996 +x_0=20000 +y_0=0 +datum=WGS84 +type=crs")
    (place,) = footprints(transform, crs, [(0, 0, 400, 400)])
    assert place is not None
    shape = shapely.from_wkb(place.geometry)
    west, south, east, north = place.bbox
    assert shape.geom_type == "MultiPolygon" and shape.is_valid and west > east
    assert shape.contains(shapely.Point(place.lon, place.lat))
    area, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shape)
    assert area == pytest.approx(40_000**2, rel=0.01)
    assert (south, north) == pytest.approx((shape.bounds[1], shape.bounds[3]))


@pytest.mark.parametrize(("left", "top"), [(-20_000, 20_000), (0, 20_000), (0, 40_000), (-13_000, 31_000)])
def test_a_window_over_or_beside_a_pole_is_widened_to_it(left: int, top: int) -> None:
    """With the pole at the centre, on a side, at a corner, and off the centre."""
    for epsg, sign in ((3413, 1), (3031, -1)):
        (place,) = footprints(Affine(100, 0, left, 0, -100, top), CRS.from_epsg(epsg), [(0, 0, 400, 400)])
        assert place is not None
        shape = shapely.from_wkb(place.geometry)
        assert shape.is_valid
        reaches = left <= 0 <= left + 40_000 and top - 40_000 <= 0 <= top
        assert (max(abs(place.bbox[1]), abs(place.bbox[3])) == pytest.approx(90)) == reaches
        assert np.sign(place.lat) == sign
        scale = ground_size(f"EPSG:{epsg}", Affine(100, 0, left, 0, -100, top), 200, 200) / 100
        assert _area_of_cap(shape) == pytest.approx((40_000 * scale) ** 2, rel=0.01)


def _area_of_cap(shape: object) -> float:
    """Area in square metres near a pole, in equal-area coordinates."""
    crs = pyproj.CRS("+proj=laea +lat_0=90 +datum=WGS84" if shape.bounds[3] > 0 else "+proj=laea +lat_0=-90")  # type: ignore[attr-defined]
    flat = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    dense = shapely.segmentize(shape, 1)
    return float(shapely.transform(dense, lambda xy: np.array(flat.transform(*xy.T)).T).area)


def test_longitudes_from_0_to_360_and_the_whole_globe_are_within_180() -> None:
    crs = CRS.from_epsg(4326)
    half, whole = footprints(Affine(0.5, 0, 0, 0, -0.5, 90), crs, [(400, 100, 100, 100), (0, 0, 720, 360)])
    assert half is not None and whole is not None
    assert half.lon == pytest.approx(-135) and half.bbox == pytest.approx((-160, -10, -110, 40))
    assert whole.bbox == pytest.approx((-180, -90, 180, 90))
    assert shapely.from_wkb(whole.geometry).area == pytest.approx(360 * 180)


def test_a_window_beyond_the_projection_has_no_footprint() -> None:
    crs = CRS.from_string("+proj=geos +h=35785831 +lon_0=0 +sweep=y +datum=WGS84 +type=crs")
    transform = Affine(3000, 0, -5_570_000, 0, -3000, 5_570_000)
    off_earth, on_earth = footprints(transform, crs, [(0, 0, 100, 100), (1800, 1800, 100, 100)])
    assert off_earth is None and on_earth is not None and 2500 < on_earth.gsd < 3500


def test_grid_cells_count_rows_from_the_equator_and_columns_from_greenwich() -> None:
    """Rows of 180 / 2004 degrees; the latitude of its south edge gives a row's number of columns."""
    rows = 180 / 2004
    assert grid_cell(0.01, 0.01) == "0U_0R" and grid_cell(-0.01, -0.01) == "1D_1L"
    assert grid_cell(10.0, rows * 393.5).startswith("393U_")
    assert {grid_cell(179.9999, 10)[-1], grid_cell(-179.9, 10)[-1]} == {"R", "L"}
    assert grid_cell(0, 90).startswith("1001U_") and grid_cell(0, -90).startswith("1002D_")


def test_a_crs_is_named_by_its_code_or_its_words() -> None:
    assert crs_name(CRS.from_epsg(32616)) == "EPSG:32616"
    named = crs_name(CRS.from_user_input(CUSTOM))
    assert named.startswith("PROJCRS[") and CRS.from_wkt(named) == CRS.from_user_input(CUSTOM)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")
@pytest.mark.parametrize("pattern", ["eurosat", "hydro_s2", "hyspecnet_enmap", "ssl4eo_s12", "bigearthnet_v2"])
def test_ground_sizes_of_real_files_are_geodesic(pattern: str) -> None:
    files = sorted((REAL / pattern).rglob("*.tif*")) + sorted((REAL / pattern).rglob("*.TIF"))
    for path in files[:3]:
        with rasterio.open(path) as raster:
            (place,) = footprints(raster.transform, raster.crs, [(0, 0, raster.width, raster.height)])
            if place is None:
                continue
            size = ground_size(raster.crs.to_wkt(), raster.transform, raster.width / 2, raster.height / 2)
            assert place.gsd == pytest.approx(size, rel=0.005)
            lon, lat = to_lonlat(raster.transform, raster.crs, raster.width / 2, raster.height / 2)
            assert (float(lon), float(lat)) == pytest.approx((place.lon, place.lat), abs=1e-6)
