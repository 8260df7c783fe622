"""How often an epoch uses each row: weights and caps of the subsets, a temperature, a number of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrs2m_builder.errors import UserError
from lrs2m_builder.train.index import NO_TEXT, RowIndex

Weights = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Order:
    """The settings that determine the order, with the index.

    Attributes:
        batch_size: rows per batch of all processes.
        pool_rows: rows per pool (plan.py).
        weights: how often an epoch uses each row of a subset; 1 if not named, 0 excludes it, 1.5 uses every row
            once and half of them again.
        num_pairs: maximum number of rows, chosen by the seed.
        subset_cap: maximum number of rows of a subset, chosen by the seed.
        temperature: an epoch uses the subsets in proportion to (their rows) ^ (1 / temperature), as many rows as there
            are; None and 1 leave them as they are.
    """

    seed: int
    batch_size: int
    pool_rows: int
    weights: Mapping[str, float]
    num_pairs: int | None = None
    subset_cap: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What an epoch uses of a subset.

    Attributes:
        rows: number of its rows that are used at all.
        of: number of its rows in the data.
        uses: how often they are used altogether, in the mean over epochs.
    """

    name: str
    rows: int
    of: int
    uses: float


def row_weights(index: RowIndex, order: Order) -> Weights:
    """How often each row is used in an epoch: [R].

    Raises:
        UserError: a weight names an unknown subset.
    """
    if unknown := sorted(order.weights.keys() - set(index.subsets)):
        raise UserError(f"weights: no subset {unknown[0]!r} in the data; it has {', '.join(index.subsets)}")
    weight_R = np.array([order.weights.get(name, 1.0) for name in index.subsets])[index.subset_R]
    weight_R[index.num_tokens_R <= NO_TEXT] = 0.0
    if order.subset_cap is not None:
        for subset in range(len(index.subsets)):
            _keep(weight_R, np.flatnonzero((index.subset_R == subset) & (weight_R > 0)), order.subset_cap, order.seed)
    if order.num_pairs is not None:
        _keep(weight_R, np.flatnonzero(weight_R), order.num_pairs, order.seed)
    if order.temperature is not None:
        weight_R *= _evened(index, weight_R > 0, order.temperature)[index.subset_R]
    return weight_R  # type: ignore[no-any-return]


def parts_of(index: RowIndex, order: Order) -> list[Part]:
    """What an epoch uses of each subset, in the order of their names."""
    weight_R = row_weights(index, order)
    parts = []
    for number, name in enumerate(index.subsets):
        own = index.subset_R == number
        parts.append(Part(name, int((weight_R[own] > 0).sum()), int(own.sum()), float(weight_R[own].sum())))
    return parts


def _keep(weight_R: Weights, rows: Any, number: int, seed: int) -> None:
    """Leave only so many of some rows, chosen by the seed."""
    weight_R[np.random.default_rng((seed, 1)).permutation(rows)[number:]] = 0.0


def _evened(index: RowIndex, used_R: np.ndarray[Any, Any], temperature: float) -> Weights:
    """The factor of each subset's weight: its share becomes that of (rows) ^ (1 / temperature)."""
    rows_S = np.bincount(index.subset_R[used_R], minlength=len(index.subsets)).astype(float)
    wanted_S = np.where(rows_S > 0, rows_S ** (1 / temperature), 0.0)
    factor_S: Weights = wanted_S / max(wanted_S.sum(), 1e-9) * rows_S.sum() / np.maximum(rows_S, 1)
    return factor_S
