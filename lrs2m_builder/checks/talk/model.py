"""The learned model of talk: what each sentence of a text scores for each of the five checks (weights.md)."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.checks.base import beginning
from lrs2m_builder.checks.talk import NAMES, WEIGHTS
from lrs2m_builder.checks.talk.ngrams import RUNS, hash_of, marked_sentences, run_buckets, word_buckets


class TalkModel:
    """A linear model over the n-grams of a sentence; a score above 0 is talk.

    Attributes:
        weights: (BUCKETS, 5) one column per check, in the order of NAMES.
        bias: (5,) what an empty sentence scores.
    """

    def __init__(self, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self.weights, self.bias = weights, bias
        self._word = lru_cache(maxsize=50_000)(self._word_score)

    def _word_score(self, word: str) -> tuple[int, NDArray[Any]]:
        return hash_of(word), self.weights[list(word_buckets(word))].sum(axis=0)

    def score(self, text: str) -> tuple[list[str], NDArray[np.float32]]:
        """The sentences of a text (S) and their scores (S, 5)."""
        sentences, words = marked_sentences(beginning(text))
        if not sentences:
            return [], np.zeros((0, len(NAMES)), np.float32)
        scored = [self._word(word) for sentence in words for word in sentence]
        hashes = np.array([hashed for hashed, _ in scored], np.uint64)
        values = np.array([value for _, value in scored])
        lengths = [len(sentence) for sentence in words]
        sentence_of = np.repeat(np.arange(len(words)), lengths)
        for run in RUNS:
            within = np.flatnonzero(sentence_of[: len(hashes) - run[-1]] == sentence_of[run[-1] :])
            values[within] += self.weights[run_buckets(hashes, run)[within]]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        return sentences, np.add.reduceat(values, starts, axis=0) + self.bias


@cache
def shipped_model() -> TalkModel:
    """The model that the package ships."""
    with WEIGHTS.open("rb") as file, np.load(file) as stored:
        return TalkModel(stored["weights"] * stored["scale"], stored["bias"])


@lru_cache(maxsize=64)
def _scored(text: str) -> tuple[list[str], NDArray[np.float32]]:
    return shipped_model().score(text)


def worst_sentence(text: str, check: str) -> str | None:
    """The sentence of a text that a check objects to most; None if it objects to none. `preamble` reads the first."""
    sentences, scores = _scored(text)
    column = scores[:1, NAMES.index(check)] if check == "preamble" else scores[:, NAMES.index(check)]
    if not column.size or column.max() <= 0:
        return None
    return sentences[int(column.argmax())]
