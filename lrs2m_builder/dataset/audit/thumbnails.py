"""Thumbnails: images as 32 x 32 grey levels, the only input of the search for near duplicates.

Averaging over such large areas almost removes JPEG noise and resampling: over UC Merced, a copy at JPEG
quality 50 or at 60 % of its size differs by less than 1.2 grey levels, the most similar pair of different images by 8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lrs2m_builder.images.load import decode, opened
from lrs2m_builder.images.pixels import bounded
from lrs2m_builder.schema import ImageRef

SIZE = 32
# JPEGs are shrunk during decoding, to no less than this. At 64, stripes of two pixels cause aliasing.
DECODED = 128
Thumbnails = NDArray[np.uint8]


def thumbnail(image: ImageRef) -> Thumbnails:
    """The (32, 32) grey levels of an image of any shape; EXIF rotations of a JPEG are ignored.

    Raises:
        SampleError: it cannot be read.
    """
    with opened(image) as picture:
        if picture is not None and picture.format in {"JPEG", "MPO"}:
            with bounded(image, *picture.size):
                # Halving 257 pixels decodes 129, of which 128.5 are the image: hence the box.
                drafted = picture.draft("L", (DECODED, DECODED))
                return _shrunk(picture.convert("L"), drafted[1] if drafted else None)
    return _shrunk(decode(image, _small if picture is None else None).convert("L"))


def _shrunk(grey: Image.Image, box: tuple[float, float, float, float] | None = None) -> Thumbnails:
    # A triangle filter: with a box filter fine stripes alias, and a copy of another size differs by 10 grey levels.
    return np.asarray(grey.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box))


def _small(width: int, height: int) -> tuple[int, int]:
    """The thumbnail of a raster, which may be far larger than memory."""
    return min(width, DECODED), min(height, DECODED)
