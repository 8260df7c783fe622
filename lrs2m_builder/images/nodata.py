"""Detects untagged no-data: one value that covers a large part of a band and is far from all other values."""

from __future__ import annotations

import logging

import numpy as np

SAMPLE = 100_000  # pixels of a band that are examined
MIN_SHARE = 0.01  # of a band; the stretch itself clips 2 % on either side
MIN_LEVELS = 16  # other values in the sample; fewer are classes, not brightness
MAX_CONSTANTS = 4
# Minimum distance from all other values, as a share of their spread (2nd to 98th percentile). Below them
# a small distance is enough: it would be black anyway. Above, it could be the brightest objects: clouds, sunlit roofs.
GAP_BELOW, GAP_ABOVE, GAP_ABOVE_ANY = 0.1, 1.0, 3.0
# No-data values above the data, as software writes them: the largest numbers of the types, and some round ones.
_LARGEST = {32767.0, 65535.0, 2.0**31 - 1, 2.0**31, 2.0**32 - 1, 2.0**32, 1e20, float(np.finfo(np.float32).max)}
_TAILS = (1.0, 2.0, 98.0, 99.0)

_logger = logging.getLogger(__name__)
_said: set[str] = set()


def find_constants(values: np.ndarray) -> list[float]:
    """The no-data values of a band (any shape, NaN ignored), at most MAX_CONSTANTS."""
    flat = values.ravel()
    sample = np.sort(flat[:: max(1, flat.size // SAMPLE)].astype(np.float64))
    sample = sample[np.isfinite(sample)]
    constants: list[float] = []
    while len(constants) < MAX_CONSTANTS and (constant := _constant(sample)) is not None:
        constants.append(constant)
        sample = sample[sample != constant]
    return constants


def say_once(constants: list[float], where: object) -> None:
    """Warn about the first image with such a value, once per run."""
    if constants and not _said:
        _said.add(str(where))
        shown = ", ".join(f"{value:g}" for value in constants)
        _logger.warning(
            f"{where}: {shown} covers part of it, far from all other values, without a no-data tag; it is "
            "treated as no-data, here and in other images (gdal_edit.py -a_nodata writes the tag)"
        )


def _constant(sample: np.ndarray) -> float | None:
    """The no-data value at either end of a sorted sample; None if neither end is one."""
    offset = int(MIN_SHARE * sample.size)
    for value, is_below in ((sample[offset], True), (sample[-1 - offset], False)) if sample.size else ():
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
