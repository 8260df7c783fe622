"""Fits one check of the model of talk: which sentence of a bad text is the bad one is found on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lrs2m_builder.checks.talk.ngrams import BUCKETS, marked_sentences, sentence_buckets
from talk_training.texts import Text

ROUNDS = 3  # of fitting and choosing the worst sentence of each bad text
C = 0.3  # inverse strength of regularisation
POSITIVE = 4.0  # weight of a bad sentence
PHRASE = 0.15  # weight of a text written out from a phrase
JOINED = 0.5  # weight of a sentence joined with a plain one: what is bad stays bad in a long sentence


@dataclass(frozen=True, slots=True)
class Sentences:
    """The sentences of all texts.

    Attributes:
        counts: (S, BUCKETS) n-grams of each, scaled: rare ones weigh more.
        scale: (BUCKETS,) by which the counts were multiplied.
        text: (S,) index of the text of each.
        first: (S,) whether it begins its text.
    """

    counts: Any
    scale: NDArray[np.float32]
    text: NDArray[np.int64]
    first: NDArray[np.bool_]


def read_sentences(texts: Sequence[Text]) -> Sentences:
    """The sentences of the texts as counts of n-grams."""
    buckets, owners, first = [], [], []
    for i, text in enumerate(texts):
        for j, words in enumerate(marked_sentences(text.text)[1] or [["<<", ">>"]]):
            buckets.append(sentence_buckets(words))
            owners.append(i)
            first.append(j == 0)
    pointers = np.cumsum([0, *map(len, buckets)])
    values = np.ones(pointers[-1], np.float32)
    counts = sparse.csr_matrix((values, np.concatenate(buckets), pointers), shape=(len(buckets), BUCKETS))
    counts.sum_duplicates()
    occurring = np.bincount(counts.indices, minlength=BUCKETS)
    scale = np.where(occurring >= 2, np.log((len(buckets) + 1) / (occurring + 1)) / 8, 0).astype(np.float32)
    scaled = (counts @ sparse.diags(scale)).tocsr()
    scaled.eliminate_zeros()
    return Sentences(scaled, scale, np.array(owners), np.array(first))


def fit(
    check: str, texts: Sequence[Text], sentences: Sentences, used: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], float]:
    """The weights (BUCKETS,) of a check for scaled counts, and its bias.

    Args:
        used: (T,) the texts to learn from.
    """
    labels = np.array([{True: 1, False: 0, None: -1}[text.label_for(check)] for text in texts])
    labels[~used] = -1
    of_sentence = labels[sentences.text]
    if check == "preamble":
        of_sentence[~sentences.first] = -1
    weight = np.array([PHRASE if text.origin == "phrase" else 1.0 for text in texts])[sentences.text]
    good, candidates = np.flatnonzero(of_sentence == 0), np.flatnonzero(of_sentence == 1)
    bad = candidates
    for round_ in range(ROUNDS):
        rows = np.concatenate([bad, good])
        target = np.r_[np.ones(len(bad)), np.zeros(len(good))]
        weights = weight[rows] * np.where(target == 1, POSITIVE, 1.0)
        counts = sentences.counts[rows]
        choose = np.random.default_rng(round_)
        some_good = len(bad) + choose.choice(len(good), min(2 * len(bad), len(good)), replace=False)
        joined = np.concatenate([np.arange(len(bad)), some_good])
        plain = sentences.counts[choose.choice(good, len(joined))]
        counts = sparse.vstack([counts, counts[joined].maximum(plain)]).tocsr()
        model = LogisticRegression(C=C, solver="liblinear", dual=True, max_iter=100, tol=1e-2, random_state=0)
        model.fit(counts, np.r_[target, target[joined]], np.r_[weights, weights[joined] * JOINED])
        scores = sentences.counts @ model.coef_[0] + model.intercept_[0]
        order = candidates[np.lexsort((-scores[candidates], sentences.text[candidates]))]
        bad = order[np.unique(sentences.text[order], return_index=True)[1]]
    return model.coef_[0].astype(np.float32), float(model.intercept_[0])


def score_texts(
    check: str, sentences: Sentences, weights: NDArray[np.float32], bias: float, num_texts: int
) -> NDArray[np.float32]:
    """What the worst sentence of each text scores (T,); of `preamble` its first."""
    scores = sentences.counts @ weights + bias
    rows = np.flatnonzero(sentences.first) if check == "preamble" else np.arange(len(scores))
    best = np.full(num_texts, -np.inf, np.float32)
    np.maximum.at(best, sentences.text[rows], scores[rows])
    return best
