"""An image as 32 x 32 grey levels: all that the search for near duplicates sees of it.

Averaged over so large areas, JPEG noise and resampling all but vanish: over UC Merced, what is left of a copy at JPEG
quality 50 or at 60 % of its size is less than 1.2 grey levels, of the most alike pair of different images 8.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lrs2m_builder.errors import SampleError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.images.load import load_rgb
from lrs2m_builder.images.pixels import MAX_PIXELS

SIZE = 32
# JPEGs are shrunk while they are decoded, to no less than this. At 64, stripes of two pixels leave aliases.
DECODED = 128
Thumbnails = NDArray[np.uint8]

_PLAIN = {".jpg", ".jpeg", ".png", ".webp", ".gif"}
_DAMAGED = (OSError, ValueError, SyntaxError, OverflowError, TypeError, EOFError, KeyError, IndexError, MemoryError)


def thumbnail(image: bytes | Path) -> Thumbnails:
    """The (32, 32) grey levels of an image file or of its content, whatever its shape; EXIF turns are left alone.

    Raises:
        SampleError: it cannot be read.
    """
    if isinstance(image, Path) and image.suffix.lower() in _PLAIN:
        with disk_errors(image):
            image = image.read_bytes()
    if isinstance(image, bytes):
        return _from_bytes(image)
    return _shrunk(load_rgb(image, _bounded).convert("L"))


def _shrunk(grey: Image.Image, box: tuple[float, float, float, float] | None = None) -> Thumbnails:
    # A triangle filter: a box lets fine stripes alias, and a copy of another size then differs by 10 grey levels.
    return np.asarray(grey.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box))


def _bounded(width: int, height: int) -> tuple[int, int]:
    return min(width, DECODED), min(height, DECODED)


def _from_bytes(data: bytes) -> Thumbnails:
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise SampleError("image_too_large", f"{image.width} x {image.height} pixels")
            # Of 257 pixels halved, 129 are decoded, but 128.5 are the image: the box says so.
            drafted = image.draft("L", (DECODED, DECODED))
            if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
                rgba = image.convert("RGBA")
                return _shrunk(Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("L"))
            return _shrunk(image.convert("L"), drafted[1] if drafted else None)
    except _DAMAGED as error:
        raise SampleError("image_unreadable", str(error)) from error
