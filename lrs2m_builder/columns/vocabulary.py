"""What tokenizer and checks make of single words: each is understood once, however often it is met."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lrs2m_builder.checks.base import split_words
from lrs2m_builder.clip.tokenizer import MAX_CACHED_WORDS, count_tokens

# A word of printable ASCII and the blank behind it. Without & and < there is nothing to repair or to remove in a text
# (`text`), without \ and ? nothing that looks like a wrong decoding (check `mojibake`).
_PLAIN_WORD = re.compile(rb"[!-%'-;=>@-\[\]-~]+ ")
_NOT_PLAIN = -(2**31)  # tokens of a word that is not plain: more than any text has, but the other way


@dataclass(frozen=True, slots=True)
class Words:
    """What is known of words (W,).

    Attributes:
        tokens: (W,) CLIP tokens; far below 0 for a word that is not plain.
        ends_sentence: (W,) whether the next word begins one (`split_sentences`).
        begins, lengths: (W,) where in `parts` the words begin that checks see in it ("up/down," has two), and how many.
        parts: (P,) numbers of such words, letter case ignored.
    """

    tokens: NDArray[np.int32]
    ends_sentence: NDArray[np.bool_]
    begins: NDArray[np.int32]
    lengths: NDArray[np.int32]
    parts: NDArray[np.uint32]


class Vocabulary:
    """The words met so far. Threads may share one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._forget()

    def _forget(self) -> None:
        self._words = pa.array([], pa.binary())
        self._tokens, self._ends_sentence = array("i"), array("b")
        self._begins, self._parts = array("i", [0]), array("I")
        self._part_numbers: dict[str, int] = {}

    def look_up(self, words: pa.BinaryArray) -> Words:
        """What is known of words (W,), each with the blank behind it."""
        with self._lock:
            if len(self._words) > MAX_CACHED_WORDS:
                self._forget()
            new = words.filter(pc.invert(pc.is_in(words, value_set=self._words)))
            for word in new.to_pylist():
                self._add(word)
            self._words = pa.concat_arrays([self._words, new])
            numbers = pc.index_in(words, value_set=self._words).to_numpy()
            begins = np.array(self._begins, np.int32)
            return Words(
                tokens=np.array(self._tokens, np.int32)[numbers],
                ends_sentence=np.array(self._ends_sentence, bool)[numbers],
                begins=begins[numbers],
                lengths=begins[numbers + 1] - begins[numbers],
                parts=np.append(np.array(self._parts, np.uint32), np.uint32(0)),
            )

    def _add(self, word: bytes) -> None:
        if _PLAIN_WORD.fullmatch(word):
            text = word.decode("ascii").rstrip()
            for part in split_words(text):
                self._parts.append(self._part_numbers.setdefault(part.lower(), len(self._part_numbers)))
            self._tokens.append(count_tokens(text) - 2)
        else:
            self._tokens.append(_NOT_PLAIN)
        self._ends_sentence.append(word.rstrip().endswith((b".", b"!")))
        self._begins.append(len(self._parts))
