"""Any image, in a file of its own or inside another, to 8-bit RGB of bounded size, and to the bytes a dataset stores.

Pillow reads what a browser knows; rasterio reads what it does not (16-bit, float and multi-band GeoTIFF),
at reduced resolution where the file is large. Whatever cannot be used raises `SampleError` with a reason:
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
from lrs2m_builder.images.files import MAX_BYTES, open_image, read_image, unusable
from lrs2m_builder.images.part import ALL, Bands, Part
from lrs2m_builder.images.pixels import TargetSize, bounded, resized, stretch, upright, upright_size
from lrs2m_builder.images.rasters import is_raster, read_raster
from lrs2m_builder.opening import is_folder, refuse_larger
from lrs2m_builder.schema import ImageRef

IMAGE_WORKERS = min(8, os.cpu_count() or 1)  # threads that decode
# Formats every browser shows, and the Pillow modes in which they are plain 8-bit pictures.
_STORED_AS_IS = {
    "JPEG": ({"L", "RGB"}, ".jpg"),
    "MPO": ({"RGB"}, ".jpg"),
    "PNG": ({"1", "L", "LA", "P", "RGB", "RGBA"}, ".png"),
    "WEBP": ({"RGB", "RGBA"}, ".webp"),
    "GIF": ({"L", "P", "RGB", "RGBA"}, ".gif"),
}
_DEEP_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
# What decoders raise for damaged files, as seen and as their code allows.
_DAMAGED = (
    *(OSError, EOFError, ValueError, SyntaxError, TypeError, AttributeError, AssertionError),
    *(ArithmeticError, LookupError, RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS_PER_SAMPLE = 258
_TIFF_SAMPLES_PER_PIXEL = 277
# What imagery comes in. Others are left out: some run programs (EPS) or follow paths to other files (VRT).
_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_TIFF_GDAL_NODATA = 42113

# Damaged EXIF and odd tags are no news to the user: the pixels decide, and a failure has its own message.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)


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


def decode(ref: ImageRef, target_size: TargetSize | None = None, part: Part = ALL) -> Image.Image:
    """Decode an image to RGB, upright, resized to what `target_size(width, height)` asks for.

    Args:
        target_size: maps the upright (width, height) to the wanted one; None keeps the size.
        part: the bands to take as red, green and blue (1, 2, 3 by default), and the picture of several in a file.

    Raises:
        SampleError: the file is missing or is not a usable image.
    """
    with opened(ref) as image:
        if image is None or not _is_plain(image, part.band_numbers):
            return read_raster(ref, target_size, part, _orientation(image))
        with bounded(ref, *image.size):
            if image.format == "PNG":
                image.load()  # its orientation may stand behind the pixels, where asking would hide their damage
            orientation = _orientation(image)
            whole = upright_size(image.size, orientation)
            meant = part.size(*whole)
            size = target_size(*meant) if target_size else meant
            if target_size and meant == whole:
                # A JPEG decoder shrinks by 2, 4 or 8 while it decodes, never below the wanted size: 0.34 ms instead
                # of 0.91 for 256 -> 112 pixels, 41 dB (median over UC Merced) from a resize of the full picture.
                image.draft(None, upright_size(size, orientation))
            return resized(part.cut(upright(_to_rgb(image, ref), orientation)), size)


def load_stored(ref: ImageRef, part: Part = ALL, *, verify: bool = True) -> StoredImage:
    """The bytes, size and hash of an image as a dataset row holds it.

    Args:
        verify: decode the image to see that it is whole; not needed where a model has seen it.

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
    if isinstance(error, OSError) and error.errno is not None:  # the disk's word, not the decoder's
        return unusable(ref, error)
    reason = "image_truncated" if "truncat" in str(error).lower() else "image_unreadable"
    return SampleError(reason, f"{ref}: {one_line(error)}")


@contextmanager
def opened(ref: ImageRef) -> Iterator[Image.Image | None]:
    """The image as Pillow opens it, not yet decoded; None for a folder, or if rasterio must open it.

    Whatever goes wrong with the image until the end of the block is a SampleError.
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
    """`Image.open` without its guard of the size, one number for the whole process: ours is `bounded`."""
    Image.preinit()
    start = file.read(16)
    for name in _FORMATS:
        if name not in Image.OPEN:
            Image.init()
        if name not in Image.OPEN:
            continue  # this Pillow was built without it
        factory, accept = Image.OPEN[name]
        if accept and (isinstance(verdict := accept(start), str) or not verdict):
            continue  # a text says what this Pillow cannot do
        file.seek(0)
        try:
            return factory(file, "")
        except (SyntaxError, LookupError, TypeError, struct.error):
            continue  # not of this format after all, as `Image.open` takes it
    return None


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


def _to_rgb(image: Image.Image, ref: ImageRef) -> Image.Image:
    """Composite alpha over black (what no-data is in imagery), stretch what has more than 8 bits, convert."""
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
