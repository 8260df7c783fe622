"""A manifest says which bands of a folder and which of several pictures are the image: no other is seen or stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.load import decode, load_stored
from lrs2m_builder.images.part import Part
from tests.test_images import write_geotiff

COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200))
RGB = Part(bands=("B04", "B03", "B02"))


def three_panels(path: Path, **options: Any) -> Path:
    """A red, a green and a blue square of 48 pixels (whole JPEG blocks) side by side."""
    panels = np.concatenate([np.full((48, 48, 3), colour, np.uint8) for colour in COLOURS], axis=1)
    Image.fromarray(panels).save(path, **options)
    return path


def patch_folder(folder: Path, sizes: dict[str, int]) -> Path:
    """A file a band, each bright in the column of its place."""
    folder.mkdir()
    for place, (band, size) in enumerate(sizes.items()):
        pixels = np.full((1, size, size), 1000, np.uint16)
        width = size // len(sizes)
        pixels[0, :, place * width : (place + 1) * width] = 9000
        write_geotiff(folder / f"{folder.name}_{band}.tif", pixels)
    return folder


def reason_of(path: Path, part: Part) -> str:
    with pytest.raises(SampleError) as caught:
        decode(path, part=part)
    return caught.value.reason


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_model_sees_and_the_shard_stores_the_panel_alone(tmp_path: Path, suffix: str, number: int) -> None:
    path = three_panels(tmp_path / f"1{suffix}")
    part = Part(panel=(number, 3))
    asked: list[tuple[int, int]] = []

    def quarter(width: int, height: int) -> tuple[int, int]:
        asked.append((width, height))
        return 10, 10

    seen = decode(path, quarter, part)
    stored = load_stored(path, part)
    assert (asked, seen.size, (stored.width, stored.height)) == ([(48, 48)], (10, 10), (48, 48))
    assert np.abs(np.asarray(seen).astype(int) - COLOURS[number - 1]).max() < 12


def test_a_panel_is_cut_from_a_raster_of_16_bits(tmp_path: Path) -> None:
    pixels = np.full((3, 40, 80), 1000, np.uint16)
    pixels[0, :, 40:] = 5000
    path = write_geotiff(tmp_path / "1.tif", pixels)
    seen = np.asarray(decode(path, lambda width, height: (width // 4, height // 4), Part(panel=(2, 2))))
    assert seen.shape == (10, 10, 3) and (seen[..., 0] == 255).all()


def test_a_picture_of_another_shape_is_all_of_the_image_and_stored_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    Image.new("RGB", (40, 40)).save(path)
    assert load_stored(path, Part(panel=(1, 3))).data == path.read_bytes()


def test_panels_are_counted_in_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: the last panel is the first
    path = three_panels(tmp_path / "1.jpg", exif=exif, quality=95)
    middle = np.asarray(decode(path, part=Part(panel=(1, 3))))[8:-8, 8:-8].astype(int)
    assert np.abs(middle - COLOURS[2]).max() < 12
    stored = load_stored(path, Part(panel=(1, 3)))
    assert (stored.suffix, stored.width, stored.height) == (".png", 48, 48)


def test_band_files_of_a_folder_become_red_green_and_blue(tmp_path: Path) -> None:
    folder = patch_folder(tmp_path / "S2A_1_2", {"B02": 60, "B03": 60, "B04": 60, "B8A": 60})
    pixels = np.asarray(decode(folder, part=RGB))
    assert [set((np.nonzero(pixels[30, :, c] > 200)[0] // 15).tolist()) for c in range(3)] == [{2}, {1}, {0}]
    stored = load_stored(folder, RGB)
    assert (stored.suffix, stored.width, stored.height) == (".png", 60, 60)


def test_coarser_bands_are_enlarged_to_the_finest(tmp_path: Path) -> None:
    folder = patch_folder(tmp_path / "patch", {"B01": 20, "B05": 30, "B04": 60})
    pixels = np.asarray(decode(folder, part=Part(bands=("B01", "B05", "B04"))))
    assert pixels.shape == (60, 60, 3)
    assert [int(np.argmax(pixels[30, 10::20, c])) for c in range(3)] == [0, 1, 2]


def test_a_folder_without_the_bands_says_what_is_missing(tmp_path: Path) -> None:
    folder = patch_folder(tmp_path / "patch", {"B02": 8, "B03": 8})
    assert reason_of(folder, RGB) == "image_unsupported"
    assert reason_of(folder, Part()) == reason_of(folder, Part(bands=(3, 2, 1))) == "image_unreadable"
    (folder / "patch_B04.tif").write_bytes((folder / "patch_B03.tif").read_bytes()[:100])
    assert reason_of(folder, RGB) == "image_unreadable"
    (folder / "again_B04.tif").touch()
    assert reason_of(folder, RGB) == "image_unsupported"


def test_names_of_band_files_change_nothing_about_a_file_of_its_own(tmp_path: Path) -> None:
    path = three_panels(tmp_path / "1.png")
    assert load_stored(path, RGB).data == path.read_bytes()
    raster = write_geotiff(tmp_path / "4.tif", np.arange(4 * 64, dtype=np.uint16).reshape(4, 8, 8))
    with rasterio.open(raster) as file:
        assert file.count == 4
    assert (np.asarray(decode(raster, part=RGB)) == np.asarray(decode(raster))).all()
