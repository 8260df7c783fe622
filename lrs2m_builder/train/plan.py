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

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.dataset.foreign import check_pairs, reading
from lrs2m_builder.dataset.selection import Filters, select
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.tokenizer import count_tokens

BUCKET = 32  # tokens; the mean long text has 111, and a compiled tower is compiled once per bucket
NO_TEXT = 2  # tokens of an empty text
READS = 8  # of a row group per epoch; they cost 3 % of decoding its images, and separate an image's 5 captions
VERSION = 2  # of the order: positions are valid only within a version
Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group of a file; `first_row` is the number of its first row among all rows."""

    path: Path
    number: int
    first_row: int
    num_rows: int


@dataclass(frozen=True)
class RowIndex:
    """Lengths and subsets of all rows, read before any image. R is the number of rows of all files.

    Attributes:
        num_tokens_R: length by which rows are bucketed; NO_TEXT or less if a row cannot be used.
        subset_R: number of each row's subset among `subsets`.
    """

    groups: tuple[RowGroup, ...]
    num_tokens_R: np.ndarray[Any, np.dtype[np.int32]]
    subset_R: np.ndarray[Any, np.dtype[np.int32]]
    subsets: tuple[str, ...]

    @cached_property
    def first_rows(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """First row of each group."""
        return np.array([group.first_row for group in self.groups])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the file names, their rows and the texts' lengths."""
        names = [f"{group.path.parent.name}/{group.path.name}:{group.number}:{group.num_rows}" for group in self.groups]
        return hashlib.sha256("\n".join(names).encode() + self.num_tokens_R.tobytes()).hexdigest()[:16]

    def group_of(self, row: int) -> int:
        """Number of the group that holds a row."""
        return int(self.groups_of(np.array([row]))[0])

    def groups_of(self, rows: Rows) -> Rows:
        """Number of the group that holds each of the rows."""
        return np.searchsorted(self.first_rows, rows, side="right") - 1


@dataclass(frozen=True, slots=True)
class Order:
    """The settings that determine the order, with the index.

    Attributes:
        batch_size: rows per process and batch.
        pool_rows: rows that a worker holds in memory.
        streams: pools that are read at the same time, one per worker.
        weights: how often an epoch uses each row of a subset; 1 if not named, 0 excludes it, 1.5 uses every row
            once and half of them again.
        num_pairs: maximum number of rows, chosen by the seed.
    """

    seed: int
    batch_size: int
    pool_rows: int
    streams: int
    weights: Mapping[str, float]
    num_pairs: int | None = None


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


def read_index(
    paths: Sequence[Path], texts: Sequence[str], where: str | None = None, say: Callable[[str], object] = print
) -> RowIndex:
    """Read the row groups of files and folders, and the length of each row's longest text.

    Args:
        texts: the caption columns that are trained on. Their lengths are read from `num_tokens_...` if it exists.
        where: rows that do not meet this SQL condition count as rows without a text, which are not trained on.
        say: takes what a person should know of the scores in the condition.

    Raises:
        UserError: no files, an unreadable file, a column is missing or of the wrong type, or no row meets the
            condition.
    """
    groups: list[RowGroup] = []
    num_tokens, subsets = [], []
    first_row = 0
    files = [file for path in paths for file in record_files(path)]
    check_pairs(files, texts, ("subset", *map(_counted, texts)))
    for path in files:
        with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            for number in range(file.num_row_groups):
                num_rows = file.metadata.row_group(number).num_rows
                groups.append(RowGroup(path, number, first_row, num_rows))
                first_row += num_rows
            num_tokens.append(_lengths(file, texts))
            subsets += _subsets(file, path)
    if where is not None:
        _leave_out(paths, where, dict(zip(files, num_tokens, strict=True)), say)
    names = sorted(set(subsets))
    code = {name: number for number, name in enumerate(names)}
    subset_r = np.array([code[name] for name in subsets], dtype=np.int32)
    return RowIndex(tuple(groups), np.concatenate(num_tokens), subset_r, tuple(names))


def _leave_out(
    paths: Sequence[Path], where: str, num_tokens: Mapping[Path, np.ndarray[Any, Any]], say: Callable[[str], object]
) -> None:
    """Set the lengths of all rows that do not meet a condition to 0."""
    for path in paths:
        selection = select(path, Filters(where=where))
        for note in selection.notes:
            say(f"{path}: {note}")
        for file in record_files(path):
            left_out = np.ones(len(num_tokens[file]), bool)
            left_out[selection.rows.get(file, [])] = False
            num_tokens[file][left_out] = 0


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


def _counted(text: str) -> str:
    """The column with the token counts of a text."""
    return text.replace("caption_", "num_tokens_")


def _lengths(file: pq.ParquetFile, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Tokens of the longest text, 0 if one of the texts is empty."""
    columns = []
    for name in texts:
        counted = _counted(name)
        if counted in file.schema_arrow.names:
            values = file.read([counted]).column(0).cast(pa.int32()).to_pylist()
            columns.append([value or 0 for value in values])
        else:
            columns.append([count_tokens(text or "") for text in file.read([name]).column(0).to_pylist()])
    lengths = np.array(columns, dtype=np.int32).reshape(len(texts), -1)
    return np.where(lengths.min(0) > NO_TEXT, lengths.max(0), 0).astype(np.int32)


def _subsets(file: pq.ParquetFile, path: Path) -> list[str]:
    if "subset" not in file.schema_arrow.names:
        return [path.parent.name] * file.metadata.num_rows
    return [name or path.parent.name for name in file.read(["subset"]).column(0).to_pylist()]


def _taken_rows(index: RowIndex, order: Order, epoch: int) -> list[Rows]:
    """The rows of an epoch, in file order; repeated rows are in several parts."""
    weight_R = _row_weights(index, order)
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


def _row_weights(index: RowIndex, order: Order) -> np.ndarray[Any, Any]:
    """How often each row is used in an epoch: [R]."""
    if unknown := sorted(order.weights.keys() - set(index.subsets)):
        raise UserError(f"weights: no subset {unknown[0]!r} in the data; it has {', '.join(index.subsets)}")
    weight_R = np.array([order.weights.get(name, 1.0) for name in index.subsets])[index.subset_R]
    weight_R[index.num_tokens_R <= NO_TEXT] = 0.0
    if order.num_pairs is not None:
        usable = np.flatnonzero(weight_R)
        weight_R[np.random.default_rng((order.seed, 1)).permutation(usable)[order.num_pairs :]] = 0.0
    return weight_R  # type: ignore[no-any-return]


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
