"""The order in which training reads the rows of Parquet files: shuffled from a seed, similar lengths together.

An epoch is one shuffled order of all its rows, cut evenly into the parts of the processes, and each part into pools:
the rows that a worker holds in memory. Small data are shuffled row by row. For large data, where a pool of single rows
would read the whole data, each row group is split into READS fragments of non-adjacent rows, and the
fragments are shuffled: a pool has a few rows of each of many groups, and no group is read more often than READS times.

The rows of a pool are shuffled, sorted by the length of their text in steps of BUCKET tokens, cut into batches, and the
batches are shuffled. Seed and epoch determine everything: a position in training is two numbers, and no row
has to be read to return to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lrs2m_builder.errors import UserError
from lrs2m_builder.train.index import RowIndex, Rows
from lrs2m_builder.train.mixture import Order, row_weights

BUCKET = 32  # tokens; the mean long text has 111, and a compiled tower is compiled once per bucket
READS = 8  # of a row group per epoch; they cost 3 % of decoding its images, and separate an image's 5 captions
VERSION = 2  # of the order: positions are valid only within a version


@dataclass(frozen=True)
class EpochPlan:
    """The batches of one process in one epoch.

    Attributes:
        rows: their row numbers, [batches, batch_size].
        pools: the pool that each batch belongs to, [batches].
    """

    rows: np.ndarray[Any, np.dtype[np.int64]]
    pools: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.rows)


def count_batches(index: RowIndex, order: Order, epoch: int, world_size: int) -> int:
    """Batches of each process in an epoch, enough to contain every row.

    Raises:
        UserError: a weight names an unknown subset, or there are fewer rows than one batch of every process.
    """
    num_rows = sum(map(len, _taken_rows(index, order, epoch)))
    batch = order.batch_size * world_size
    if num_rows == 0:
        raise UserError(
            f"none of {len(index.num_tokens_R)} rows has the texts that are trained on; check their columns"
        )
    if num_rows < batch:
        smaller = f"batch_size={num_rows // world_size} or less, " if num_rows >= 2 * world_size else ""
        raise UserError(
            f"{num_rows} rows are less than one batch of {order.batch_size} for each of {world_size} process(es); use "
            f"{smaller}fewer processes or more data"
        )
    return -(-num_rows // batch)


def make_plan(index: RowIndex, order: Order, epoch: int, rank: int, world_size: int) -> EpochPlan:
    """The batches of a process in an epoch.

    All processes have the same number, and every row is in a batch; to fill the last ones, up to one batch of rows per
    process is in two. Batches of the same number have texts of about the same length on all processes, so that none
    waits for another.

    Raises:
        UserError: a weight names an unknown subset, or there are fewer rows than one batch of every process.
    """
    num_batches = count_batches(index, order, epoch, world_size)
    shuffled = _shuffled_rows(index, order, epoch)
    rows = shuffled[len(shuffled) * rank // world_size : len(shuffled) * (rank + 1) // world_size]
    sizes = _pool_sizes(num_batches, order)
    starts = np.cumsum([0, *sizes[:-1]]) * order.batch_size
    pools = [
        _pool_batches(part, size, index, order, (order.seed, epoch, number), rank)
        for number, (part, size) in enumerate(zip(np.split(rows, starts[1:]), sizes, strict=True))
    ]
    # Pools take turns, so that each worker stays with its own.
    turns = np.array([(pool // order.streams, turn, pool) for pool, size in enumerate(sizes) for turn in range(size)])
    in_turn = np.lexsort(turns.T[::-1])
    return EpochPlan(np.concatenate(pools)[in_turn], turns[in_turn, 2])


def _taken_rows(index: RowIndex, order: Order, epoch: int) -> list[Rows]:
    """The rows of an epoch, in file order; repeated rows are in several parts."""
    weight_R = row_weights(index, order)
    share_R = np.random.default_rng((order.seed, epoch, 2)).random(len(weight_R))  # decides fractional weights
    turns = range(int(np.ceil(weight_R.max(initial=0.0))))
    return [np.flatnonzero(share_R < weight_R - turn) for turn in turns]


def _shuffled_rows(index: RowIndex, order: Order, epoch: int) -> Rows:
    """The rows of an epoch in its order, the same on every process."""
    taken = _taken_rows(index, order, epoch)
    rows = np.concatenate(taken)
    random = np.random.default_rng((order.seed, epoch, 5))
    if len(rows) <= READS * order.pool_rows:
        return random.permutation(rows)
    turn = np.repeat(np.arange(len(taken)), [len(part) for part in taken])
    group = index.groups_of(rows) + turn * len(index.groups)  # a repetition of a group counts as another group
    first = np.flatnonzero(np.diff(group, prepend=-1))  # first position of each group in `rows`
    place = np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
    # Each of READS adjacent rows, such as an image's captions, goes into another fragment.
    offset = np.repeat(random.integers(0, READS, len(first)), np.diff(first, append=len(rows)))
    unit = group * READS + (place + offset) % READS
    _, number = np.unique(unit, return_inverse=True)
    return rows[np.argsort(random.permutation(number.max() + 1)[number], kind="stable")]


def _pool_sizes(num_batches: int, order: Order) -> list[int]:
    """Number of batches per pool. `streams` pools are open at a time, all with the same number of batches."""
    num_pools = -(-num_batches // max(1, order.pool_rows // order.batch_size))
    in_streams = -(-num_pools // order.streams) * order.streams
    most = max(1, num_batches // 2)  # a pool of one batch could not be filled
    num_pools = in_streams if in_streams <= most else min(num_pools, most)
    least, more = divmod(num_batches, num_pools)
    longer = more // order.streams * order.streams  # full rounds of the streams; the rest in the last round
    rest = max(0, num_pools - order.streams)
    sizes = np.full(num_pools, least)
    sizes[:longer] += 1
    sizes[max(rest, longer) :][: more - longer] += 1
    return [int(size) for size in sizes]


def _pool_batches(
    rows: Rows, num_batches: int, index: RowIndex, order: Order, key: tuple[int, ...], rank: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The batches of a pool: similar lengths together, in an order that is the same on every process.

    If the rows do not fill the batches, these overlap: each row is in one or two batches, and never twice in one.
    """
    shuffled = np.random.default_rng((*key, 3, rank)).permutation(rows)
    by_length = shuffled[np.argsort(-(-index.num_tokens_R[shuffled] // BUCKET), kind="stable")]
    first = np.linspace(0, len(rows) - order.batch_size, num_batches).astype(np.int64)
    batches = by_length[first[:, None] + np.arange(order.batch_size)]
    return batches[np.random.default_rng((*key, 4)).permutation(len(batches))]
