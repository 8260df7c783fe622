"""Any image file to 8-bit RGB of bounded size, and to the bytes that a dataset stores.

Pillow reads what a browser knows; rasterio reads what it does not (16-bit, float and multi-band GeoTIFF),
at reduced resolution where the file is large. Whatever cannot be used raises `SampleError` with a reason:
image_missing, image_empty, image_unreadable, image_truncated, image_too_large, image_unsupported.
"""

from __future__ import annotations

import hashlib
import io
import logging
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from lrs2m_builder.errors import SampleError

MAX_PIXELS = 256_000_000  # 16,000 x 16,000; more is a bomb or a mosaic that should be tiled first
LARGE_PIXELS = 16_000_000  # from here on one image at a time is decoded, to bound memory
STRETCH_PERCENT = (2.0, 98.0)  # what counts as black and white in an image of more than 8 bits

Bands = tuple[int, int, int]
TargetSize = Callable[[int, int], tuple[int, int]]

# Formats every browser shows, and the Pillow modes in which they are plain 8-bit pictures.
_STORED_AS_IS = {
    "JPEG": ({"L", "RGB"}, ".jpg"),
    "MPO": ({"RGB"}, ".jpg"),
    "PNG": ({"1", "L", "LA", "P", "RGB", "RGBA"}, ".png"),
    "WEBP": ({"RGB", "RGBA"}, ".webp"),
    "GIF": ({"L", "P", "RGB", "RGBA"}, ".gif"),
}
_DEEP_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
_DAMAGED = (
    *(OSError, ValueError, SyntaxError, OverflowError, TypeError, EOFError, KeyError, IndexError),
    *(RuntimeError, MemoryError, struct.error),
)
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS_PER_SAMPLE = 258
_TIFF_SAMPLES_PER_PIXEL = 277
# What imagery comes in. Others are left out: some run programs (EPS) or follow paths to other files (VRT).
_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_RASTER_DRIVERS = {
    b"II*\x00": "GTiff",
    b"MM\x00*": "GTiff",
    b"II+\x00": "GTiff",
    b"MM\x00+": "GTiff",
    b"\x00\x00\x00\x0c": "JP2OpenJPEG",
    b"EHFA": "HFA",
    b"NITF": "NITF",
}
_TIFF_GDAL_NODATA = 42113
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_one_large_image = threading.Lock()

# The size of an image is checked here, against MAX_PIXELS, with a reason; Pillow's own guard would only warn.
Image.MAX_IMAGE_PIXELS = None
# Damaged EXIF and odd tags are no news to the user: the pixels decide, and a failure has its own message.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
logging.getLogger("rasterio").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as a dataset row holds it.

    Attributes:
        data: the original file where a browser can show it, else a PNG of the decoded image.
        suffix: the file extension that fits `data`.
        width, height: pixels, after EXIF rotation.
        sha256: of `data`.
    """

    data: bytes
    suffix: str
    width: int
    height: int
    sha256: str


def load_rgb(path: Path, target_size: TargetSize | None = None, bands: Bands | None = None) -> Image.Image:
    """Decode a file to an RGB image, upright, resized to what `target_size(width, height)` asks for.

    Args:
        target_size: maps the upright (width, height) to the wanted one; None keeps the size.
        bands: 1-based bands to take as red, green and blue from a file of more than three; default 1, 2, 3.

    Raises:
        SampleError: the file is missing or is not a usable image.
    """
    with _opened(path) as image:
        if image is None or not _is_plain(image, bands):
            return _read_raster(path, target_size, bands, _orientation(image))
        with _bounded(path, *image.size):
            try:
                if image.format == "PNG":
                    image.load()  # its orientation may stand behind the pixels, where asking would hide their damage
                orientation = _orientation(image)
                size = _upright_size(image.size, orientation)
                if target_size:
                    size = target_size(*size)
                    # A JPEG decoder shrinks by 2, 4 or 8 while it decodes, never below the wanted size: 0.34 ms instead
                    # of 0.91 for 256 -> 112 pixels, 41 dB (median over UC Merced) from a resize of the full picture.
                    image.draft(None, _upright_size(size, orientation))
                return _resized(_upright(_to_rgb(image), orientation), size)
            except _DAMAGED as error:
                raise _damaged(path, error) from error


def load_stored(path: Path, bands: Bands | None = None, *, verify: bool = True) -> StoredImage:
    """The bytes, size and hash of an image as a dataset row holds it.

    Args:
        verify: decode the image to see that it is whole; not needed where a model has seen it.

    Raises:
        SampleError: the file is missing or is not a usable image.
    """
    with _opened(path) as image:
        modes, suffix = _STORED_AS_IS.get(image.format or "", (set(), "")) if image else (set(), "")
        if image and image.mode in modes and (image.format == "MPO" or getattr(image, "n_frames", 1) == 1):
            with _bounded(path, *image.size):
                try:
                    data = path.read_bytes()
                    if verify or (image.format == "PNG" and b"eXIf" in data):
                        image.load()
                    orientation = 1 if image.format == "PNG" and b"eXIf" not in data else _orientation(image)
                except _DAMAGED as error:
                    raise _damaged(path, error) from error
            return StoredImage(data, suffix, *_upright_size(image.size, orientation), hashlib.sha256(data).hexdigest())
    rgb = load_rgb(path, bands=bands)
    buffer = io.BytesIO()
    rgb.save(buffer, format="PNG", compress_level=1)
    data = buffer.getvalue()
    return StoredImage(data, ".png", rgb.width, rgb.height, hashlib.sha256(data).hexdigest())


def _damaged(path: Path, error: Exception) -> SampleError:
    reason = "image_truncated" if "truncat" in str(error).lower() else "image_unreadable"
    return SampleError(reason, f"{path}: {error}")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image | None]:
    """The image as Pillow opens it, not yet decoded; None where Pillow does not know the format."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise SampleError("image_missing", f"{path}: no such file") from error
    except OSError as error:
        raise SampleError("image_unreadable", f"{path}: {error.strerror}") from error
    with file:
        if not file.read(1):
            raise SampleError("image_empty", f"{path}: 0 bytes")
        file.seek(0)
        try:
            image = Image.open(file, formats=_FORMATS)
        except UnidentifiedImageError:
            yield None  # rasterio may know it
            return
        except _DAMAGED as error:
            raise SampleError("image_unreadable", f"{path}: {error}") from error
        with image:
            yield image


@contextmanager
def _bounded(path: Path, width: int, height: int) -> Iterator[None]:
    """Refuse an image over MAX_PIXELS; let only one over LARGE_PIXELS be decoded at a time."""
    if width < 1 or height < 1:
        raise SampleError("image_empty", f"{path}: {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise SampleError("image_too_large", f"{path}: {width} x {height} pixels, at most {MAX_PIXELS:,} are read")
    with _one_large_image if width * height > LARGE_PIXELS else nullcontext():
        yield


def _is_plain(image: Image.Image, bands: Bands | None) -> bool:
    """Whether Pillow's 8-bit decoding is all there is to the image.

    Not so for TIFFs of more than 8 bits, of chosen bands, or with no-data.
    """
    if not isinstance(image, TiffImageFile):
        return True
    depth = max(image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (1,)))
    choice = bands is not None and image.tag_v2.get(_TIFF_SAMPLES_PER_PIXEL, 1) > 3
    nodata = _TIFF_GDAL_NODATA in image.tag_v2
    return depth <= 8 and image.mode not in _DEEP_MODES and not choice and not nodata


def _orientation(image: Image.Image | None) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or it is damaged."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1)) if image else 1
    except _DAMAGED:
        return 1


def _upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation >= 5 and orientation in _TURNS else size


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Composite alpha over black (what no-data is in imagery), stretch what has more than 8 bits, convert."""
    if image.mode in _DEEP_MODES:
        return Image.fromarray(_stretch(np.asarray(image)[None].astype(np.float32))).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(*profiles, "LAB", "RGB")
        return ImageCms.applyTransform(image, transform) or image.convert("RGB")
    return image.convert("RGB")


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _read_raster(path: Path, target_size: TargetSize | None, bands: Bands | None, orientation: int) -> Image.Image:
    """Read a GeoTIFF of any depth and number of bands, a large one at about twice the wanted size."""
    import rasterio
    from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    warnings.filterwarnings("ignore", category=NodataShadowWarning)
    try:
        with rasterio.open(path, driver=_raster_driver(path)) as raster:
            width, height = raster.width, raster.height
            if np.dtype(raster.dtypes[0]).kind not in "uif":
                raise SampleError("image_unsupported", f"{path}: pixels of type {raster.dtypes[0]}")
            chosen = _choose_bands(path, raster.count, bands)
            with _bounded(path, width, height):
                upright = _upright_size((width, height), orientation)
                size = target_size(*upright) if target_size else upright
                columns, rows = _upright_size(size, orientation)
                shape = (min(height, 2 * rows), min(width, 2 * columns))
                pixels = raster.read(chosen, out_shape=(len(chosen), *shape), masked=True)
    except (RasterioError, OSError, ValueError) as error:
        raise SampleError("image_unreadable", f"{path}: {error}") from error
    return _resized(_upright(Image.fromarray(_to_8bit(pixels)).convert("RGB"), orientation), size)


def _raster_driver(path: Path) -> str:
    """The driver for what the file begins with; GDAL would guess among a hundred, some of which open other files."""
    with path.open("rb") as file:
        start = file.read(4)
    if start not in _RASTER_DRIVERS:
        raise SampleError("image_unreadable", f"{path}: not an image in a known format")
    return _RASTER_DRIVERS[start]


def _choose_bands(path: Path, count: int, bands: Bands | None) -> list[int]:
    if bands is None or count < 3:
        return [1, 2, 3] if count >= 3 else [1]
    if max(bands) > count:
        raise SampleError("image_unsupported", f"{path}: band {max(bands)} of {count}")
    return list(bands)


def _to_8bit(pixels: np.ma.MaskedArray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        filled = np.ma.filled(pixels, 0)
        return filled[0] if len(filled) == 1 else np.ascontiguousarray(filled.transpose(1, 2, 0))
    return _stretch(np.ma.filled(pixels.astype(np.float32), np.nan))


def _stretch(pixels: np.ndarray) -> np.ndarray:
    """Stretch each band (B, H, W) between its percentiles to 0..255; no-data (NaN) becomes 0.

    Returns:
        (H, W) for one band, else (H, W, B), uint8.
    """
    stretched = np.zeros(pixels.shape, np.uint8)
    for band, values in enumerate(pixels):
        valid = values[np.isfinite(values)]
        if valid.size == 0:
            continue
        low, high = np.percentile(valid, STRETCH_PERCENT)
        if high <= low:
            low, high = float(valid.min()), float(valid.max())
        scale = 255.0 / (high - low) if high > low else 0.0
        stretched[band] = np.nan_to_num(np.clip((values - low) * scale, 0, 255)).astype(np.uint8)
    return stretched[0] if len(stretched) == 1 else np.ascontiguousarray(stretched.transpose(1, 2, 0))
