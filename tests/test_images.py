"""Any file becomes an upright 8-bit RGB picture or a reason why not, and is stored as bytes that a browser reads."""

from __future__ import annotations

import hashlib
import io
import re
import resource
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image, ImageOps

from lrs2m_builder.errors import SampleError
from lrs2m_builder.images import load, pixels
from lrs2m_builder.images.load import decode, load_stored
from lrs2m_builder.images.part import Part

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

REASONS = set(re.findall(r"image_\w+", load.__doc__ or ""))
REAL_FOLDERS = ["spacenet_solaris", "hydro_s2", "hyspecnet_enmap", "eurosat", "ssl4eo_s12", "bigearthnet_v2"]
REAL_FOLDERS += ["majortom", "ucmerced_tif"]
REAL_SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jp2"}
DAMAGED_PNGS = {"broken_data_stream.png", "truncated_end_chunk.png"}
CORNERS = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30))  # top left, top right, bottom left and right


def reason_of(path: Path, function: Any = decode, **options: Any) -> str:
    with pytest.raises(SampleError) as caught:
        function(path, **options)
    return caught.value.reason


def corner_image(width: int = 64, height: int = 32) -> Image.Image:
    four = Image.fromarray(np.array(CORNERS, np.uint8).reshape(2, 2, 3))
    return four.resize((width, height), Image.Resampling.NEAREST)


def corner_colors(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((2, 2), Image.Resampling.BOX), int).reshape(4, 3)


def smooth_image(width: int = 640, height: int = 480) -> Image.Image:
    """Hills of colour with a few straight edges, as a landscape from above has."""
    y, x = np.mgrid[0:height, 0:width] / 100.0
    waves = [np.sin(x * a + y * b + c) for a, b, c in ((1.1, 0.7, 0), (0.5, 1.9, 1), (2.3, 0.4, 2))]
    pixels = np.stack([120 + 60 * waves[i] + 30 * waves[i - 1] for i in range(3)], axis=-1)
    pixels[200:230, :] = (90, 90, 95)
    pixels[:, 400:440] *= 0.8
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_geotiff(path: Path, bands: np.ndarray, **options: Any) -> Path:
    shape = dict(zip(("count", "height", "width"), bands.shape, strict=True))
    with rasterio.open(path, "w", driver="GTiff", dtype=bands.dtype, **shape, **options) as raster:
        raster.write(bands)
    return path


def fault_of(path: Path) -> str:
    """What is wrong with how a file is read; "" if nothing is."""
    try:
        image = decode(path, lambda width, height: (48, 32))
    except SampleError as error:
        return "" if error.reason in REASONS else f"undocumented reason {error.reason}"
    except Exception as error:  # noqa: BLE001 - every file is looked at, and all faults are named at once
        return f"{type(error).__name__}: {error}"
    if (image.mode, image.size) != ("RGB", (48, 32)):
        return f"got {image.mode} {image.size}"
    try:
        stored = load_stored(path)
        with Image.open(io.BytesIO(stored.data)) as decoded:
            size = ImageOps.exif_transpose(decoded).size
    except (SampleError, OSError) as error:
        return f"stored: {error}"
    return "" if size == (stored.width, stored.height) else f"stored as {stored.width} x {stored.height}, is {size}"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_every_real_file_gives_a_picture_or_a_documented_reason(real_data: Path) -> None:
    paths = list((real_data / "pillow_odd").rglob("*"))
    for folder in REAL_FOLDERS:
        paths += [path for path in (real_data / folder).rglob("*") if path.suffix.lower() in REAL_SUFFIXES]
    paths = [path for path in paths if path.is_file()]
    assert len(paths) > 150
    faults = {str(path.relative_to(real_data)): fault for path in paths if (fault := fault_of(path))}
    assert not faults


@pytest.mark.parametrize("name", sorted(DAMAGED_PNGS))
def test_a_real_damaged_png_is_refused(real_data: Path, name: str) -> None:
    assert reason_of(real_data / "pillow_odd" / name) in {"image_unreadable", "image_truncated"}


def test_a_png_with_damaged_pixels_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "field.png"
    Image.fromarray(noise).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    path.write_bytes(data)
    assert reason_of(path) in {"image_unreadable", "image_truncated"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("target_size", [None, lambda width, height: (64, 32)], ids=["full", "draft"])
def test_a_picture_is_upright_whatever_its_exif_orientation(tmp_path: Path, orientation: int, target_size: Any) -> None:
    upright = corner_image(256, 128)
    transpose = Image.Transpose
    undo = [None, transpose.FLIP_LEFT_RIGHT, transpose.ROTATE_180, transpose.FLIP_TOP_BOTTOM, transpose.TRANSPOSE]
    undo += [transpose.ROTATE_90, transpose.TRANSVERSE, transpose.ROTATE_270]
    how = undo[orientation - 1]
    turned = upright if how is None else upright.transpose(how)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    turned.save(path, quality=95, exif=exif)
    image, stored = decode(path, target_size), load_stored(path)
    assert image.size == ((256, 128) if target_size is None else (64, 32))
    assert np.abs(corner_colors(image) - CORNERS).max() < 12
    assert (stored.width, stored.height, stored.data) == (256, 128, path.read_bytes())


def test_a_deep_tiff_is_upright_too(tmp_path: Path) -> None:
    path = tmp_path / "turned.tif"
    Image.fromarray(np.zeros((20, 30), np.uint16)).save(path, tiffinfo={0x0112: 6})
    assert decode(path).size == (20, 30)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_format_of_the_browser_is_kept_byte_for_byte(tmp_path: Path, format_: str) -> None:
    path = tmp_path / "field.bin"
    smooth_image(64, 48).save(path, format=format_)
    assert load_stored(path).data == path.read_bytes()


def test_the_hash_is_of_the_stored_bytes(tmp_path: Path) -> None:
    corner_image().save(tmp_path / "kept.jpg")
    corner_image().save(tmp_path / "converted.tif")
    for path in tmp_path.iterdir():
        stored = load_stored(path)
        assert stored.sha256 == hashlib.sha256(stored.data).hexdigest()


def test_an_8_bit_tiff_is_stored_as_a_png_with_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "field.tif"
    smooth_image(64, 48).save(path)
    stored = load_stored(path)
    decoded = Image.open(io.BytesIO(stored.data))
    assert (stored.suffix, decoded.format) == (".png", "PNG")
    assert np.array_equal(np.asarray(decoded), np.asarray(smooth_image(64, 48)))


def test_a_cmyk_jpeg_is_stored_as_rgb(tmp_path: Path) -> None:
    path = tmp_path / "field.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path, quality=95)
    decoded = Image.open(io.BytesIO(load_stored(path).data))
    red, green, blue = decoded.getpixel((8, 8))
    assert decoded.mode == "RGB" and red > 240 and green < 15 and blue < 15


def test_a_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    corner_image().save(path, format="JPEG")
    assert decode(path).size == (64, 32)
    assert load_stored(path).suffix == ".jpg"


def test_transparency_of_a_palette_becomes_black(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([250, 10, 10, 10, 250, 10])
    image.paste(1, (4, 0, 8, 8))
    image.save(tmp_path / "map.png", transparency=0)
    rgb = decode(tmp_path / "map.png")
    assert [rgb.getpixel((1, 1)), rgb.getpixel((6, 1))] == [(0, 0, 0), (10, 250, 10)]


def test_alpha_is_laid_over_black(tmp_path: Path) -> None:
    pixels = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 51]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    assert np.asarray(decode(tmp_path / "cut.png")).tolist() == [[[200, 100, 50], [0, 0, 0], [40, 20, 10]]]


def test_a_jpeg_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    smooth_image(160, 120).save(path)
    whole = path.read_bytes()
    reasons = set()
    for length in range(1, len(whole), 97):
        path.write_bytes(whole[:length])
        reasons.add(reason_of(path))
    assert reasons == {"image_truncated", "image_unreadable"}


def test_a_cut_jpeg_is_not_stored(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    smooth_image(160, 120).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    assert reason_of(path, load_stored) == "image_truncated"


@pytest.mark.parametrize("name", ["empty", "missing", "folder", "page"])
def test_what_is_no_image_has_a_reason(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "page.jpg").write_text("<html>404 not found</html>")
    reason = {"empty": "image_empty", "missing": "image_missing"}.get(name, "image_unreadable")
    assert reason_of(tmp_path / f"{name}.jpg") == reason_of(tmp_path / f"{name}.jpg", load_stored) == reason


def write_bomb(path: Path) -> None:
    """A small file whose header promises 60,000 x 60,000 pixels."""
    if path.suffix == ".tif":
        blocks = {"tiled": True, "blockxsize": 4096, "blockysize": 4096, "sparse_ok": True}
        shape = {"width": 60_000, "height": 60_000, "count": 3, "dtype": path.stem}
        rasterio.open(path, "w", driver="GTiff", **shape, **blocks).close()
        return
    Image.new("RGB", (16, 16)).save(path)
    data = bytearray(path.read_bytes())
    if path.suffix == ".png":
        data[16:24] = struct.pack(">II", 60_000, 60_000)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    else:
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = struct.pack(">HH", 60_000, 60_000)
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "uint8.tif", "uint16.tif"])
def test_a_decompression_bomb_is_refused_before_memory_is_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_bomb(path)
    assert path.stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert reason_of(path) == "image_too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; the pixels are 10.8 GB


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_over_the_limit_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(pixels, "MAX_PIXELS", 1000)
    path = tmp_path / f"field{suffix}"
    corner_image(64, 32).save(path)
    assert reason_of(path, load_stored) == "image_too_large"


def test_a_16_bit_tiff_is_stretched_and_keeps_its_order(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(3000, 5000, 100).astype(np.uint16), (10, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.tif")
    row = np.asarray(decode(tmp_path / "ramp.tif"))[5, :, 0].astype(int)
    assert (row[0], row[-1]) == (0, 255) and (np.diff(row) >= 0).all() and len(set(row)) > 80


def test_chosen_bands_become_red_green_and_blue(tmp_path: Path) -> None:
    bands = np.full((6, 40, 60), 1000, np.uint16)
    for number in range(6):
        bands[number, 10:30, number * 10 : number * 10 + 10] = 9000
    path = write_geotiff(tmp_path / "scene.tif", bands)
    pixels = np.asarray(decode(path, part=Part(bands=(4, 3, 2))))
    bright = [{int(x) // 10 + 1 for x in np.unique(np.nonzero(pixels[..., c] > 200)[1])} for c in range(3)]
    assert bright == [{4}, {3}, {2}]


def test_a_band_that_is_not_there_is_unsupported(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "scene.tif", np.ones((4, 8, 8), np.uint16))
    assert reason_of(path, part=Part(bands=(7, 3, 2))) == "image_unsupported"


def test_complex_pixels_are_unsupported(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "sar.tif", np.ones((1, 8, 8), np.complex64))
    assert reason_of(path) == "image_unsupported"


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 65535), ("int16", -9999), ("float32", float("nan"))])
def test_nodata_is_black_and_does_not_shift_the_stretch(tmp_path: Path, dtype: str, nodata: float) -> None:
    ramp = np.tile(np.linspace(100, 900, 40), (3, 20, 1)).astype(dtype)
    plain = np.asarray(decode(write_geotiff(tmp_path / "plain.tif", ramp)))
    ramp[:, :6, :] = nodata
    holed = np.asarray(decode(write_geotiff(tmp_path / "holed.tif", ramp, nodata=nodata)))
    assert not holed[:6].any()
    assert np.array_equal(holed[6:], plain[6:])


def test_a_jpeg_decoded_small_is_close_to_one_decoded_whole(tmp_path: Path) -> None:
    path = tmp_path / "field.jpg"
    smooth_image().save(path, quality=90)
    whole = Image.open(path).convert("RGB").resize((112, 84), Image.Resampling.BICUBIC)
    small = decode(path, lambda width, height: (112, 84))
    error = np.mean((np.asarray(whole, np.float64) - np.asarray(small, np.float64)) ** 2)
    assert small.size == (112, 84)
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > 30


@pytest.mark.parametrize("suffix", [".jpg", ".16.tif"])
def test_the_wanted_size_follows_from_the_size_of_the_file_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"field{suffix}"
    if suffix == ".jpg":
        smooth_image(640, 480).save(path)
    else:
        write_geotiff(path, np.ones((3, 480, 640), np.uint16))
    assert decode(path, lambda width, height: (width // 4, height // 4)).size == (160, 120)
