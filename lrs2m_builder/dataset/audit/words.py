"""Texts as numbers: hashes of their words and MinHash signatures, thousands of texts at once.

Words are split and hashed in the buffers that Parquet is read into; no text becomes a Python string.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lrs2m_builder.dataset.audit.hashes import Int64Array

NUM_HASHES = 64

Hashed = NDArray[np.uint64]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = np.random.default_rng(0).integers(1, 2**63, NUM_HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def _byte_table() -> NDArray[np.uint8]:
    """The value of each byte: 0 between words, letters in lower case; all bytes beyond ASCII belong to words."""
    table = np.zeros(256, np.uint8)
    for byte in range(256):
        if byte >= 128 or chr(byte).isalnum():
            table[byte] = ord(chr(byte).lower()) if byte < 128 else byte
    return table


_BYTES = _byte_table()


def hash_words(texts: pa.LargeStringArray) -> tuple[Hashed, Int64Array]:
    """Hashes of all words of N texts, concatenated, and the (N + 1,) positions where the texts' words begin."""
    bounds = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = texts.buffers()[2]
    content = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]] if data else np.zeros(0, np.uint8)
    letters = _BYTES[content]
    inside = letters > 0
    before = np.r_[False, inside[:-1]] if len(inside) else inside
    is_start = np.zeros(len(inside), bool)
    is_start[bounds[:-1][bounds[:-1] < bounds[-1]] - bounds[0]] = True  # a text begins with a new word
    begins = np.flatnonzero(inside & (~before | is_start))
    hashes = np.zeros(len(begins), np.uint64)
    if len(begins):
        # Letters and their order distinguish words: each letter is mixed with its position in the word.
        place = np.arange(begins[0], len(inside)) - np.repeat(begins, np.diff(np.r_[begins, len(inside)]))
        mixed = _mix(letters[begins[0] :].astype(np.uint64) + place.astype(np.uint64) * np.uint64(256))
        hashes = _mix(np.add.reduceat(np.where(inside[begins[0] :], mixed, np.uint64(0)), begins - begins[0]))
    return hashes, np.searchsorted(begins, bounds - bounds[0])


def _mix(values: Hashed) -> Hashed:
    """The bits of a number, mixed (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _sums(values: Hashed, starts: Int64Array) -> Hashed:
    """(N,) sums of the values of each text; 0 for a text without values."""
    total = np.r_[np.uint64(0), np.cumsum(values, dtype=np.uint64)]
    sums: Hashed = total[starts[1:]] - total[starts[:-1]]
    return sums


def text_keys(words: Hashed, starts: Int64Array) -> Hashed:
    """(N,) hashes of whole texts, from their words and their order."""
    place = np.arange(len(words)) - np.repeat(starts[:-1], np.diff(starts))
    return _mix(_sums(_mix(words + place.astype(np.uint64) * _MIX), starts))


def signatures_of(words: Hashed, starts: Int64Array, run_length: int) -> NDArray[np.uint16]:
    """(N, 64) MinHash of each text's runs of words; a text of fewer words is one run."""
    lengths = np.diff(starts)
    runs = words.copy()
    for step in range(1, run_length):
        owner_end = np.repeat(starts[1:], lengths)
        reach = np.arange(len(words)) + step
        inside = reach < owner_end
        runs[inside] = runs[inside] * _MIX + words[reach[inside]]
    # A run that extends beyond its text does not count, unless it is the text's first.
    place = np.arange(len(words)) - np.repeat(starts[:-1], lengths)
    whole = (place + run_length <= np.repeat(lengths, lengths)) | (place == 0)
    runs, counts = _mix(runs[whole]), np.add.reduceat(np.r_[whole, False], starts[:-1]) * (lengths > 0)
    signatures = np.zeros((len(lengths), NUM_HASHES), np.uint16)
    filled = np.flatnonzero(counts)
    if not len(filled):
        return signatures
    begins = np.r_[0, np.cumsum(counts[filled])[:-1]]
    for number, multiplier in enumerate(_MULTIPLIERS):
        lowest = np.minimum.reduceat((runs * multiplier) >> np.uint64(16), begins)
        signatures[filled, number] = (lowest & np.uint64(0xFFFF)).astype(np.uint16)
    return signatures
