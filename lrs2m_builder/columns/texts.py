"""Tokens and repetitions of many texts at once.

White space divides a text for CLIP's tokenizer and for the checks alike. So a batch is cut into words with one look for
blanks, the tokenizer and the checks are asked once about every distinct word, and the rest is arithmetic.
"""

from __future__ import annotations

import re
from array import array
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lrs2m_builder.checks.base import TextColumn, split_words
from lrs2m_builder.clip.tokenizer import MAX_CACHED_WORDS, count_tokens

_LETTERS = 1 << 22
_HASH_BITS = 19
_BLOCK = 1 << (32 - _HASH_BITS)  # texts: the number of one and a hash share 32 bits; what is at hand stays in the cache
_BLANK = ord(" ")
_NOTHING = pa.array([""])
_MIX = (np.uint32(0x9E3779B1), np.uint32(0x85EBCA77), np.uint32(0xC2B2AE3D))
# A word of printable ASCII and the blank behind it. Without & and < there is nothing to repair or to remove in a text
# (`text`), without \ and ? nothing that looks like a wrong decoding (check `mojibake`).
_PLAIN_WORD = re.compile(rb"[!-%'-;=>@-\[\]-~]+ ")
_NOT_PLAIN = -(2**20)  # tokens of a word that is not plain: more than any text has, but the other way


class Vocabulary:
    """Every word that was met, understood once: its CLIP tokens, and the words checks see in it ("up/down," has two).

    Threads may share one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._forget()

    def _forget(self) -> None:
        self._words = pa.array([], pa.binary())
        self._tokens, self._begins, self._parts = array("i"), array("i", [0]), array("I")
        self._part_numbers: dict[str, int] = {}

    def look_up(self, words: pa.BinaryArray) -> tuple[NDArray[Any], ...]:
        """Of words (W,) their CLIP tokens, where their parts begin and how many they are, (W,) each, and all parts."""
        with self._lock:
            if len(self._words) > MAX_CACHED_WORDS:
                self._forget()
            new = words.filter(pc.invert(pc.is_in(words, value_set=self._words)))
            for word in new.to_pylist():
                self._add(word)
            self._words = pa.concat_arrays([self._words, new])
            numbers = pc.index_in(words, value_set=self._words).to_numpy()
            tokens, begins = np.array(self._tokens, np.int32), np.array(self._begins, np.int32)
            parts = np.append(np.array(self._parts, np.uint32), np.uint32(0))
        return tokens[numbers], begins[numbers], begins[numbers + 1] - begins[numbers], parts

    def _add(self, word: bytes) -> None:
        if _PLAIN_WORD.fullmatch(word):
            text = word.decode("ascii").rstrip()
            for part in split_words(text):
                self._parts.append(self._part_numbers.setdefault(part.lower(), len(self._part_numbers)))
            self._tokens.append(count_tokens(text) - 2)
        else:
            self._tokens.append(_NOT_PLAIN)
        self._begins.append(len(self._parts))


def measure_texts(texts: pa.StringArray, vocabulary: Vocabulary) -> TextColumn:
    """What can be told of texts (N,) at once; ten thousands are best."""
    words, first = _cut(texts)
    found = words.dictionary_encode()
    codes = found.indices.to_numpy()
    tokens, begins, lengths, parts = vocabulary.look_up(found.dictionary)
    parts_of_word = parts[begins] if (lengths == 1).all() else None
    num_tokens, num_repeats = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int32)
    for start in range(0, len(texts), _BLOCK):
        block = slice(start, start + _BLOCK)
        of_block = first[start : start + _BLOCK + 1]
        here, of_block = codes[of_block[0] : of_block[-1]], of_block - of_block[0]
        num_tokens[block] = np.add.reduceat(tokens[here], of_block[:-1], dtype=np.int64)
        if parts_of_word is not None:
            num_repeats[block] = _repeats(parts_of_word[here], of_block)
        else:
            num_repeats[block] = _repeats(*_parted(parts, begins[here], lengths[here], of_block))
    return TextColumn(num_tokens > 0, (2 + num_tokens).astype(np.int32), num_repeats)


def _cut(texts: pa.StringArray) -> tuple[pa.BinaryArray, NDArray[np.int32]]:
    """The words of all texts, with the blank behind each, and the number of each text's first word (N + 1,)."""
    ends = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False) + 1) - 1
    all_texts = pa.ListArray.from_arrays(pa.array([0, len(texts) + 1], pa.int32()), pa.concat_arrays([texts, _NOTHING]))
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


def _parted(
    parts: NDArray[np.uint32], begins: NDArray[np.int32], lengths: NDArray[np.int32], first: NDArray[np.int32]
) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """The parts of words in turn, and the number of each text's first one, (N + 1,)."""
    before = _running(lengths)
    inside = np.arange(before[-1], dtype=np.int32) - np.repeat(before[:-1], lengths)
    return parts[np.repeat(begins, lengths) + inside], before[first]


def _running(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """The sum of all values before each one, and of all, (N + 1,)."""
    sums = np.zeros(len(values) + 1, np.int32)
    np.cumsum(values, out=sums[1:])
    return sums


def _repeats(words: NDArray[np.uint32], first: NDArray[np.int32]) -> NDArray[np.int32]:
    """How many runs of three words have been before in their text (N,), or a few more."""
    # A run that reaches into the next text counts for the first, and hashes may meet: both are rare.
    runs = words[:-2] * _MIX[0] ^ words[1:-1] * _MIX[1] ^ words[2:] * _MIX[2]
    runs *= _MIX[0]
    runs >>= np.uint32(32 - _HASH_BITS)
    text = np.repeat(np.arange(len(first) - 1, dtype=np.uint32) << np.uint32(_HASH_BITS), np.diff(first))
    runs |= text[: len(runs)]
    runs.sort()
    again = runs[1:][runs[1:] == runs[:-1]] >> np.uint32(_HASH_BITS)
    return np.bincount(again, minlength=len(first) - 1).astype(np.int32)
