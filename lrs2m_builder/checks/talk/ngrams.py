"""The sentences of a text and their n-grams as numbers of buckets: what the learned model of talk adds up.

Training and judging share this file: a change to it needs new weights (`make talk-model`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BITS = 18
BUCKETS = 1 << BITS
LETTERS = (3, 4, 5)  # lengths of the letter n-grams within a word
MAX_WORDS, MAX_LETTERS = 200, 40  # of a sentence and of a word that are read
RUNS = ((0, 1), (0, 1, 2), (0, 2))  # which words of a run count: two, three, and two with any word between them
_SHIFT = np.uint64(64 - BITS)
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|\n+")
_QUOTED = re.compile(r"[\"“”][^\"“”]{1,60}[\"“”]")
_TOKEN = re.compile(r"[a-z]+(?:['’][a-z]+)*|\d+|[^\w\s]")


def split(text: str) -> list[str]:
    """The sentences of a text."""
    return [sentence for sentence in _END.split(text) if sentence.strip()]


def words_of(sentence: str, first: bool, last: bool) -> list[str]:
    """The words and marks of a sentence between a mark for its beginning and one for its end.

    Quoted words are writing in the scene: they become one word. Numbers become 0.

    Args:
        first: whether it begins the text; last: whether it ends the text.
    """
    plain = _QUOTED.sub(' "q" ', sentence).lower().replace("’", "'")
    words = ["0" if word.isdigit() else word[:MAX_LETTERS] for word in _TOKEN.findall(plain)[:MAX_WORDS]]
    return ["<<" if first else "<", *words, ">>" if last else ">"]


def marked_sentences(text: str) -> tuple[list[str], list[list[str]]]:
    """The sentences of a text and the words of each."""
    found = split(text)
    return found, [words_of(s, i == 0, i == len(found) - 1) for i, s in enumerate(found)]


def hash_of(word: str) -> int:
    """A number for a word."""
    return zlib.crc32(word.encode())


@lru_cache(maxsize=50_000)
def word_buckets(word: str) -> tuple[int, ...]:
    """The buckets of a word: its own and those of its letter n-grams."""
    padded = f"_{word}_"
    pieces = (padded[i : i + n] for n in LETTERS for i in range(len(padded) - n + 1))
    return (hash_of(word) % BUCKETS, *(hash_of(f"#{piece}") % BUCKETS for piece in pieces))


def run_buckets(hashes: NDArray[np.uint64], run: tuple[int, ...]) -> NDArray[np.int64]:
    """The bucket of a run (one of RUNS) that begins at each word, from the hashes of all words (N,); (N - run[-1],)."""
    count = max(len(hashes) - run[-1], 0)
    mixed = np.full(count, RUNS.index(run) + 2, np.uint64)
    for i, offset in enumerate(run):
        mixed = mixed * _MIX[0] + hashes[offset : offset + count] * _MIX[i]
    buckets: NDArray[np.int64] = ((mixed * _MIX[1]) >> _SHIFT).astype(np.int64)
    return buckets


def sentence_buckets(words: Sequence[str]) -> NDArray[np.int64]:
    """All buckets of a sentence, one per n-gram; a bucket may occur several times."""
    hashes = np.array([hash_of(word) for word in words], np.uint64)
    single = np.array([bucket for word in words for bucket in word_buckets(word)], np.int64)
    return np.concatenate([single, *(run_buckets(hashes, run) for run in RUNS)])
