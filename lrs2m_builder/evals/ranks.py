"""Ranks of the right answers in a retrieval among any number of candidates, a block of queries at a time.

The score matrix of 100,000 images and 500,000 texts would be 200 GB; a block of it is MAX_BLOCK bytes at most.
Ties: the rank is 1 + the number of higher scores + the number of equal ones with a lower index; the optimistic rank
leaves the equal ones out. So that equal features have equal scores whatever the blocks of a matrix product do, each
distinct feature is multiplied once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lrs2m_builder.clip.encode import Features, finite

Numbers = NDArray[np.int64]
MAX_BLOCK = 128 * 2**20  # bytes of scores at once


@dataclass(frozen=True, slots=True)
class Ranks:
    """Rank of the best right answer of each query, from 1 on: (Q,) each.

    Attributes:
        first: of equal scores, the candidate with the lower index comes first.
        optimistic: of equal scores, the right one comes first.
    """

    first: Numbers
    optimistic: Numbers


def text_to_image(texts: Features, images: Features, owners: Numbers, *, device: str = "cpu") -> Ranks:
    """Rank of the own image of each text.

    Args:
        texts, images: (T, D) and (N, D), each row of length 1.
        owners: (T,) number of each text's image, its only right answer.
    """
    first, optimistic = np.empty(len(texts), np.int64), np.empty(len(texts), np.int64)
    for rows, scores_QC in _blocks(texts, images, device):
        right_Q = torch.from_numpy(owners[rows]).to(scores_QC.device)
        own_Q1 = scores_QC.gather(1, right_Q[:, None])
        optimistic[rows], first[rows] = _ranks(scores_QC, own_Q1, right_Q)
    return Ranks(first, optimistic)


def image_to_text(images: Features, texts: Features, owners: Numbers, *, device: str = "cpu") -> Ranks:
    """Rank of the best text of each image; every image has one at least.

    Args:
        owners: (T,) number of each text's image.
    """
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(len(images) + 1))
    first, optimistic = np.empty(len(images), np.int64), np.empty(len(images), np.int64)
    for rows, scores_QC in _blocks(images, texts, device):
        # The right texts of each image, the last one repeated to the number of the largest.
        most = int(np.diff(starts)[rows].max())
        numbers = np.minimum(
            starts[rows][:, None] + np.arange(most), starts[rows.start + 1 : rows.stop + 1][:, None] - 1
        )
        right_QM = torch.from_numpy(order[numbers]).to(scores_QC.device)
        own_QM = scores_QC.gather(1, right_QM)
        best_Q1 = own_QM.amax(1, keepdim=True)
        # Of its own texts with the best score, the one with the lowest index: `order` is stable.
        lowest_Q = right_QM.gather(1, (own_QM == best_Q1).float().argmax(1, keepdim=True))[:, 0]
        optimistic[rows], first[rows] = _ranks(scores_QC, best_Q1, lowest_Q)
    return Ranks(first, optimistic)


def _blocks(queries: Features, candidates: Features, device: str) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield slices of the queries with their scores_QC against all candidates."""
    queries, candidates = finite(queries, "query"), finite(candidates, "candidate")
    distinct, which = _distinct(candidates)
    distinct_CD = torch.from_numpy(distinct).to(device)
    which_C = None if which is None else torch.from_numpy(which).to(device)
    size = max(1, MAX_BLOCK // (4 * max(1, len(candidates))))
    for start in range(0, len(queries), size):
        rows = slice(start, min(start + size, len(queries)))
        scores_QC = torch.from_numpy(queries[rows]).to(device) @ distinct_CD.T
        yield rows, scores_QC if which_C is None else scores_QC[:, which_C]


def _distinct(features: Features) -> tuple[Features, Numbers | None]:
    """The distinct rows, and which of them each row is; None if they are all distinct."""
    keys = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in features]
    _, firsts, which = np.unique(np.array(keys, "V16"), return_index=True, return_inverse=True)
    return (features, None) if len(firsts) == len(features) else (features[firsts], which.astype(np.int64))


def _ranks(scores_QC: torch.Tensor, own_Q1: torch.Tensor, right_Q: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Optimistic ranks, and those where equal scores of lower index come first."""
    optimistic_Q = 1 + (scores_QC > own_Q1).sum(1)
    before_QC = torch.arange(scores_QC.shape[1], device=scores_QC.device) < right_Q[:, None]
    ties_Q = ((scores_QC == own_Q1) & before_QC).sum(1)
    return optimistic_Q.cpu().numpy(), (optimistic_Q + ties_Q).cpu().numpy()
