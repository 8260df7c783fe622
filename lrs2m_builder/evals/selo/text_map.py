"""The map of a text over an image: how similar to the text the windows over each pixel are, 0 to 255.

Between the edges of windows the mean over the windows is the same everywhere, so it is computed once a cell of that
grid (ten thousand cells) and not once a pixel (a hundred million): the same sums in the same order, and no pixel
differs (benchmarks/selo_map.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.selo.windows import Window

MEDIAN_SIZE = 251  # pixels
JPEG_QUALITY = 95  # cv2.imwrite's default, by which the published code stores crops and maps


def make_map(windows: Sequence[Window], scores: np.ndarray, *, compat: bool = True) -> np.ndarray:
    """The localization map (H, W), uint8, as the indicators read it.

    Args:
        windows: as `make_windows` gives them, covering the image.
        scores: (W,) cosine of each window and the text.
        compat: store the map as JPEG and read it again, as the published protocol does.
    """
    smooth = cv2.medianBlur(raw_map(windows, scores), MEDIAN_SIZE)
    return jpeg_round_trip(smooth) if compat else smooth


def raw_map(windows: Sequence[Window], scores: np.ndarray) -> np.ndarray:
    """Mean score of the windows over each pixel, stretched to 0 .. 255 and cut to uint8, (H, W), before any filter.

    A map of one value says nothing: it is 0 everywhere.
    """
    rows = sorted({edge for window in windows for edge in (window.top, window.bottom)})
    columns = sorted({edge for window in windows for edge in (window.left, window.right)})
    row_of = {edge: number for number, edge in enumerate(rows)}
    column_of = {edge: number for number, edge in enumerate(columns)}
    sums = np.zeros((len(rows) - 1, len(columns) - 1))
    counts = np.zeros_like(sums)
    for window, score in zip(windows, scores.astype(np.float64), strict=True):
        cells = (
            slice(row_of[window.top], row_of[window.bottom]),
            slice(column_of[window.left], column_of[window.right]),
        )
        sums[cells] += score
        counts[cells] += 1
    means = sums / counts
    means -= means.min()
    highest = means.max()
    stretched = (255 * (means / highest) if highest > 0 else means).astype(np.uint8)
    heights = [end - start for start, end in pairwise(rows)]
    widths = [end - start for start, end in pairwise(columns)]
    return np.repeat(np.repeat(stretched, widths, axis=1), heights, axis=0)


def jpeg_round_trip(pixels: np.ndarray) -> np.ndarray:
    """What is left of an image, (H, W) grey or (H, W, 3) RGB, uint8, after it was stored as JPEG.

    Raises:
        UserError: it is too large for a JPEG.
    """
    colour = pixels.ndim == 3
    try:
        _, stored = cv2.imencode(
            ".jpg",
            cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if colour else pixels,
            [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
        )
    except cv2.error as error:
        raise UserError(f"{pixels.shape[1]} x {pixels.shape[0]} pixels do not fit a JPEG; use --no-compat") from error
    read = cv2.imdecode(stored, cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB) if colour else read)
