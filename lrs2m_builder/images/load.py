"""Decodes any image to 8-bit RGB of bounded size, and makes the bytes that a data set stores.

Pillow reads the formats that browsers show; rasterio reads the others (16-bit, float and multi-band GeoTIFF),
at reduced resolution if the file is large. An unusable image raises `SampleError` with a reason:
image_missing, image_empty, image_unreadable, image_truncated, image_too_large, image_unsupported.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

from lrs2m_builder.errors import SampleError, one_line
from lrs2m_builder.files import is_folder, refuse_larger
from lrs2m_builder.images.files import MAX_BYTES, open_image, read_image, unusable
from lrs2m_builder.images.part import ALL, Bands, Part
from lrs2m_builder.images.pixels import TargetSize, bounded, resized, stretch, upright, upright_size
from lrs2m_builder.images.rasters import is_raster, read_raster
from lrs2m_builder.schema import ImageRef

IMAGE_WORKERS = min(8, os.cpu_count() or 1)  # threads that decode
# Formats that every browser shows, and the Pillow modes in which they are plain 8-bit images.
_STORED_AS_IS = {
    "JPEG": ({"L", "RGB"}, ".jpg"),
    "MPO": ({"RGB"}, ".jpg"),
    "PNG": ({"1", "L", "LA", "P", "RGB", "RGBA"}, ".png"),
    "WEBP": ({"RGB", "RGBA"}, ".webp"),
    "GIF": ({"L", "P", "RGB", "RGBA"}, ".gif"),
}
_DEEP_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
# Exceptions that decoders raise for damaged files, as observed and as their code allows.
_DAMAGED = (
    *(OSError, EOFError, ValueError, SyntaxError, TypeError, AttributeError, AssertionError),
    *(ArithmeticError, LookupError, RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS_PER_SAMPLE = 258
_TIFF_SAMPLES_PER_PIXEL = 277
# Formats of imagery. Others are excluded: some run programs (EPS) or follow paths to other files (VRT).
_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_TIFF_GDAL_NODATA = 42113

# Warnings of damaged EXIF and odd tags do not matter to the user: unreadable pixels have their own message.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as stored in a row.

    Attributes:
        data: the original file if a browser can show it, else a PNG of the decoded image.
        suffix: the file extension that fits `data`.
        width, height: pixels, after EXIF rotation.
        sha256: of `data`.
    """

    data: bytes
    suffix: str
    width: int
    height: int
    sha256: str


def decode(ref: ImageRef, target_size: TargetSize | None = None, part: Part = ALL) -> Image.Image:
    """Decode an image to RGB, upright, resized to `target_size(width, height)`.

    Args:
        target_size: maps the upright (width, height) to the size to return; None keeps the size.
        part: the bands to use as red, green and blue (1, 2, 3 by default), and which of several images side by side.

    Raises:
        SampleError: the file is missing or is not a usable image.
    """
    with opened(ref) as image:
        if image is None or not _is_plain(image, part.band_numbers):
            return read_raster(ref, target_size, part, _orientation(image))
        with bounded(ref, *image.size):
            if image.format == "PNG":
                image.load()  # before reading the orientation, which may be stored after damaged pixels
            orientation = _orientation(image)
            whole = upright_size(image.size, orientation)
            meant = part.size(*whole)
            size = target_size(*meant) if target_size else meant
            if target_size and meant == whole:
                # A JPEG decoder shrinks by 2, 4 or 8 while it decodes, never below the target size: 0.34 ms instead
                # of 0.91 for 256 -> 112 pixels, 41 dB (median over UC Merced) from a resize of the full image.
                image.draft(None, upright_size(size, orientation))
            return resized(part.cut(upright(_to_rgb(image, ref), orientation)), size)


def load_stored(ref: ImageRef, part: Part = ALL, *, verify: bool = True) -> StoredImage:
    """The bytes, size and hash of an image as stored in a row.

    Args:
        verify: decode the image to check that it is complete; not needed if a model has seen it.

    Raises:
        SampleError: the file is missing or is not a usable image.
    """
    with opened(ref) as image:
        modes, suffix = _STORED_AS_IS.get(image.format or "", (set(), "")) if image else (set(), "")
        one = image and image.mode in modes and (image.format == "MPO" or getattr(image, "n_frames", 1) == 1)
        if image and one and part.is_all(*image.size):
            with bounded(ref, *image.size):
                data = read_image(ref)
                if verify or (image.format == "PNG" and b"eXIf" in data):
                    image.load()
                orientation = 1 if image.format == "PNG" and b"eXIf" not in data else _orientation(image)
            return StoredImage(data, suffix, *upright_size(image.size, orientation), hashlib.sha256(data).hexdigest())
    rgb = decode(ref, part=part)
    buffer = io.BytesIO()
    rgb.save(buffer, format="PNG", compress_level=1)
    data = buffer.getvalue()
    return StoredImage(data, ".png", rgb.width, rgb.height, hashlib.sha256(data).hexdigest())


def _damaged(ref: ImageRef, error: Exception) -> SampleError:
    if isinstance(error, OSError) and error.errno is not None:  # an error of the disk, not of the decoder
        return unusable(ref, error)
    reason = "image_truncated" if "truncat" in str(error).lower() else "image_unreadable"
    return SampleError(reason, f"{ref}: {one_line(error)}")


@contextmanager
def opened(ref: ImageRef) -> Iterator[Image.Image | None]:
    """Yield the image opened by Pillow, not yet decoded; None for a folder, or if rasterio must open it.

    Inside the block, any error of the image becomes a SampleError.
    """
    try:
        if isinstance(ref, Path) and is_folder(ref):
            yield None
            return
        with open_image(ref) as file, _identified(ref, file) as image:
            yield image
    except _DAMAGED as error:
        raise _damaged(ref, error) from error


def _identified(ref: ImageRef, file: BinaryIO) -> AbstractContextManager[Image.Image | None]:
    start, size = file.read(4), file.seek(0, os.SEEK_END)
    file.seek(0)
    if not start:
        raise SampleError("image_empty", f"{ref}: 0 bytes")
    if size > MAX_BYTES and is_raster(start):
        return nullcontext()  # rasterio reads only the parts it needs
    refuse_larger(size, MAX_BYTES, ref)
    return _identify(file) or nullcontext()  # rasterio may know it


def _identify(file: BinaryIO) -> Image.Image | None:
    """`Image.open` without its size limit, which is one number per process: `bounded` checks the size instead."""
    Image.preinit()
    start = file.read(16)
    for name in _FORMATS:
        if name not in Image.OPEN:
            Image.init()
        if name not in Image.OPEN:
            continue  # this Pillow was built without the format
        factory, accept = Image.OPEN[name]
        if accept and (isinstance(verdict := accept(start), str) or not verdict):
            continue  # a string is Pillow's message about a missing feature
        file.seek(0)
        try:
            return factory(file, "")
        except (SyntaxError, LookupError, TypeError, struct.error):
            continue  # not of this format; `Image.open` handles it the same way
    return None


def _is_plain(image: Image.Image, bands: Bands | None) -> bool:
    """Whether Pillow's 8-bit decoding gives the whole image.

    It does not for TIFFs with more than 8 bits, with chosen bands, or with no-data.
    """
    if not isinstance(image, TiffImageFile):
        return True
    depth = max(image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (1,)))
    choice = bands is not None and image.tag_v2.get(_TIFF_SAMPLES_PER_PIXEL, 1) > 3
    nodata = _TIFF_GDAL_NODATA in image.tag_v2
    return depth <= 8 and image.mode not in _DEEP_MODES and not choice and not nodata


def _orientation(image: Image.Image | None) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) if it is missing or damaged."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1)) if image else 1
    except _DAMAGED:
        return 1


def _to_rgb(image: Image.Image, ref: ImageRef) -> Image.Image:
    """Composite alpha over black (no-data in imagery is black), stretch more than 8 bits, convert."""
    if image.mode in _DEEP_MODES:
        return Image.fromarray(stretch(np.asarray(image)[None].astype(np.float32), ref)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(*profiles, "LAB", "RGB")
        return ImageCms.applyTransform(image, transform) or image.convert("RGB")
    return image.convert("RGB")
