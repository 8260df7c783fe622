"""The order in which training reads the rows of Parquet files: shuffled from a seed, similar lengths together.

An epoch is one shuffled order of all its rows. A batch, that of all processes, is made of lanes of LANE_ROWS rows or
more; each lane has an even part of the epoch, cut into pools, of which STREAMS take turns. Small data are shuffled row
by row. For large data, where a pool of single rows would read the whole data, each row group is split into READS
fragments of non-adjacent rows, and the fragments are shuffled: a pool has a few rows of each of many groups, and no
group is read more often than READS times.

The rows of a pool are shuffled, sorted by the length of their text in steps of BUCKET tokens, cut into batches, and the
batches are shuffled. Seed, epoch and the size of the batch determine everything: processes share a batch by its places
and workers by its number, so that their numbers may change while a run is stopped. A position in training is two
numbers, and no row has to be read to return to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrs2m_builder.errors import UserError
from lrs2m_builder.train.index import RowIndex, Rows
from lrs2m_builder.train.mixture import Order, row_weights

BUCKET = 32  # tokens; the mean long text has 111, and a compiled tower is compiled once per bucket
READS = 8  # of a row group per epoch; they cost 3 % of decoding its images, and separate an image's 5 captions
LANE_ROWS = 64  # of a batch: up to this many rows of a batch per process, no pool is read by two processes
STREAMS = 4  # pools that take turns; of 1, 2 or 4 workers each reads its own
VERSION = 3  # of the order: positions are valid only within a version


@dataclass(frozen=True)
class EpochPlan:
    """The batches of one process in one epoch.

    Attributes:
        rows: their row numbers, [batches, batch size of the process].
        pools: the pool that each batch belongs to, [batches]; a stream is those equal modulo STREAMS.
        first_place: place of the first of its rows in the batch of all processes.
    """

    rows: np.ndarray[Any, np.dtype[np.int64]]
    pools: np.ndarray[Any, np.dtype[np.int64]]
    first_place: int = 0

    def __len__(self) -> int:
        return len(self.rows)


def count_lanes(batch_size: int) -> int:
    """Number of lanes of a batch: as many as leave each the same number of rows, LANE_ROWS or more."""
    most = max(1, batch_size // LANE_ROWS)
    return next(number for number in range(most, 0, -1) if batch_size % number == 0)


def count_batches(index: RowIndex, order: Order, epoch: int, world_size: int) -> int:
    """Batches in an epoch, enough to contain every row.

    Raises:
        UserError: a weight names an unknown subset, or there are fewer rows than one batch of every process.
    """
    num_rows = sum(map(len, _taken_rows(index, order, epoch)))
    if num_rows == 0:
        raise UserError(
            f"none of {len(index.num_tokens_R)} rows has the texts that are trained on; check their columns"
        )
    if num_rows < order.batch_size:
        smaller = f"batch_size={num_rows // world_size} or less, " if num_rows >= 2 * world_size else ""
        raise UserError(
            f"{num_rows} rows are less than one batch of {order.batch_size // world_size} for each of {world_size} "
            f"process(es); use {smaller}fewer processes or more data"
        )
    return -(-num_rows // order.batch_size)


def make_plan(index: RowIndex, order: Order, epoch: int, rank: int, world_size: int) -> EpochPlan:
    """The batches of a process in an epoch: its share of the batches of all processes, in the order of the ranks.

    All processes have the same number, and every row is in a batch; to fill the last ones, less than one batch of rows
    is in two. Batches of the same number have texts of about the same length on all processes, so that none
    waits for another.

    Args:
        world_size: a divisor of the batch size.

    Raises:
        UserError: a weight names an unknown subset, or there are fewer rows than one batch of every process.
    """
    num_batches = count_batches(index, order, epoch, world_size)
    shuffled = _shuffled_rows(index, order, epoch)
    num_lanes = count_lanes(order.batch_size)
    width = order.batch_size // num_lanes
    sizes = _pool_sizes(num_batches, order.pool_rows // width)
    own = order.batch_size // world_size
    first = own * rank
    lanes = range(first // width, (first + own - 1) // width + 1)
    parts = [shuffled[len(shuffled) * lane // num_lanes : len(shuffled) * (lane + 1) // num_lanes] for lane in lanes]
    rows = np.concatenate(
        [
            _lane_batches(part, width, sizes, index, (order.seed, epoch), lane)
            for lane, part in zip(lanes, parts, strict=True)
        ],
        axis=1,
    )
    # Pools take turns, so that each worker stays with its own.
    turns = np.array([(pool // STREAMS, turn, pool) for pool, size in enumerate(sizes) for turn in range(size)])
    in_turn = np.lexsort(turns.T[::-1])
    skipped = first - lanes.start * width
    return EpochPlan(rows[in_turn, skipped : skipped + own], turns[in_turn, 2], first)


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


def _pool_sizes(num_batches: int, most_batches: int) -> list[int]:
    """Number of batches per pool. STREAMS pools are open at a time, all with the same number of batches.

    Args:
        most_batches: of a pool.
    """
    num_pools = -(-num_batches // max(1, most_batches))
    in_streams = -(-num_pools // STREAMS) * STREAMS
    most = max(1, num_batches // 2)  # a pool of one batch could not be filled
    num_pools = in_streams if in_streams <= most else min(num_pools, most)
    least, more = divmod(num_batches, num_pools)
    longer = more // STREAMS * STREAMS  # full rounds of the streams; the rest in the last round
    rest = max(0, num_pools - STREAMS)
    sizes = np.full(num_pools, least)
    sizes[:longer] += 1
    sizes[max(rest, longer) :][: more - longer] += 1
    return [int(size) for size in sizes]


def _lane_batches(
    rows: Rows, width: int, sizes: Sequence[int], index: RowIndex, key: tuple[int, ...], lane: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rows of a lane in batches, pool after pool: [batches, width]."""
    starts = np.cumsum([0, *sizes[:-1]]) * width
    return np.concatenate(
        [
            _pool_batches(part, size, width, index, (*key, number), lane)
            for number, (part, size) in enumerate(zip(np.split(rows, starts[1:]), sizes, strict=True))
        ]
    )


def _pool_batches(
    rows: Rows, num_batches: int, width: int, index: RowIndex, key: tuple[int, ...], lane: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The batches of a pool: similar lengths together, in an order that is the same in every lane.

    If the rows do not fill the batches, these overlap: each row is in one or two batches, and never twice in one.
    """
    shuffled = np.random.default_rng((*key, 3, lane)).permutation(rows)
    by_length = shuffled[np.argsort(-(-index.num_tokens_R[shuffled] // BUCKET), kind="stable")]
    first = np.linspace(0, len(rows) - width, num_batches).astype(np.int64)
    batches = by_length[first[:, None] + np.arange(width)]
    return batches[np.random.default_rng((*key, 4)).permutation(len(batches))]
