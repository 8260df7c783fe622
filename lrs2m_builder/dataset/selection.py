"""Which rows of a finished data set are wanted, and those rows as a stream: row groups at a time, in their order.

The question which rows is asked of the columns that it needs alone; images are read only for rows that are wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.dataset.corrected import correct_batch
from lrs2m_builder.dataset.foreign import as_record, check_files, plain_rows, reading
from lrs2m_builder.dataset.reviews import Reviews
from lrs2m_builder.dataset.scores.columns import mentioned, score_columns
from lrs2m_builder.dataset.scores.join import MISSING, OLDER, by_home, join_scores
from lrs2m_builder.dataset.scores.places import scored_files
from lrs2m_builder.dataset.split_files import SplitColumn
from lrs2m_builder.dataset.tables import open_tables, record_files
from lrs2m_builder.errors import UserError

Reviewed = Literal["accept", "not-flagged"]
NEEDS = ("sample_id", "subset", "caption_short", "caption_long")
USES = ("image", "license")
ROWS_AT_ONCE = 100
REVIEWS = "reviews.jsonl"
VALUE = '"lrs2m value"'  # the column with the value that is asked for
REMOVALS = Path("audit", "removals.parquet")


@dataclass(frozen=True, slots=True)
class Filters:
    """What is wanted of a data set; everything where nothing is said.

    Attributes:
        subsets: their names.
        reviewed: only what a person accepted in `lrs2m view`, or all that nobody flagged there; with corrected texts.
        without_audit: leave out what `lrs2m audit` would remove.
        where: a condition of SQL on the columns of a record and on scores, `<name>_<column>`.
    """

    subsets: tuple[str, ...] = ()
    reviewed: Reviewed | None = None
    without_audit: bool = False
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The wanted rows of a data set.

    Attributes:
        rows: numbers of rows in their file, ascending, by file; files in the order of their names.
        num_rows: how many that are.
        of: how many rows the data set has.
        notes: what a person should know of the scores in the condition, a line each.
        values: of each wanted row, the value that was asked for; NaN where it is null.
        reviews: whose corrected texts the rows have when they are read; None leaves them as they are stored.
    """

    path: Path
    rows: dict[Path, np.ndarray]
    num_rows: int
    of: int
    notes: tuple[str, ...] = ()
    values: dict[Path, np.ndarray] = field(default_factory=dict)
    reviews: Reviews | None = None


def select(path: Path, filters: Filters, *, value: str | None = None) -> Selection:
    """Find the wanted rows of a build or of any folder of Parquet files with the columns of a record.

    Args:
        value: a score, or an SQL expression on columns and scores, whose value of each row is wanted too.

    Raises:
        UserError: no such data, an unknown subset, no reviews, no audit, a bad condition or value, or no row is left.
    """
    connection = open_tables(path, NEEDS, USES)
    files = record_files(path)
    with reading(path):
        table = connection.sql("SELECT * FROM records")
        of = _count(table)
        asked = f"{filters.where or ''} {value or ''}"
        scores = score_columns(scored_files(path), table.columns) if asked.strip() else {}
        if named := mentioned(asked, scores):
            join_scores(connection, "records", by_home(scored_files(path)), named)
            table = connection.sql("SELECT * FROM scored")
        for condition in _conditions(connection, table, path, filters):
            table = table.filter(condition)
        if value is not None:
            table = _with_value(table, value, scores)
        found = _kept(table, filters.where, scores, with_value=value is not None)
    by_file = {file: numbers for file, numbers in zip(found["file"], found["numbers"], strict=True) if len(numbers)}
    rows = {file: np.asarray(by_file[str(file)]) for file in files if str(file) in by_file}
    values = {}
    if value is not None:
        of_file = dict(zip(found["file"], found["given"], strict=True))
        values = {file: np.array([_number(each) for each in of_file[str(file)]]) for file in rows}
    num_rows = sum(map(len, rows.values()))
    notes = _notes(int(sum(found["missing"])), int(sum(found["older"])))
    if not of:
        raise UserError(f"{path}: it has no rows{all_rejected(connection)}")
    if any((np.diff(numbers) == 0).any() for numbers in rows.values()):
        raise UserError(f"{path}: a table of scores holds a sample twice; delete its folder and make it again")
    if not num_rows:
        raise UserError(f"{path}: no row matches (of {of:,}){f': {notes[0]}' if notes else ''}; relax the filters")
    reviews = Reviews(_beside(path) / REVIEWS) if filters.reviewed else None
    return Selection(path, rows, num_rows, of, notes, values, reviews)


def keep_selected(connection: duckdb.DuckDBPyConnection, selection: Selection) -> None:
    """Make the view `kept`: the rows of `records` that a selection holds."""
    files = pa.DictionaryArray.from_arrays(
        np.repeat(np.arange(len(selection.rows)), [len(rows) for rows in selection.rows.values()]),
        pa.array(map(str, selection.rows), pa.string()),
    )
    rows = pa.array(np.concatenate(list(selection.rows.values())), pa.int32())
    connection.register("selected", pa.table({"file": files, "row": rows}))
    connection.execute("CREATE VIEW kept AS SELECT * FROM records SEMI JOIN selected USING (file, row)")


def read_batches(selection: Selection, *, with_images: bool = True) -> Iterator[pa.RecordBatch]:
    """Yield the wanted rows in order, a hundred at most at a time.

    Args:
        with_images: read the bytes of images too; their names are read in any case.

    Raises:
        UserError: a file broke since it was opened.
    """
    for path, numbers in selection.rows.items():
        with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            splits = SplitColumn(path)
            for batch in _wanted(file, numbers, _columns(file.schema_arrow, with_images=with_images)):
                record = splits.put(as_record(batch))
                yield correct_batch(record, selection.reviews) if selection.reviews else record


def read_rows(selection: Selection, *, with_images: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the wanted rows in order (see `read_batches`)."""
    for batch in read_batches(selection, with_images=with_images):
        yield from plain_rows(batch, selection.path)


def _columns(schema: pa.Schema, *, with_images: bool) -> list[str]:
    """The columns to read: all, of an image its path alone where its bytes are not wanted."""
    if with_images or "image" not in schema.names:
        return list(schema.names)
    return ["image.path" if name == "image" else name for name in schema.names]


def _wanted(file: pq.ParquetFile, numbers: np.ndarray, columns: list[str]) -> Iterator[pa.RecordBatch]:
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        if len(_between(numbers, start, end)):
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=columns):
                inside = _between(numbers, start, start + len(batch)) - start
                start += len(batch)
                if len(inside):
                    yield batch if len(inside) == len(batch) else batch.take(pa.array(inside))
        start = end


def _between(numbers: np.ndarray, start: int, end: int) -> np.ndarray:
    return numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, end)]


def all_rejected(connection: duckdb.DuckDBPyConnection) -> str:
    ((count,),) = connection.sql("SELECT count(*) FROM rejections").fetchall()
    return f": all {count:,} samples were rejected; lrs2m view shows why" if count else ""


def _count(table: duckdb.DuckDBPyRelation) -> int:
    return int(table.aggregate("count(*)").fetchall()[0][0])


def _conditions(
    connection: duckdb.DuckDBPyConnection, table: duckdb.DuckDBPyRelation, path: Path, filters: Filters
) -> Iterator[str]:
    """The conditions of all filters but the user's own; names and ids stand in tables beside."""
    folder = _beside(path)
    if filters.subsets:
        known = [str(name) for (name,) in table.project("subset").distinct().order("subset").fetchall()]
        if unknown := [name for name in filters.subsets if name not in known]:
            raise UserError(f"{path}: no subset {unknown[0]!r}; it has {', '.join(known)}")
        yield _in(connection, "subset", "wanted_subsets", list(filters.subsets))
    if filters.reviewed:
        verdict = "accept" if filters.reviewed == "accept" else "flag"
        listed = _in(connection, "sample_id", "reviewed", _reviewed(folder / REVIEWS, verdict))
        yield listed if verdict == "accept" else f"NOT ({listed})"
    if filters.without_audit:
        removed = _in(connection, "sample_id", "removed", _read_removals(folder / REMOVALS))
        yield f"NOT ({removed})"


def _beside(path: Path) -> Path:
    """The folder that holds the reviews and the audit of a data set."""
    return path if path.is_dir() else path.parent


def _in(connection: duckdb.DuckDBPyConnection, column: str, name: str, values: list[str]) -> str:
    connection.register(name, pa.table({"value": pa.array(values, pa.string())}))
    return f"{column} IN (SELECT value FROM {name})"


def _number(value: Any) -> float:
    return float("nan") if value is None or np.ma.is_masked(value) else float(value)


def _with_value(table: duckdb.DuckDBPyRelation, value: str, scores: Collection[str]) -> duckdb.DuckDBPyRelation:
    """The table with a column of numbers; the expression is tried on all rows, so that none fails later."""
    try:
        made = table.project(f"*, CAST(({value}\n) AS DOUBLE) AS {VALUE}")
        made.aggregate(f"max({VALUE})").fetchall()
        return made
    except duckdb.Error as error:
        raise _bad_sql("--by", value, error, table, scores) from error


def _bad_sql(
    option: str, given: str, error: duckdb.Error, table: duckdb.DuckDBPyRelation, scores: Collection[str]
) -> UserError:
    reason = " ".join(str(error).split("\n")[0].split())[:200]
    hidden = {"file", "row", *(name.strip('"') for name in (MISSING, OLDER, VALUE)), *scores}
    columns = ", ".join(name for name in table.columns if name not in hidden)
    known = f", and of scores {', '.join(scores)}" if scores else "; no scores (lrs2m score makes some)"
    return UserError(f"{option} {given!r}: {reason}; the columns are {columns}{known}")


def _kept(
    table: duckdb.DuckDBPyRelation, condition: str | None, scores: Collection[str], *, with_value: bool
) -> dict[str, np.ndarray]:
    """Of each file, the rows that fulfil a condition, how many lack a score, and how many have one of an older text.

    The condition is tried on all rows, so that none fails later.
    """
    counts = [f"count(*) FILTER ({name})" if name.strip('"') in table.columns else "0" for name in (MISSING, OLDER)]
    try:
        kept = table.project(f"*, CAST(({'true' if condition is None else condition}\n) AS BOOLEAN) AS kept")
        numbers = "coalesce(list(row::INTEGER ORDER BY row) FILTER (kept), []) AS numbers"
        parts = ["file", numbers, f"{counts[0]} AS missing", f"{counts[1]} AS older"]
        if with_value:
            parts.append(f"coalesce(list({VALUE} ORDER BY row) FILTER (kept), []) AS given")
        return kept.aggregate(", ".join(parts), "file").fetchnumpy()
    except duckdb.Error as error:
        if condition is None:
            raise
        raise _bad_sql("--where", condition, error, table, scores) from error


def _notes(missing: int, older: int) -> tuple[str, ...]:
    parts = [f"{missing:,} {_rows_have(missing)} no score"] if missing else []
    parts += [f"{older:,} {_rows_have(older)} one of an older text"] if older else []
    return (", ".join(parts),) if parts else ()


def _rows_have(number: int) -> str:
    return "row has" if number == 1 else "rows have"


def _reviewed(path: Path, verdict: str) -> list[str]:
    """Ids of the samples whose last verdict it is."""
    if not path.is_file():
        raise UserError(f"--reviewed: no {path}; review the data with: lrs2m view {path.parent}")
    return Reviews(path).by_verdict()[verdict]


def _read_removals(path: Path) -> list[str]:
    if not path.is_file():
        raise UserError(f"--without audit: no {path}; run first: lrs2m audit {path.parent.parent}")
    check_files([path], ["sample_id"])
    with reading(path):
        ids: list[str] = pq.read_table(path, columns=["sample_id"], page_checksum_verification=True)[
            "sample_id"
        ].to_pylist()
    return ids
