"""Pairs of near-duplicate images: candidates by hash, then verified on the thumbnails.

Two hashes are compared if at least one of their five bands of twelve bits agrees (multi-index hashing, Norouzi et
al. 2012): certain for up to four differing bits, and as low frequencies seldom change, for all but 1 in 400 of copies
at JPEG quality 50. Of the 2e12 pairs of two million hashes, 1 in 800 is compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lrs2m_builder.dataset.audit.hashes import BAND_BITS, BANDS, Hashes, Int64Array, turned
from lrs2m_builder.dataset.audit.thumbnails import SIZE, Thumbnails

MAX_DISTANCE = 10
MAX_ALIKE = 32  # images of the same hash that are compared with all others; the rest only with these
# Limits for two thumbnails of one image: copies at JPEG quality 50, at 60 % of their size or enlarged never have less
# than 0.95, 0.86 and never more than 1.2; different images never less than 8 with the first two.
MIN_CORRELATION = 0.85
MIN_FINE_CORRELATION = 0.6
MAX_RESIDUAL = 2.5
# Shifted by half a pixel, an image of strong contrast differs by 5; but no two images of UC Merced are this similar.
SURE_CORRELATION = 0.98
SURE_FINE_CORRELATION = 0.97
_CHUNK = 8192
_COMPARED_AT_ONCE = 2**19


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of images by number, each once, the smaller number first, in ascending order.

    Attributes:
        first, second: (P,) numbers of images.
        residual: (P,) grey levels by which the thumbnails differ when one is turned and its brightness and contrast
            are fitted to the other's.
    """

    first: Int64Array
    second: Int64Array
    residual: NDArray[np.float32]


def near_pairs(hashes: Hashes, thumbnails: Thumbnails, *, first_new: int = 0, show_progress: bool = False) -> Pairs:
    """The pairs of images that are the same apart from quality, size, flips and rotations.

    Args:
        first_new: only pairs with an image of this number or a later one are examined.
    """
    residuals: dict[tuple[int, int], float] = {}
    bar = tqdm(desc="comparing", unit="pair", disable=not show_progress)
    for first, second in candidates(hashes.values):
        a_owner, b_owner = hashes.owners[first], hashes.owners[second]
        asked = (a_owner != b_owner) & (np.maximum(a_owner, b_owner) >= first_new)
        first, second = first[asked], second[asked]
        for start in range(0, len(first), _CHUNK):
            one, other = first[start : start + _CHUNK], second[start : start + _CHUNK]
            residual = _residuals(hashes, thumbnails, one, other)
            for number in np.flatnonzero(np.isfinite(residual)):
                a, b = int(hashes.owners[one[number]]), int(hashes.owners[other[number]])
                key = (min(a, b), max(a, b))
                residuals[key] = min(residuals.get(key, np.inf), float(residual[number]))
            bar.update(len(one))
    bar.close()
    keys = sorted(residuals)
    ends = np.array(keys, np.int64).reshape(-1, 2)
    return Pairs(ends[:, 0], ends[:, 1], np.array([residuals[key] for key in keys], np.float32))


def candidates(values: NDArray[np.uint64]) -> Iterator[tuple[Int64Array, Int64Array]]:
    """Yield the positions of hashes that differ in MAX_DISTANCE bits or less; a pair may be repeated."""
    crowded, leaders, others = _crowds(values)
    yield from crowded
    rest = np.concatenate([leaders, others])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for band in range(BANDS):
            keys = (values[rest] >> np.uint64(band * BAND_BITS)) & np.uint64(2**BAND_BITS - 1)
            order = rest[np.argsort(keys, kind="stable")]
            ends = np.cumsum(np.bincount(keys.astype(np.int64), minlength=2**BAND_BITS))[:-1]
            buckets = [bucket for bucket in np.split(order, ends) if len(bucket) > 1]
            for pairs in pool.map(lambda bucket: _within(values, bucket), buckets):
                yield from pairs


def _crowds(values: NDArray[np.uint64]) -> tuple[list[tuple[Int64Array, Int64Array]], Int64Array, Int64Array]:
    """For hashes with more than MAX_ALIKE images: pairs with the first ones, and these first ones; and all others."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, values[order][1:] != values[order][:-1]]) if len(values) else np.zeros(0, int)
    sizes = np.diff(np.r_[starts, len(values)])
    rank = np.arange(len(values)) - np.repeat(starts, sizes)
    alone = np.repeat(sizes <= MAX_ALIKE, sizes)
    pairs = [
        (np.full(size - MAX_ALIKE, order[start + leader]), order[start + MAX_ALIKE : start + size])
        for start, size in zip(starts[sizes > MAX_ALIKE], sizes[sizes > MAX_ALIKE], strict=True)
        for leader in range(MAX_ALIKE)
    ]
    return pairs, order[~alone & (rank < MAX_ALIKE)], order[alone]


def _within(values: NDArray[np.uint64], bucket: Int64Array) -> list[tuple[Int64Array, Int64Array]]:
    """The near pairs of the hashes of one bucket."""
    bucket_values, near_pairs = values[bucket], []
    rows = max(1, _COMPARED_AT_ONCE // len(bucket_values))
    for start in range(0, len(bucket_values), rows):
        distances = np.bitwise_count(bucket_values[start : start + rows, None] ^ bucket_values[None, start:])
        first, second = np.nonzero(distances <= MAX_DISTANCE)
        after = second > first
        if after.any():
            near_pairs.append((bucket[start + first[after]], bucket[start + second[after]]))
    return near_pairs


def _residuals(hashes: Hashes, thumbnails: Thumbnails, first: Int64Array, second: Int64Array) -> np.ndarray:
    """(P,) grey levels by which pairs of hashed images differ; infinite for different images."""
    one, other = (
        turned(np.asarray(thumbnails[hashes.owners[which]]), hashes.turns[which]).astype(np.float32)
        for which in (first, second)
    )
    correlation, contrast = _correlation(one, other)
    fine, _ = _correlation(_high_pass(one), _high_pass(other))
    residual = contrast * np.sqrt(np.maximum(0, 1 - correlation**2))
    close = (correlation >= MIN_CORRELATION) & (fine >= MIN_FINE_CORRELATION) & (residual <= MAX_RESIDUAL)
    same = close | ((correlation >= SURE_CORRELATION) & (fine >= SURE_FINE_CORRELATION))
    return np.where(same, residual, np.full_like(residual, np.inf))


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[np.ndarray, np.ndarray]:
    """(P,) correlations of (P, 1024) pixels, and the smaller standard deviation of the two."""
    one = one - one.mean(axis=1, keepdims=True)
    other = other - other.mean(axis=1, keepdims=True)
    spreads = np.sqrt((one * one).mean(axis=1)), np.sqrt((other * other).mean(axis=1))
    covariance = (one * other).mean(axis=1)
    return covariance / np.maximum(spreads[0] * spreads[1], np.float32(1e-6)), np.minimum(*spreads)


def _high_pass(pixels: NDArray[np.float32]) -> np.ndarray:
    """(P, 1024) pixels minus their mean over 5 x 5 (fewer at the edges)."""
    image = pixels.reshape(-1, SIZE, SIZE)
    sums = np.pad(np.pad(image, ((0, 0), (2, 2), (2, 2)), mode="edge"), ((0, 0), (1, 0), (1, 0)))
    sums = sums.cumsum(axis=1, dtype=np.float32).cumsum(axis=2, dtype=np.float32)
    around = sums[:, 5:, 5:] - sums[:, :-5, 5:] - sums[:, 5:, :-5] + sums[:, :-5, :-5]
    return (image - around / 25).reshape(pixels.shape)
