"""The rows of a data set in memory, lightly: what they are filtered and sorted by, and no text or image.

Two million rows take about 250 MB. A row is known by its number: rows are counted through the files in their order, so
that a number gives the file and the place in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from lrs2m_builder.errors import UserError
from lrs2m_builder.tables import open_tables, record_files, rejected_files


@dataclass(frozen=True, slots=True)
class Kind:
    """What is looked through: records, or rejections.

    Attributes:
        needs: columns that must be there.
        facets: columns with few distinct values, and the SQL that makes each.
        numbers: numeric columns; 0 where a data set of other origin has none.
        text: SQL of all that the full-text search looks at.
    """

    name: str
    needs: tuple[str, ...]
    facets: Mapping[str, str]
    numbers: tuple[str, ...]
    text: str


RECORDS = Kind(
    name="records",
    needs=("sample_id", "caption_short", "caption_long"),
    facets={
        "subset": "subset",
        "recipe": "recipe",
        "model": "model",
        "warnings": "array_to_string(list_sort(warnings), ' ')",
    },
    numbers=("num_tokens_short", "num_tokens_long", "attempts"),
    text="concat_ws(chr(10), sample_id, caption_short, caption_long)",
)
REJECTED = Kind(
    name="rejected",
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
        combinations: the values of `warnings` as they are stored: sets of names with spaces between.
    """

    kind: Kind
    connection: duckdb.DuckDBPyConnection
    files: tuple[str, ...]
    first: tuple[int, ...]
    facets: dict[str, dict[str, int]] = field(default_factory=dict)
    largest: dict[str, int] = field(default_factory=dict)
    combinations: tuple[str, ...] = ()

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

    def files_with(self, wanted: np.ndarray) -> list[str]:
        """The files that hold a wanted row; `wanted` is a boolean array over all rows."""
        return [
            file
            for file, start, end in zip(self.files, self.first, self.first[1:], strict=False)
            if wanted[start:end].any()
        ]


def open_indexes(path: Path) -> dict[str, Index]:
    """Read what a data set's rows are filtered and sorted by.

    Returns:
        The indexes by name of their kind: "records", and "rejected" of no rows where the folder is no build.

    Raises:
        UserError: no Parquet files, a broken one, or a column is missing.
    """
    connection = open_tables(path, RECORDS.needs)
    # A file's footer describes every row group, 100 rows each: reading it anew takes as long as a search itself.
    connection.execute("SET parquet_metadata_cache = true")
    columns = set(connection.sql("SELECT * FROM records LIMIT 0").columns)
    try:
        records = _index(connection, RECORDS, tuple(map(str, record_files(path))), columns)
        rejected = _index(connection, REJECTED, tuple(map(str, rejected_files(path))), set(REJECTED.needs))
    except duckdb.Error as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from error
    return {"records": records, "rejected": rejected}


def _index(connection: duckdb.DuckDBPyConnection, kind: Kind, files: tuple[str, ...], columns: set[str]) -> Index:
    if not files:
        return Index(kind, connection, (), (0,))
    counts = dict(
        connection.execute("SELECT file_name, num_rows FROM parquet_file_metadata(?)", [list(files)]).fetchall()
    )
    first = tuple(int(n) for n in np.cumsum([0, *(counts[file] for file in files)]))
    connection.execute(f"CREATE TABLE {kind.name}_files (file VARCHAR, first BIGINT)")
    connection.executemany(f"INSERT INTO {kind.name}_files VALUES (?, ?)", list(zip(files, first, strict=False)))
    have = {name: sql for name, sql in kind.facets.items() if name in columns or kind is REJECTED}
    numbers = [name for name in kind.numbers if name in columns]
    stored = {name: _enumerate(connection, kind, name, sql, files) for name, sql in have.items()}
    facets = [f"coalesce({kind.facets[name]}, '')::{kind.name}_{name} AS {name}" for name in have]
    facets += [f"'' AS {name}" for name in kind.facets if name not in have]
    facets += [f"{f'coalesce({name}, 0)' if name in numbers else 0}::INTEGER AS {name}" for name in kind.numbers]
    connection.execute(
        f"""CREATE TABLE {kind.name}_index AS
        SELECT (first + file_row_number)::INTEGER AS number, sample_id, {", ".join(facets)}
        FROM {READ} JOIN {kind.name}_files ON file = filename""",
        [list(files)],
    )
    most = ", ".join(f"max({name})" for name in kind.numbers)
    values = connection.execute(f"SELECT {most} FROM {kind.name}_index").fetchone() if most else ()
    largest = dict(zip(kind.numbers, ((value or 0) for value in values or ()), strict=True))
    shown = {name: _split(counted) if name == "warnings" else counted for name, counted in stored.items()}
    return Index(kind, connection, files, first, shown, largest, tuple(stored.get("warnings", ())))


READ = "read_parquet(?, filename = true, file_row_number = true, hive_partitioning = false, union_by_name = true)"


def _enumerate(
    connection: duckdb.DuckDBPyConnection, kind: Kind, name: str, sql: str, files: tuple[str, ...]
) -> dict[str, int]:
    """Make an ENUM type of a column's values: a row then needs a byte or two for it. Returns the values, counted."""
    query = f"SELECT coalesce({sql}, '') AS value, count(*) FROM {READ} GROUP BY value ORDER BY 2 DESC, 1"
    counted: dict[str, Any] = dict(connection.execute(query, [list(files)]).fetchall())
    values = ", ".join("'" + value.replace("'", "''") + "'" for value in counted or [""])
    connection.execute(f"CREATE TYPE {kind.name}_{name} AS ENUM ({values})")
    return counted


def _split(counted: Mapping[str, int]) -> dict[str, int]:
    """How many rows have each warning, from how many have each set of them."""
    each: Counter[str] = Counter()
    for names, times in counted.items():
        each.update(dict.fromkeys(names.split(), times))
    return dict(each.most_common())
