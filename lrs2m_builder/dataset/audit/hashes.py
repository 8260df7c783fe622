"""A 60-bit hash of a thumbnail that is the same for the eight flips and rotations of an image.

The signs of the lowest frequencies of the discrete cosine transform, as in pHash (Zauner 2010). One transform serves
all eight: a flip changes the signs of the odd frequencies and nothing else, a transposition swaps the axes. An image is
turned until its three largest structures have a standard orientation; in a close call, it is hashed in each.
The library imagehash has no such hash and would need eight calls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.dataset.audit.thumbnails import SIZE, Thumbnails

BANDS = 5
BAND_BITS = 12
FREQUENCIES = 8
FLAT = 1.0  # standard deviation, in grey levels, below which an image has no structure to compare
# Noise of a copy at JPEG quality 50 or 60 % of its size, as a share of the structure: 99 % of images have less.
CLOSE_CALL = 0.03
_CHUNK = 8192

Int64Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hashes:
    """Hashes of many images, one or more per image.

    Attributes:
        values: (H,) 60 bits each.
        owners: (H,) number of the image.
        turns: (H,) 0 to 7: the turn in which the image was hashed, see `turned`.
        num_flat: number of images without structure, which have no hash.
    """

    values: NDArray[np.uint64]
    owners: NDArray[np.int64]
    turns: NDArray[np.int8]
    num_flat: int


def _basis() -> NDArray[np.float32]:
    """(8, 32) rows of the orthonormal DCT-II."""
    positions = (2 * np.arange(SIZE) + 1) * np.pi / (2 * SIZE)
    basis = np.cos(np.arange(FREQUENCIES)[:, None] * positions) * np.sqrt(2 / SIZE)
    basis[0] /= np.sqrt(2)
    result: NDArray[np.float32] = basis.astype(np.float32)
    return result


def _bit_order() -> NDArray[np.int64]:
    """The frequencies that give bits, lowest first, without the mean and the two whose signs determine the turn."""
    pairs = [(u, v) for u in range(FREQUENCIES) for v in range(FREQUENCIES) if u + v > 1]
    pairs.sort(key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))
    return np.array([u * FREQUENCIES + v for u, v in pairs[: BANDS * BAND_BITS]])


_BASIS, _BITS = _basis(), _bit_order()
_WEIGHTS = np.uint64(1) << np.arange(BANDS * BAND_BITS, dtype=np.uint64)
_ODD = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)


def _permutations() -> NDArray[np.int64]:
    """(8, 1024): pixel i of an image turned by t is pixel [t, i] of the image."""
    pixels = np.arange(SIZE * SIZE).reshape(SIZE, SIZE)
    return np.stack([_turn(pixels, turn).ravel() for turn in range(8)])


def _turn(pixels: NDArray[np.int64], turn: int) -> NDArray[np.int64]:
    pixels = pixels.T if turn & 4 else pixels
    pixels = pixels[::-1] if turn & 2 else pixels
    return pixels[:, ::-1] if turn & 1 else pixels


_PERMUTATIONS = _permutations()


def turned(thumbnails: Thumbnails, turns: NDArray[np.int8]) -> Thumbnails:
    """(N, 1024) pixels of (N, 32, 32) thumbnails, each turned: transposed (4), top to bottom (2), left to right (1)."""
    return np.take_along_axis(thumbnails.reshape(len(thumbnails), -1), _PERMUTATIONS[turns], axis=1)


def hash_thumbnails(thumbnails: Thumbnails) -> Hashes:
    """Hash (N, 32, 32) thumbnails, which may be memory-mapped."""
    chunks: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int8]]] = []
    num_flat = 0
    for first in range(0, len(thumbnails), _CHUNK):
        pixels = np.asarray(thumbnails[first : first + _CHUNK], np.float32)
        owners = np.flatnonzero(pixels.std(axis=(1, 2)) >= FLAT)
        num_flat += len(pixels) - len(owners)
        coefficients = (_BASIS @ pixels[owners] @ _BASIS.T).astype(np.float32)
        chunks += [
            (values, owners[which] + first, np.full(len(which), turn, np.int8))
            for turn in range(8)
            for which, values in [_hash_turned(coefficients, turn)]
        ]
    parts = zip(*chunks, strict=True) if chunks else ([np.zeros(0, kind)] for kind in (np.uint64, np.int64, np.int8))
    values, owners, turns = (np.concatenate(list(part)) for part in parts)
    return Hashes(values, owners, turns, num_flat)


def _hash_turned(coefficients: NDArray[np.float32], turn: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """(numbers of the images whose standard orientation is this turn, their hashes)."""
    coefficients = coefficients.transpose(0, 2, 1) if turn & 4 else coefficients
    coefficients = coefficients * _ODD[:, None] if turn & 2 else coefficients
    coefficients = coefficients * _ODD if turn & 1 else coefficients
    structure = np.sqrt(np.square(coefficients).sum(axis=(1, 2)) - np.square(coefficients[:, 0, 0]))
    margin = -CLOSE_CALL * structure
    across, down = coefficients[:, 0, 1], coefficients[:, 1, 0]
    which = np.flatnonzero((across >= margin) & (down >= margin) & (np.abs(across) - np.abs(down) >= margin))
    bits = coefficients[which].reshape(-1, FREQUENCIES**2)[:, _BITS] > 0
    return which, bits @ _WEIGHTS
