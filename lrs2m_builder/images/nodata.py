"""No-data that a file does not tag: one value that covers a good part of a band and lies far from all others."""

from __future__ import annotations

import logging

import numpy as np

SAMPLE = 100_000  # pixels of a band that are looked at
MIN_SHARE = 0.01  # of a band; the stretch itself leaves out 2 % on either side
MIN_LEVELS = 16  # other values in the sample; fewer are classes, not brightness
MAX_CONSTANTS = 4
# In shares of the spread of all other values (2nd to 98th percentile), how far a value must lie from them. Below them
# little is enough: it would be black anyway. Above them it could be what is brightest: clouds, roofs in the sun.
GAP_BELOW, GAP_ABOVE, GAP_ABOVE_ANY = 0.1, 1.0, 3.0
# What software writes for no-data above the data: the largest numbers of the types, and some round ones.
_LARGEST = {32767.0, 65535.0, 2.0**31 - 1, 2.0**31, 2.0**32 - 1, 2.0**32, 1e20, float(np.finfo(np.float32).max)}
_TAILS = (1.0, 2.0, 98.0, 99.0)

_logger = logging.getLogger(__name__)
_said: set[str] = set()


def find_constants(values: np.ndarray) -> list[float]:
    """The values of a band (any shape, NaN left out) that stand for no-data, at most MAX_CONSTANTS."""
    flat = values.ravel()
    sample = np.sort(flat[:: max(1, flat.size // SAMPLE)].astype(np.float64))
    sample = sample[np.isfinite(sample)]
    constants: list[float] = []
    while len(constants) < MAX_CONSTANTS and (found := _constant(sample)) is not None:
        constants.append(found)
        sample = sample[sample != found]
    return constants


def say_once(constants: list[float], where: object) -> None:
    """Tell the user of the first image with such a value, once in a run."""
    if constants and not _said:
        _said.add(str(where))
        shown = ", ".join(f"{value:g}" for value in constants)
        _logger.warning(
            f"{where}: {shown} covers part of it, far from all other values, and no tag says that it is no-data; it is "
            "taken for no-data, here and in other images (gdal_edit.py -a_nodata writes the tag)"
        )


def _constant(sample: np.ndarray) -> float | None:
    """The constant at either end of a sorted sample."""
    at = int(MIN_SHARE * sample.size)
    for value, is_below in ((sample[at], True), (sample[-1 - at], False)) if sample.size else ():
        count = np.searchsorted(sample, value, "right") - np.searchsorted(sample, value, "left")
        if count <= max(1, MIN_SHARE * sample.size):
            continue
        rest = sample[sample > value] if is_below else sample[sample < value]
        if np.unique(rest).size < MIN_LEVELS:
            continue
        first, low, high, last = np.percentile(rest, _TAILS)
        gap, spread = (first - value if is_below else value - last), high - low
        needed = GAP_BELOW if is_below else GAP_ABOVE if float(value) in _LARGEST else GAP_ABOVE_ANY
        if spread > 0 and gap > needed * spread:
            return float(value)
    return None
