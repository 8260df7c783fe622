"""Tokens and repetitions of many texts at once.

White space divides a text for CLIP's tokenizer and for the checks alike. So a batch is cut into words with one look for
blanks, the tokenizer and the checks are asked once about every distinct word, and the rest is arithmetic.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lrs2m_builder.checks.base import MAX_DISTANCE, TextColumn
from lrs2m_builder.columns.vocabulary import Vocabulary, Words

_HASH_BITS = 19
_BLOCK = 1 << (32 - _HASH_BITS)  # texts: the number of one and a hash share 32 bits; a block stays in the cache
_LETTERS = 1 << 22
_BLANK = ord(" ")
_MIX = (np.uint32(0x9E3779B1), np.uint32(0x85EBCA77), np.uint32(0xC2B2AE3D))


def measure_texts(texts: pa.StringArray, vocabulary: Vocabulary) -> TextColumn:
    """What can be told of texts (N,) at once; ten thousands are best."""
    words, first = _cut(texts)
    found = words.dictionary_encode()
    codes = found.indices.to_numpy()
    known = vocabulary.look_up(found.dictionary)
    blocks = [_measure(known, codes[:0], first[:1])]
    for start in range(0, len(texts), _BLOCK):
        of_block = first[start : start + _BLOCK + 1]
        blocks.append(_measure(known, codes[of_block[0] : of_block[-1]], of_block - of_block[0]))
    fields = TextColumn.__dataclass_fields__
    return TextColumn(**{name: np.concatenate([getattr(block, name) for block in blocks]) for name in fields})


def _cut(texts: pa.StringArray) -> tuple[pa.BinaryArray, NDArray[np.int32]]:
    """The words of all texts, with the blank behind each, and the number of each text's first word (N + 1,)."""
    ends = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False) + 1) - 1
    all_texts = pa.ListArray.from_arrays(
        pa.array([0, len(texts) + 1], pa.int32()), pa.concat_arrays([texts, pa.array([""])])
    )
    together = pc.binary_join(all_texts, " ").buffers()[2]
    letters = np.frombuffer(together, np.uint8, int(ends[-1]) + 1 if len(ends) else 0)
    behind_blanks = [np.zeros(1, np.int32)]
    for start in range(0, len(letters), _LETTERS):
        found = np.flatnonzero(letters[start : start + _LETTERS] == _BLANK)
        behind_blanks.append((found + (start + 1)).astype(np.int32))
    bounds = np.concatenate(behind_blanks)
    first = np.searchsorted(bounds, np.append(0, ends + 1).astype(np.int32)).astype(np.int32)
    words = pa.BinaryArray.from_buffers(pa.binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), together])
    return words, first


def _measure(known: Words, codes: NDArray[np.int32], first: NDArray[np.int32]) -> TextColumn:
    """Measure texts (N,).

    Args:
        codes: their words, as numbers in what is known.
        first: the number of each text's first word and of the one after the last, (N + 1,).
    """
    size = len(first) - 1
    num_tokens = np.add.reduceat(known.tokens[codes], first[:-1], dtype=np.int64) if size else np.zeros(0, np.int64)
    openings = np.concatenate((first[:-1], np.flatnonzero(known.ends_sentence[codes]) + 1))
    opens_thrice = np.zeros(size, bool)
    if (known.lengths == 1).all():
        words = known.parts[known.begins][codes]
    else:
        begins, lengths = known.begins[codes], known.lengths[codes]
        opens_thrice[np.repeat(np.arange(size), np.diff(first))[lengths == 0]] = True
        before = np.zeros(len(codes) + 1, np.int32)
        np.cumsum(lengths, out=before[1:])
        inside = np.arange(before[-1], dtype=np.int32) - np.repeat(before[:-1], lengths)
        words = known.parts[np.repeat(begins, lengths) + inside]
        first, openings = before[first], before[openings]
    runs = _runs(words, first)
    in_order = np.sort(runs)
    num_repeats = _count(in_order[1:][in_order[1:] == in_order[:-1]], size)
    has_repeats = num_repeats > 1
    is_opening = np.zeros(len(words) + 1, bool)
    is_opening[openings] = True
    opened = _of(has_repeats, runs[is_opening[: len(runs)]])
    opened.sort()
    opens_thrice |= _count(opened[2:][opened[2:] == opened[:-2]], size) > 0
    returns, repeating = np.zeros((size, MAX_DISTANCE), np.int32), _of(has_repeats, runs)
    for back in range(1, MAX_DISTANCE + 1):
        returns[:, back - 1] = _count(repeating[back:][repeating[back:] == repeating[:-back]], size)
    num_words = np.diff(first)
    return TextColumn(num_tokens > 0, (2 + num_tokens).astype(np.int32), num_words, num_repeats, returns, opens_thrice)


def _runs(words: NDArray[np.uint32], first: NDArray[np.int32]) -> NDArray[np.uint32]:
    """For every word but the last two the number of its text, in the upper bits, and a hash of it and the next two.

    A run that reaches into the next text counts for the first.
    """
    runs: NDArray[np.uint32] = words[:-2] * _MIX[0] ^ words[1:-1] * _MIX[1] ^ words[2:] * _MIX[2]
    runs *= _MIX[0]
    runs >>= np.uint32(32 - _HASH_BITS)
    text = np.repeat(np.arange(len(first) - 1, dtype=np.uint32) << np.uint32(_HASH_BITS), np.diff(first))
    runs |= text[: len(runs)]
    return runs


def _of(is_wanted: NDArray[np.bool_], runs: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The runs of some texts."""
    wanted: NDArray[np.uint32] = runs[is_wanted[runs >> np.uint32(_HASH_BITS)]]
    return wanted


def _count(runs: NDArray[np.uint32], size: int) -> NDArray[np.int32]:
    """How many of the runs each text has, (size,)."""
    return np.bincount(runs >> np.uint32(_HASH_BITS), minlength=size).astype(np.int32)
