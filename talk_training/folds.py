"""Folds in which no text has a near copy in another fold, so that a held-out text is an unseen one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from lrs2m_builder.checks.talk.ngrams import words_of
from talk_training.texts import order_of

NUM_FOLDS = 5
ALIKE = 0.6  # share of the runs of three words that near copies have in common
WITHIN = 0.8  # or of the shorter text's, if these are six or more
MAX_TEXTS = 200  # with a run in common: it is no sign of a copy if more have it


def fold_of_each(texts: Sequence[str]) -> list[int]:
    """The fold of each text, 0 to 4; near copies share one."""
    runs = [_runs(text) for text in texts]
    by_run = defaultdict(list)
    for i, own in enumerate(runs):
        for run in own:
            by_run[run].append(i)
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, own in enumerate(runs):
        shared = Counter(j for run in own if len(by_run[run]) <= MAX_TEXTS for j in by_run[run] if j < i)
        for j, count in shared.items():
            union, shorter = len(own) + len(runs[j]) - count, min(len(own), len(runs[j]))
            if count >= ALIKE * union or (count >= 6 and count >= WITHIN * shorter):
                parent[root(i)] = root(j)
    first: dict[int, str] = {}
    for i, text in enumerate(texts):
        first[root(i)] = min(first.get(root(i), text.lower()), text.lower())
    return [order_of(first[root(i)]) % NUM_FOLDS for i in range(len(texts))]


def _runs(text: str) -> frozenset[tuple[str, ...]]:
    words = words_of(text, first=False, last=False)
    return frozenset(zip(words, words[1:], words[2:], strict=False)) or frozenset([tuple(words)])
