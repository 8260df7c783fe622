"""The crop of each window of an image, as a model gets to see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from PIL import Image

from lrs2m_builder.evals.selo.text_map import jpeg_round_trip
from lrs2m_builder.evals.selo.windows import Window

CROP_SIZE = 256  # pixels a side


def make_crops(image_HWC: np.ndarray, windows: Sequence[Window], *, compat: bool = True) -> Iterator[Image.Image]:
    """Yield the crop of each window, in their order, one at a time: ten thousand pixels a side have 4283 of them.

    Args:
        image_HWC: RGB, uint8.
        compat: resize to 256 x 256 (bicubic, without smoothing, as OpenCV does) and store as JPEG before the
            model's own preprocessing, as the published code does; otherwise the model sees the pixels of the image.
    """
    for window in windows:
        crop = np.ascontiguousarray(image_HWC[window.top : window.bottom, window.left : window.right])
        if compat:
            crop = jpeg_round_trip(np.asarray(cv2.resize(crop, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC)))
        yield Image.fromarray(crop)
