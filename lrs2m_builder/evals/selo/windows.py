"""The crops of an image that are compared with a text: squares of three sizes, each on two shifted grids."""

from __future__ import annotations

from dataclasses import dataclass

STEPS = (256, 512, 768)  # pixels a side


@dataclass(frozen=True, slots=True)
class Window:
    """Rows top to bottom and columns left to right, in pixels; the ends are not part of it."""

    top: int
    bottom: int
    left: int
    right: int


def make_windows(height: int, width: int) -> list[Window]:
    """All windows of an image of that many pixels, each once, always in the same order.

    A window that would reach over the edge is moved inwards; if the image is smaller than a window, the window is
    cut to the image. Together they cover every pixel.
    """
    windows = []
    for step in STEPS:
        for offset in (0, step // 2):
            rows = _spans(height, step, offset)
            columns = _spans(width, step, offset)
            windows += [Window(*row, *column) for row in rows for column in columns]
    return list(dict.fromkeys(windows))


def _spans(size: int, step: int, offset: int) -> list[tuple[int, int]]:
    """First and last (exclusive) pixel of the windows along an axis of `size` pixels."""
    starts = (start if start + step < size else max(0, size - step) for start in range(offset, size, step))
    return [(start, min(start + step, size)) for start in starts]
