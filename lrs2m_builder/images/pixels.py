"""Steps for every image, whichever decoder is used: size limits, orientation, resizing, conversion to 8 bits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
from PIL import Image

from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.nodata import find_constants, say_once
from lrs2m_builder.schema import ImageRef

MAX_PIXELS = 256_000_000  # 16,000 x 16,000; more is a bomb or a mosaic that should be tiled first
LARGE_PIXELS = 16_000_000  # larger images are decoded one at a time, to bound memory
STRETCH_PERCENT = (2.0, 98.0)  # percentiles that become black and white in an image of more than 8 bits

TargetSize = Callable[[int, int], tuple[int, int]]

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


@contextmanager
def bounded(ref: ImageRef, width: int, height: int) -> Iterator[None]:
    """Refuse an image over MAX_PIXELS; let only one over LARGE_PIXELS be decoded at a time."""
    if width < 1 or height < 1:
        raise SampleError("image_empty", f"{ref}: {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise SampleError("image_too_large", f"{ref}: {width} x {height} pixels, at most {MAX_PIXELS:,} are read")
    with _one_large_image if width * height > LARGE_PIXELS else nullcontext():
        yield


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation >= 5 and orientation in _TURNS else size


def upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def stretch(pixels: np.ndarray, where: object) -> np.ndarray:
    """Stretch each band (B, H, W) between its percentiles to 0..255; no-data (NaN, or as `nodata` finds) becomes 0.

    Args:
        where: the image, for messages.

    Returns:
        (H, W) for one band, else (H, W, B), uint8.
    """
    stretched = np.zeros(pixels.shape, np.uint8)
    for band, values in enumerate(pixels):
        constants = find_constants(values)
        if constants:
            say_once(constants, where)
            values = np.where(np.isin(values, np.array(constants, values.dtype)), np.nan, values)
        valid = values[np.isfinite(values)]
        if valid.size == 0:
            continue
        low, high = np.percentile(valid, STRETCH_PERCENT)
        if high <= low:
            low, high = float(valid.min()), float(valid.max())
        scale = 255.0 / (high - low) if high > low else 0.0
        stretched[band] = np.nan_to_num(np.clip((values - low) * scale, 0, 255)).astype(np.uint8)
    return stretched[0] if len(stretched) == 1 else np.ascontiguousarray(stretched.transpose(1, 2, 0))
