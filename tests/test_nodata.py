"""Holes of one far-off value that no tag names are no-data: black, and no part of the stretch; bright things not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrs2m_builder.images import nodata
from lrs2m_builder.images.load import decode
from tests.test_images import write_geotiff

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
SIDE, HOLE = 96, 30  # the first columns are the hole


def scene(dtype: str, low: float = 400, high: float = 3000) -> np.ndarray:
    """Three bands as a sensor gives them: a bell of values with dark and bright ends."""
    random = np.random.default_rng(0).normal((low + high) / 2, (high - low) / 6, (3, SIDE, SIDE))
    return np.clip(random, low, high).astype(dtype)


def stretched(path: Path, bands: np.ndarray) -> np.ndarray:
    return np.asarray(decode(write_geotiff(path, bands))).astype(int)


HOLES = [
    *[("int16", value) for value in (-9999, -32768, 0, -1, 32767)],
    *[("uint16", value) for value in (0, 65535, 255)],
    *[("float32", value) for value in (-9999, -3.4028235e38, 3.4028235e38, 0, 1e20, -1e10, 99999, -999)],
    *[("int32", value) for value in (-(2**31), 2**31 - 1)],
    ("float64", -1.7e308),
]


@pytest.mark.parametrize(("dtype", "value"), HOLES)
def test_a_hole_without_a_tag_is_black_and_does_not_shift_the_stretch(tmp_path: Path, dtype: str, value: float) -> None:
    bands = scene(dtype)
    whole = stretched(tmp_path / "whole.tif", bands[:, :, HOLE:])
    bands[:, :, :HOLE] = value
    holed = stretched(tmp_path / "holed.tif", bands)
    assert not holed[:, :HOLE].any()
    assert np.abs(holed[:, HOLE:] - whole).max() <= 1


def test_two_kinds_of_holes_in_one_image_are_both_left_out(tmp_path: Path) -> None:
    bands = scene("int16")
    whole = stretched(tmp_path / "whole.tif", bands[:, 20:, HOLE:])
    bands[:, :, :HOLE], bands[:, :20] = -9999, 0
    holed = stretched(tmp_path / "holed.tif", bands)
    assert np.abs(holed[20:, HOLE:] - whole).max() <= 1


def test_a_hole_with_blended_edges_is_left_out(tmp_path: Path) -> None:
    bands = scene("float32")
    whole = stretched(tmp_path / "whole.tif", bands[:, :, HOLE + 1 :])
    bands[:, :, HOLE] = (bands[:, :, HOLE] - 9999) / 2
    bands[:, 0::2, HOLE] = bands[:, 0::2, HOLE + 1]
    bands[:, :, :HOLE] = -9999
    holed = stretched(tmp_path / "holed.tif", bands)
    assert np.abs(holed[:, HOLE + 1 :] - whole).mean() < 8


@pytest.mark.parametrize(
    ("dtype", "value", "low", "high"),
    [
        ("float32", 1.0, 0.02, 0.45),
        ("uint16", 4095, 200, 2500),
        ("uint16", 10000, 400, 5000),
        ("uint16", 65535, 900, 60000),
    ],
)
def test_what_is_bright_stays_bright(tmp_path: Path, dtype: str, value: float, low: float, high: float) -> None:
    bands = scene(dtype, low, high)
    bands[:, :, :HOLE] = value  # clouds at the sensor's end
    assert (stretched(tmp_path / "a.tif", bands)[:, :HOLE] >= 254).all()


@pytest.mark.parametrize("levels", [2, 5, 12])
def test_classes_are_not_taken_for_holes(tmp_path: Path, levels: int) -> None:
    classes = np.random.default_rng(1).integers(0, levels, (1, SIDE, SIDE)).astype(np.uint16) * 900
    assert len(np.unique(stretched(tmp_path / "a.tif", classes))) == levels


def test_dark_water_at_zero_beside_values_close_to_it_is_no_hole() -> None:
    values = np.abs(np.random.default_rng(2).normal(0, 300, (SIDE, SIDE)))
    values[:, :HOLE] = 0
    assert nodata.find_constants(values) == []


def test_a_hole_in_an_image_that_pillow_reads_is_left_out_too(tmp_path: Path) -> None:
    values = scene("uint16")[0]
    values[:, :HOLE] = 65535
    Image.fromarray(values).save(tmp_path / "a.png")
    seen = np.asarray(decode(tmp_path / "a.png"))
    assert not seen[:, :HOLE].any() and 100 < seen[:, HOLE:].mean() < 155


def test_it_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nodata._said.clear()
    for number in range(3):
        bands = scene("int16")
        bands[:, :, :HOLE] = -9999
        stretched(tmp_path / f"{number}.tif", bands)
    (record,) = caplog.records
    assert "0.tif: -9999 covers part of it" in record.message
