"""The rows of Parquet files that may be trained on: their lengths and subsets, read before any image."""

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
from lrs2m_builder.dataset.selection import Filters, Selection, select
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.tokenizer import count_tokens

SEVERAL = "captions_long"  # the long texts of a row that has several
NO_TEXT = 2  # tokens of an empty text
Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Best:
    """Only the rows with the largest scores.

    Attributes:
        share: of the rows that have a score, above 0 and at most 1.
        by: the score, or any SQL expression on columns and scores.
    """

    share: float
    by: str


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


def read_index(
    paths: Sequence[Path],
    texts: Sequence[str],
    where: str | None = None,
    best: Best | None = None,
    *,
    say: Callable[[str], object] = print,
) -> RowIndex:
    """Read the row groups of files and folders, and the length of each row's longest text.

    Args:
        texts: the caption columns that are trained on. Their lengths are read from `num_tokens_...` if it exists.
        where: rows that do not meet this SQL condition count as rows without a text, which are not trained on.
        best: of the rows that meet it, only those with the largest scores, over all files together.
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
    if where is not None or best is not None:
        _leave_out(paths, where, best, dict(zip(files, num_tokens, strict=True)), say)
    names = sorted(set(subsets))
    code = {name: number for number, name in enumerate(names)}
    subset_r = np.array([code[name] for name in subsets], dtype=np.int32)
    return RowIndex(tuple(groups), np.concatenate(num_tokens), subset_r, tuple(names))


def _leave_out(
    paths: Sequence[Path],
    where: str | None,
    best: Best | None,
    num_tokens: Mapping[Path, np.ndarray[Any, Any]],
    say: Callable[[str], object],
) -> None:
    """Set the lengths of all rows that do not meet the condition, or are not among the best, to 0."""
    selections = [select(path, Filters(where=where), value=best.by if best else None) for path in paths]
    for selection in selections:
        for note in selection.notes:
            say(f"{selection.path}: {note}")
    kept = {file: rows for selection in selections for file, rows in selection.rows.items()}
    if best is not None:
        kept = _best_rows(selections, best, num_tokens, say)
    for file, lengths in num_tokens.items():
        left_out = np.ones(len(lengths), bool)
        left_out[kept.get(file, [])] = False
        lengths[left_out] = 0


def _best_rows(
    selections: Sequence[Selection],
    best: Best,
    num_tokens: Mapping[Path, np.ndarray[Any, Any]],
    say: Callable[[str], object],
) -> dict[Path, np.ndarray[Any, Any]]:
    """Of the rows with texts in all selections, those with the largest scores; of equal scores the first ones.

    Raises:
        UserError: no row has a score.
    """
    files = [
        (file, rows[usable], each.values[file][usable])
        for each in selections
        for file, rows in each.rows.items()
        if (usable := num_tokens[file][rows] > NO_TEXT).any()
    ]
    values = np.concatenate([value for _, _, value in files]) if files else np.zeros(0)
    num_scored = int((~np.isnan(values)).sum())
    if not num_scored:
        raise UserError(f"--by {best.by!r}: none of {len(values):,} rows has a value; make the scores first")
    num_kept = max(1, round(best.share * num_scored))
    order = np.argsort(-values, kind="stable")[:num_kept]  # rows without a score come last
    if num_scored < len(values):
        say(f"{len(values) - num_scored:,} of {len(values):,} rows have no {best.by} and are not trained on")
    say(f"trained on the {num_kept:,} rows with {best.by} of at least {values[order[-1]]:.4g}")
    chosen = np.zeros(len(values), bool)
    chosen[order] = True
    parts = np.split(chosen, np.cumsum([len(rows) for _, rows, _ in files])[:-1])
    return {file: rows[part] for (file, rows, _), part in zip(files, parts, strict=True)}


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
