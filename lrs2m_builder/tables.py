"""A finished data set as tables: any folder of Parquet files with the columns of a record, however many rows.

DuckDB reads the columns that a question needs and no others, on all cores: two million rows with their images cost no
more than their texts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import UserError

# The checks of a row's warnings, each once: "hedge: The answer guessed ..." is a warning of hedge.
WARNING_NAMES = "list_sort(list_distinct(list_transform(warnings, lambda w: trim(split_part(w, ':', 1)))))"
MAX_MEMORY = "400MB"  # DuckDB spills to disk beyond that


def record_files(path: Path) -> list[Path]:
    """The Parquet files that hold records: of a build, of a published tree or of any folder, or the one file given.

    Raises:
        UserError: there are none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give the --out of a build or any folder of its Parquet files")
    inside = path / "data" if (path / "data").is_dir() else path
    files = sorted(
        file
        for file in _parquet_below(inside)
        if not {"rejected", "journal", "audit"} & set(file.relative_to(path).parts)
    )
    if not files:
        raise UserError(f"{path}: no Parquet files; give the --out of a build or any folder of its Parquet files")
    return files


def rejected_files(path: Path) -> list[Path]:
    """The Parquet files that hold the rejections of a build, or of all builds in a folder; there may be none."""
    if not path.is_dir():
        return []
    return sorted(file for file in _parquet_below(path) if "rejected" in file.relative_to(path).parts)


def _parquet_below(path: Path) -> Iterator[Path]:
    """Parquet files in a folder and below; a folder that may not be read is an error, its rows would be missing."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: {error.strerror}") from error

    for folder, _, names in os.walk(path, onerror=refuse):
        for name in names:
            if name.endswith(".parquet") and not name.startswith("."):
                yield Path(folder, name)


def open_tables(path: Path, needs: tuple[str, ...] = ()) -> duckdb.DuckDBPyConnection:
    """A connection with the views `records` and `rejections`.

    `records` has one more column, `file`, and `rejections` one, `subset`.

    Args:
        needs: columns of a record that must be there.

    Raises:
        UserError: no Parquet files, one that is none, or a column is missing.
    """
    files, rejected = record_files(path), rejected_files(path)
    connection = duckdb.connect(config={"memory_limit": MAX_MEMORY, "preserve_insertion_order": False})
    try:
        connection.sql(
            f"CREATE VIEW records AS SELECT * EXCLUDE (filename), filename AS file "
            f"FROM read_parquet({_list(files)}, filename = true, hive_partitioning = false, "
            f"union_by_name = {str(not _are_alike(files)).lower()})"
        )
        connection.sql(f"CREATE VIEW rejections AS {_rejections(rejected)}")
    except duckdb.Error as error:
        raise UserError(f"{path}: {_first_line(error)}") from error
    columns = set(connection.sql("SELECT * FROM records LIMIT 0").columns)
    if missing := [name for name in needs if name not in columns]:
        raise UserError(f"{path}: no column {missing[0]!r}; it has {', '.join(sorted(columns - {'file'}))}")
    return connection


def _are_alike(files: list[Path]) -> bool:
    """Whether the folders have the same columns; to match other ones, DuckDB keeps every file's footer in memory."""
    try:
        return len({str(pq.read_schema(file)) for file in {file.parent: file for file in files}.values()}) == 1
    except (OSError, pa.ArrowException):
        return False  # DuckDB says which file is broken, and how


def _rejections(files: list[Path]) -> str:
    if not files:
        return "SELECT '' AS sample_id, '' AS reason, '' AS detail, '' AS subset WHERE false"
    table = f"read_parquet({_list(files)}, hive_partitioning = false)"
    return f"SELECT *, split_part(sample_id, '/', 1) AS subset FROM {table}"


def _list(files: list[Path]) -> str:
    """The files as a list of SQL; a quote in a name is doubled."""
    return "[" + ", ".join("'" + str(file).replace("'", "''") + "'" for file in files) + "]"


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split())
