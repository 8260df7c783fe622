"""An image as 32 x 32 grey levels: all that the search for near duplicates sees of it.

Averaged over so large areas, JPEG noise and resampling all but vanish: over UC Merced, what is left of a copy at JPEG
quality 50 or at 60 % of its size is less than 1.2 grey levels, of the most alike pair of different images 8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lrs2m_builder.images.load import decode, opened
from lrs2m_builder.images.pixels import bounded
from lrs2m_builder.schema import ImageRef

SIZE = 32
# JPEGs are shrunk while they are decoded, to no less than this. At 64, stripes of two pixels leave aliases.
DECODED = 128
Thumbnails = NDArray[np.uint8]


def thumbnail(image: ImageRef) -> Thumbnails:
    """The (32, 32) grey levels of an image, whatever its shape; EXIF turns of a JPEG are left alone.

    Raises:
        SampleError: it cannot be read.
    """
    with opened(image) as picture:
        if picture is not None and picture.format in {"JPEG", "MPO"}:
            with bounded(image, *picture.size):
                # Of 257 pixels halved, 129 are decoded, but 128.5 are the image: the box says so.
                drafted = picture.draft("L", (DECODED, DECODED))
                return _shrunk(picture.convert("L"), drafted[1] if drafted else None)
    return _shrunk(decode(image, _small if picture is None else None).convert("L"))


def _shrunk(grey: Image.Image, box: tuple[float, float, float, float] | None = None) -> Thumbnails:
    # A triangle filter: a box lets fine stripes alias, and a copy of another size then differs by 10 grey levels.
    return np.asarray(grey.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box))


def _small(width: int, height: int) -> tuple[int, int]:
    """Of a raster, which may be far larger than memory."""
    return min(width, DECODED), min(height, DECODED)
