"""The rows of a data set in memory, lightly: what they are filtered and sorted by, and no text or image.

Two million rows take about 250 MB. A row is known by its number: rows are counted through the files in their order, so
that a number gives the file and the place in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import duckdb
import numpy as np

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.selection import Selection, keep_selected
from lrs2m_builder.dataset.tables import WARNING_NAMES, open_tables, record_files, rejected_files
from lrs2m_builder.errors import UserError


@dataclass(frozen=True, slots=True)
class Kind:
    """What is looked through: records, or rejections.

    Attributes:
        view: of the tables.
        needs: columns that must be there.
        facets: columns with few distinct values, and the SQL that makes each.
        numbers: numeric columns; 0 where a data set of other origin has none.
        text: SQL of all that the full-text search looks at.
    """

    name: str
    view: str
    needs: tuple[str, ...]
    facets: Mapping[str, str]
    numbers: tuple[str, ...]
    text: str


RECORDS = Kind(
    name="records",
    view="records",
    needs=("sample_id", "caption_short", "caption_long"),
    facets={
        "subset": "subset",
        "recipe": "recipe",
        "model": "model",
        "warnings": f"array_to_string({WARNING_NAMES}, ' ')",
    },
    numbers=("num_tokens_short", "num_tokens_long", "attempts"),
    text="concat_ws(chr(10), sample_id, caption_short, caption_long)",
)
REJECTED = Kind(
    name="rejected",
    view="rejections",
    needs=("sample_id", "reason", "detail", "attempts"),
    facets={"subset": "split_part(sample_id, '/', 1)", "reason": "reason"},
    numbers=(),
    text="concat_ws(chr(10), sample_id, detail, array_to_string(list_transform(attempts, lambda a: a.text), chr(10)))",
)


@dataclass(frozen=True, slots=True)
class Index:
    """The rows of one kind.

    Attributes:
        first: number of each file's first row, and at the end the number of all rows.
        facets: by column, the values and how many rows have each; a row with two warnings counts for both.
        largest: by numeric column.
        num_shown: how many rows may be looked at; numbers count all of them.
        combinations: of the names in `warnings`, with spaces between.
    """

    kind: Kind
    connection: duckdb.DuckDBPyConnection
    files: tuple[str, ...]
    first: tuple[int, ...]
    facets: dict[str, dict[str, int]]
    largest: dict[str, int]
    num_shown: int
    combinations: tuple[str, ...]

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return self.first[-1]

    def place(self, number: int) -> tuple[str, int]:
        """The file of a row and its place there.

        Raises:
            UserError: there is no such row.
        """
        if not 0 <= number < self.num_rows:
            raise UserError(f"no row {number}: there are {self.num_rows}")
        at = bisect_right(self.first, number) - 1
        return self.files[at], number - self.first[at]

    def numbers_of(self, sample_ids: Iterable[str], files: Collection[str]) -> np.ndarray:
        """The rows of some files that have one of the ids, ascending."""
        if not self.num_rows or not (wanted := list(sample_ids)):
            return np.empty(0, np.int32)
        of_ids = f"SELECT number FROM {self.kind.name}_index WHERE sample_id IN (SELECT unnest(?::VARCHAR[]))"
        found = self.connection.cursor().execute(of_ids, [wanted]).fetchnumpy()["number"]
        numbers = np.sort(np.asarray(found, np.int32))
        if len(files) == len(self.files):
            return numbers
        return numbers[[self.place(int(number))[0] in files for number in numbers]]

    def files_with(self, wanted: np.ndarray) -> list[str]:
        """The files that hold a wanted row; `wanted` is a boolean array over all rows."""
        return [
            file
            for file, start, end in zip(self.files, self.first, self.first[1:], strict=False)
            if wanted[start:end].any()
        ]


def open_indexes(paths: Sequence[Path], selection: Selection | None = None) -> dict[str, Index]:
    """Read what the rows of one or more data sets are filtered and sorted by.

    Args:
        selection: the records that may be looked at; by default all.

    Returns:
        The indexes by name of their kind: "records", and "rejected" of no rows where the folder is no build.

    Raises:
        UserError: no Parquet files, a broken one, a column is missing, or a data set is given twice.
    """
    _refuse_twice(paths)
    path, *more = paths
    connection = open_tables(path, RECORDS.needs, (*RECORDS.facets, *RECORDS.numbers, "anchors"), more=more)
    if selection:
        keep_selected(connection, selection)
    record_paths = [file for each in paths for file in record_files(each)]
    rejected_paths = [file for each in paths for file in rejected_files(each)]
    with reading(path):
        # Asking the view itself would read the footer of every file once more.
        names = connection.sql("SELECT column_name FROM duckdb_columns() WHERE table_name = 'records'").fetchall()
        records = _index(connection, RECORDS, record_paths, {name for (name,) in names}, some=bool(selection))
        rejected = _index(connection, REJECTED, rejected_paths, {*REJECTED.needs, *REJECTED.facets})
    return {"records": records, "rejected": rejected}


def _refuse_twice(paths: Sequence[Path]) -> None:
    resolved = [each.resolve() for each in paths]
    for at, each in enumerate(resolved):
        if any(other == each or other in each.parents for other in [*resolved[:at], *resolved[at + 1 :]]):
            raise UserError(f"{paths[at]}: given twice, or inside another data set that is given; give it once")


def _index(
    connection: duckdb.DuckDBPyConnection, kind: Kind, paths: list[Path], columns: set[str], *, some: bool = False
) -> Index:
    """Read the columns once, then put them into as few bytes as they need.

    Args:
        some: keep only rows that are in the table `selected`.
    """
    files = [str(path) for path in paths]
    if not files:
        return Index(kind, connection, (), (0,), {}, {}, 0, ())
    made = [
        f"coalesce({sql}, '') AS {name}" if name in columns else f"'' AS {name}" for name, sql in kind.facets.items()
    ]
    made += [f"{f'coalesce({name}, 0)' if name in columns else 0}::INTEGER AS {name}" for name in kind.numbers]
    _make_enum(connection, f"{kind.name}_file", files)
    connection.execute(
        f"""CREATE TABLE raw AS SELECT file::{kind.name}_file AS file, row::INTEGER AS row,
        coalesce(sample_id, '') AS sample_id, {", ".join(made)} FROM {kind.view}"""
    )
    first = _count_files(connection, kind, files)
    if some:
        same = "raw.file::VARCHAR = selected.file AND raw.row = selected.row"
        connection.execute(f"CREATE OR REPLACE TABLE raw AS SELECT raw.* FROM raw SEMI JOIN selected ON {same}")
    facets = {name: _count(connection, name) for name in kind.facets}
    for name, counted in facets.items():
        _make_enum(connection, f"{kind.name}_{name}", counted or [""])
    columns_sql = [f"{name}::{kind.name}_{name} AS {name}" for name in kind.facets] + list(kind.numbers)
    connection.execute(
        f"""CREATE TABLE {kind.name}_index AS SELECT (first + row)::INTEGER AS number, sample_id,
        {", ".join(columns_sql)} FROM raw JOIN {kind.name}_files USING (file)"""
    )
    connection.execute("DROP TABLE raw")
    most = ", ".join(f"coalesce(max({name}), 0)" for name in kind.numbers) or "0"
    shown_rows, *values = connection.execute(f"SELECT count(*), {most} FROM {kind.name}_index").fetchone() or (0,)
    shown = {name: _split(counted) if name == "warnings" else counted for name, counted in facets.items()}
    largest = dict(zip(kind.numbers, values, strict=False))
    return Index(kind, connection, tuple(files), first, shown, largest, shown_rows, tuple(facets.get("warnings", ())))


def _count_files(connection: duckdb.DuckDBPyConnection, kind: Kind, files: list[str]) -> tuple[int, ...]:
    """Make the table of each file's first row number; returns these numbers and that of all rows."""
    counts = dict(connection.execute("SELECT file::VARCHAR, count(*) FROM raw GROUP BY file").fetchall())
    first = tuple(accumulate((counts.get(file, 0) for file in files), initial=0))
    connection.execute(f"CREATE TABLE {kind.name}_files (file {kind.name}_file, first INTEGER)")
    connection.executemany(f"INSERT INTO {kind.name}_files VALUES (?, ?)", list(zip(files, first, strict=False)))
    return first


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, int]:
    """The values of a column and how many rows have each, the most frequent first."""
    return dict(connection.execute(f"SELECT {name}, count(*) FROM raw GROUP BY {name} ORDER BY 2 DESC, 1").fetchall())


def _make_enum(connection: duckdb.DuckDBPyConnection, name: str, values: Iterable[str]) -> None:
    """Make a type whose values need a byte or two each."""
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    connection.execute(f"CREATE TYPE {name} AS ENUM ({listed})")


def _split(counted: Mapping[str, int]) -> dict[str, int]:
    """How many rows have each warning, from how many have each set of them."""
    each: Counter[str] = Counter()
    for names, times in counted.items():
        each.update(dict.fromkeys(names.split(), times))
    return dict(each.most_common())
