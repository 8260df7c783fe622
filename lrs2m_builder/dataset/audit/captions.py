"""Repeated captions, exact and near duplicates: MinHash with banding (Broder 1997).

The library datasketch needs one object and one call per text: 3 to 20 times as long (see docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from lrs2m_builder.dataset.audit.hashes import Int64Array
from lrs2m_builder.dataset.audit.words import NUM_HASHES, Hashed, hash_words, signatures_of, text_keys
from lrs2m_builder.dataset.foreign import reading

BAND_ROWS = 4  # of 16 bands: texts that share 70 % of their runs of words share a band with probability 99 %
MIN_SHARED = 0.7
NEIGHBOURS = 4  # texts after it in a band with which a text is compared, in addition to the first
NUM_LARGEST = 10
MAX_RECENT = 200_000
NUM_EXAMPLES = 3
# Words per run: short texts that differ in one of ten words must still match.
RUN_LENGTHS = {"caption_long": 5, "caption_short": 3}


@dataclass(frozen=True, slots=True)
class CaptionGroup:
    """A group of equal or similar texts.

    Attributes:
        texts: number of distinct texts, ignoring letter case and punctuation.
        examples: sample id and text of the first rows with different texts.
    """

    rows: int
    texts: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CaptionRepeats:
    """Repetitions in a caption column.

    Attributes:
        rows, distinct: number of texts, and of distinct texts.
        repeated_texts, repeated_rows: number of texts in several rows, and of these rows.
        near_groups, near_rows: groups of different texts that share most of their wording, and their rows.
    """

    column: str
    rows: int
    distinct: int
    repeated_texts: int
    repeated_rows: int
    near_groups: int
    near_rows: int
    most_repeated: tuple[CaptionGroup, ...]
    largest_near: tuple[CaptionGroup, ...]


def caption_repeats(files: list[Path], column: str, *, show_progress: bool = False) -> CaptionRepeats:
    """Find the repeated texts of a column; memory holds hashes only, at most 0.8 KB per distinct text."""
    keys, signatures, firsts = _read(files, column, show_progress)
    counts = np.unique(keys, return_counts=True)[1]
    order = np.argsort(keys[firsts], kind="stable")  # the order of np.unique
    firsts, signatures = firsts[order], signatures[order]
    groups = _group(signatures)
    texts_in, rows_in = np.bincount(groups), np.bincount(groups, counts).astype(np.int64)
    near = np.flatnonzero(texts_in > 1)
    repeated = counts > 1
    most = _largest(np.flatnonzero(repeated), counts, firsts)
    largest = near[np.lexsort((near, -rows_in[near]))][:NUM_LARGEST]
    members = [np.sort(firsts[groups == group])[:NUM_EXAMPLES] for group in largest]
    row_numbers = np.concatenate([firsts[most], *members]) if len(most) or members else np.zeros(0, np.int64)
    shown = _texts(files, column, row_numbers)
    return CaptionRepeats(
        column=column,
        rows=len(keys),
        distinct=len(counts),
        repeated_texts=int(repeated.sum()),
        repeated_rows=int(counts[repeated].sum()),
        near_groups=len(near),
        near_rows=int(rows_in[near].sum()),
        most_repeated=tuple(CaptionGroup(int(counts[text]), 1, (shown[int(firsts[text])],)) for text in most),
        largest_near=tuple(
            CaptionGroup(int(rows_in[group]), int(texts_in[group]), tuple(shown[int(row)] for row in rows))
            for group, rows in zip(largest, members, strict=True)
        ),
    )


def _largest(which: Int64Array, sizes: Int64Array, firsts: Int64Array) -> Int64Array:
    order: Int64Array = np.lexsort((firsts[which], -sizes[which]))
    return which[order][:NUM_LARGEST]


def _read(files: list[Path], column: str, show_progress: bool) -> tuple[Hashed, NDArray[np.uint16], Int64Array]:
    """(R,) a hash of each row's words; (T, 64) signatures and (T,) first rows of the distinct texts."""
    keys: list[Hashed] = []
    signatures: list[NDArray[np.uint16]] = []
    firsts: list[Int64Array] = []
    seen = recent = np.zeros(0, np.uint64)
    num_rows = 0
    total = sum(pq.read_metadata(file).num_rows for file in files)
    with tqdm(total=total, desc=column, unit="text", disable=not show_progress) as bar:
        for texts in _batches(files, column):
            words, starts = hash_words(texts)
            key = text_keys(words, starts)
            distinct, first = np.unique(key, return_index=True)
            new = first[~np.isin(distinct, recent) & ~_in_sorted(distinct, seen)]
            signatures.append(signatures_of(words, starts, RUN_LENGTHS[column])[new])
            firsts.append(new + num_rows)
            keys.append(key)
            recent = np.concatenate([recent, key[new]])
            if len(recent) > MAX_RECENT:  # sorting all for each batch would be quadratic
                seen, recent = np.sort(np.concatenate([seen, recent])), recent[:0]
            num_rows += len(texts)
            bar.update(len(texts))
    if not keys:
        return np.zeros(0, np.uint64), np.zeros((0, NUM_HASHES), np.uint16), np.zeros(0, np.int64)
    return np.concatenate(keys), np.concatenate(signatures), np.concatenate(firsts)


def _in_sorted(values: Hashed, among: Hashed) -> NDArray[np.bool_]:
    places = np.searchsorted(among, values)
    return among[np.minimum(places, len(among) - 1)] == values if len(among) else np.zeros(len(values), bool)


def _batches(files: list[Path], column: str, size: int = 20_000) -> Iterator[pa.LargeStringArray]:
    for file in files:
        with reading(file), pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            for batch in parquet.iter_batches(size, columns=[column]):
                yield pc.fill_null(batch.column(0).cast(pa.large_string()), "")


def _group(signatures: NDArray[np.uint16]) -> Int64Array:
    """(T,) the group of each text: texts that share MIN_SHARED of their runs, and transitively more."""
    first: list[Int64Array] = []
    second: list[Int64Array] = []
    for band in range(NUM_HASHES // BAND_ROWS):
        keys = np.ascontiguousarray(signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS]).view(np.uint64).ravel()
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        leaders = np.maximum.accumulate(np.where(np.r_[True, ordered[1:] != ordered[:-1]], np.arange(len(keys)), 0))
        for one, other in [(leaders, np.arange(len(keys))), *_shifted(len(keys))]:
            meet = np.flatnonzero((ordered[one] == ordered[other]) & (one != other))
            a, b = order[one[meet]], order[other[meet]]
            alike = _shared(signatures, a, b) >= MIN_SHARED
            first.append(a[alike])
            second.append(b[alike])
    return _components(len(signatures), np.concatenate(first), np.concatenate(second))


def _shifted(size: int) -> list[tuple[Int64Array, Int64Array]]:
    return [(np.arange(max(0, size - step)), np.arange(min(step, size), size)) for step in range(1, NEIGHBOURS + 1)]


def _shared(signatures: NDArray[np.uint16], a: Int64Array, b: Int64Array, chunk: int = 2**16) -> NDArray[np.float64]:
    """(P,) estimated shares of common runs of two texts."""
    parts = [
        (signatures[a[i : i + chunk]] == signatures[b[i : i + chunk]]).mean(axis=1) for i in range(0, len(a), chunk)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _components(size: int, first: Int64Array, second: Int64Array) -> Int64Array:
    """(size,) connected components, numbered from 0: each takes its neighbours' lowest number until nothing changes."""
    labels = np.arange(size)
    while True:
        lowest = labels.copy()
        np.minimum.at(lowest, first, labels[second])
        np.minimum.at(lowest, second, labels[first])
        lowest = lowest[lowest]
        if np.array_equal(lowest, labels):
            numbered: Int64Array = np.unique(labels, return_inverse=True)[1]
            return numbered
        labels = lowest


def _texts(files: list[Path], column: str, row_numbers: Int64Array) -> dict[int, tuple[str, str]]:
    """Sample id and text of the rows with these numbers, counted over all files."""
    texts: dict[int, tuple[str, str]] = {}
    start = 0
    for path in files:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                in_group = row_numbers[(row_numbers >= start) & (row_numbers < start + size)]
                if len(in_group):
                    rows = file.read_row_group(group, columns=["sample_id", column]).take(pa.array(in_group - start))
                    pairs = zip(rows["sample_id"].to_pylist(), rows[column].to_pylist(), strict=True)
                    texts |= {
                        int(row): (sample_id, text or "")
                        for row, (sample_id, text) in zip(in_group, pairs, strict=True)
                    }
                start += size
    return texts
