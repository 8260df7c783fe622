"""In which order training reads the rows of Parquet files: shuffled from a seed, alike lengths together, by rank.

A row group is the least that can be read, so whole row groups are shuffled and dealt to the processes. Consecutive
rows of that order make a pool, which a worker holds in memory; the rows of a pool are shuffled, sorted by the length
of their text in steps of BUCKET tokens, cut into batches, and the batches are shuffled. All of it follows from the
seed and the epoch: a position in training is two numbers, and no row has to be read to get back there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.clip.tokenizer import count_tokens
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.tables import record_files

BUCKET = 32  # tokens; the mean long text has 111, and a compiled tower is compiled once a bucket
NO_TEXT = 2  # tokens of an empty text


@dataclass(frozen=True, slots=True)
class Group:
    """A row group of a file; its rows are numbered from `first_row` on among all rows."""

    path: Path
    number: int
    first_row: int
    num_rows: int


@dataclass(frozen=True)
class Index:
    """What is known of the rows before any image is read. R is the number of rows of all files.

    Attributes:
        num_tokens_R: of the text that the rows are bucketed by; NO_TEXT or less where a row cannot be trained on.
        subset_R: number of each row's subset among `subsets`.
    """

    groups: tuple[Group, ...]
    num_tokens_R: np.ndarray[Any, np.dtype[np.int32]]
    subset_R: np.ndarray[Any, np.dtype[np.int32]]
    subsets: tuple[str, ...]

    @cached_property
    def first_rows(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """First row of each group, to find the group of a row."""
        return np.array([group.first_row for group in self.groups])

    @cached_property
    def fingerprint(self) -> str:
        """Changes when the files, their rows or their texts' lengths do."""
        names = [f"{group.path.parent.name}/{group.path.name}:{group.number}:{group.num_rows}" for group in self.groups]
        return hashlib.sha256("\n".join(names).encode() + self.num_tokens_R.tobytes()).hexdigest()[:16]

    def group_of(self, row: int) -> int:
        """Number of the group that holds a row."""
        return int(np.searchsorted(self.first_rows, row, side="right")) - 1


@dataclass(frozen=True, slots=True)
class Order:
    """What the order follows from, beside the index.

    Attributes:
        batch_size: rows a process and batch.
        pool_rows: rows a worker holds in memory, the wider the better shuffled.
        streams: pools that are read at the same time, one a worker.
        weights: how often an epoch takes each row of a subset; 1 where not named, 0 leaves it out, 1.5 takes every row
            once and half of them again.
        num_pairs: train on so many rows only, chosen from the seed.
    """

    seed: int
    batch_size: int
    pool_rows: int
    streams: int
    weights: Mapping[str, float]
    num_pairs: int | None = None


@dataclass(frozen=True)
class Plan:
    """The batches of one process in one epoch.

    Attributes:
        rows: their row numbers, [batches, batch_size].
        pools: the pool that each batch belongs to, [batches].
    """

    rows: np.ndarray[Any, np.dtype[np.int64]]
    pools: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.rows)


def read_index(paths: Sequence[Path], texts: Sequence[str]) -> Index:
    """Read the row groups of files and folders, and the length of each row's longest text.

    Args:
        texts: the caption columns that are trained on. Their lengths are read from `num_tokens_...` where that is.

    Raises:
        UserError: no files, one that is no Parquet, or a column is missing.
    """
    groups: list[Group] = []
    num_tokens, subsets = [], []
    first_row = 0
    for path in [file for given in paths for file in record_files(given)]:
        try:
            with pq.ParquetFile(path) as file:
                _check_columns(path, file.schema_arrow.names, texts)
                for number in range(file.num_row_groups):
                    num_rows = file.metadata.row_group(number).num_rows
                    groups.append(Group(path, number, first_row, num_rows))
                    first_row += num_rows
                num_tokens.append(_lengths(file, texts))
                subsets += _subsets(file, path)
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"{path}: not readable as Parquet ({one_line(error)}); remove it or build it again"
            ) from error
    names = sorted(set(subsets))
    code = {name: number for number, name in enumerate(names)}
    subset_r = np.array([code[name] for name in subsets], dtype=np.int32)
    return Index(tuple(groups), np.concatenate(num_tokens), subset_r, tuple(names))


def make_plan(index: Index, order: Order, epoch: int, rank: int, world_size: int) -> Plan:
    """The batches of a process in an epoch.

    Every process gets as many; the few rows over are left out, other ones each epoch. Batches of the same number have
    texts of about the same length on all processes, so that none waits for another.

    Raises:
        UserError: a weight names an unknown subset, or there are fewer rows than one batch needs.
    """
    units = _shuffled_units(index, order, epoch)
    by_rank = [_joined(units[first::world_size]) for first in range(world_size)]
    num_batches = min(len(rows) for rows in by_rank) // order.batch_size
    if num_batches == 0:
        total = sum(map(len, by_rank))
        raise UserError(
            f"{total} rows in {len(index.groups)} row groups are less than one batch of {order.batch_size} for each of "
            f"{world_size} process(es); take a smaller batch_size or more data"
        )
    pool_size = max(1, order.pool_rows // order.batch_size) * order.batch_size
    rows = by_rank[rank][: num_batches * order.batch_size]
    pools = [
        _pool_batches(rows[start : start + pool_size], index, order, (order.seed, epoch, start // pool_size), rank)
        for start in range(0, len(rows), pool_size)
    ]
    turns = np.array(
        [(pool // order.streams, turn, pool) for pool, batches in enumerate(pools) for turn in range(len(batches))]
    )
    # Several pools in turn, so that each worker of as many stays with its own.
    in_turn = np.lexsort(turns.T[::-1])
    return Plan(np.concatenate(pools)[in_turn], turns[in_turn, 2])


def _check_columns(path: Path, there: Sequence[str], texts: Sequence[str]) -> None:
    if missing := [name for name in ("image", *texts) if name not in there]:
        raise UserError(f"{path}: no column {missing[0]!r}, which training needs; it has {', '.join(there)}")


def _lengths(file: pq.ParquetFile, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Tokens of the longest of the texts, 0 where one of them is empty."""
    columns = []
    for name in texts:
        counted = name.replace("caption_", "num_tokens_")
        if counted in file.schema_arrow.names:
            values = file.read([counted]).column(0).to_pylist()
            columns.append([value or 0 for value in values])
        else:
            columns.append([count_tokens(text or "") for text in file.read([name]).column(0).to_pylist()])
    lengths = np.array(columns, dtype=np.int32).reshape(len(texts), -1)
    return np.where(lengths.min(0) > NO_TEXT, lengths.max(0), 0).astype(np.int32)


def _subsets(file: pq.ParquetFile, path: Path) -> list[str]:
    if "subset" not in file.schema_arrow.names:
        return [path.parent.name] * file.metadata.num_rows
    return [name or path.parent.name for name in file.read(["subset"]).column(0).to_pylist()]


def _shuffled_units(index: Index, order: Order, epoch: int) -> list[np.ndarray[Any, Any]]:
    """The row numbers of each unit in the order of the epoch; a unit is one pass over a row group."""
    weight_R = _row_weights(index, order)
    random = np.random.default_rng((order.seed, epoch, 2))
    share_R = random.random(len(weight_R))  # which rows get the fraction of a weight, others each epoch
    units = []
    for group in index.groups:
        rows = np.arange(group.first_row, group.first_row + group.num_rows)
        for turn in range(int(np.ceil(weight_R[rows].max(initial=0.0)))):
            units.append(rows[share_R[rows] < weight_R[rows] - turn])
    return [units[number] for number in random.permutation(len(units))]


def _row_weights(index: Index, order: Order) -> np.ndarray[Any, Any]:
    """How often each row is taken in an epoch: [R]."""
    if unknown := sorted(order.weights.keys() - set(index.subsets)):
        raise UserError(f"weights: no subset {unknown[0]!r} in the data; it has {', '.join(index.subsets)}")
    weight_R = np.array([order.weights.get(name, 1.0) for name in index.subsets])[index.subset_R]
    weight_R[index.num_tokens_R <= NO_TEXT] = 0.0
    if order.num_pairs is not None:
        usable = np.flatnonzero(weight_R)
        weight_R[np.random.default_rng((order.seed, 1)).permutation(usable)[order.num_pairs :]] = 0.0
    return weight_R  # type: ignore[no-any-return]


def _joined(units: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.concatenate(units) if units else np.empty(0, dtype=np.int64)


def _pool_batches(
    rows: np.ndarray[Any, Any], index: Index, order: Order, key: tuple[int, ...], rank: int
) -> np.ndarray[Any, Any]:
    """The batches of a pool: alike lengths together, in an order that is the same on every process."""
    shuffled = np.random.default_rng((*key, 3, rank)).permutation(rows)
    buckets = -(-index.num_tokens_R[shuffled] // BUCKET)
    batches = shuffled[np.argsort(buckets, kind="stable")].reshape(-1, order.batch_size)
    return batches[np.random.default_rng((*key, 4)).permutation(len(batches))]
