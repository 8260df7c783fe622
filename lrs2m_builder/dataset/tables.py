"""A finished data set as tables: any folder of Parquet files with the columns of a record, however many rows.

DuckDB reads the columns that a question needs and no others, on all cores: two million rows with their images cost no
more than their texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path

import duckdb
import pyarrow as pa

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA
from lrs2m_builder.dataset.foreign import check_files, check_rejections, reading
from lrs2m_builder.dataset.split_files import split_tables
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import files_below

# The checks of a row's warnings, each once: "hedge: The answer guessed ..." is a warning of hedge.
WARNING_NAMES = "list_sort(list_distinct(list_transform(warnings, lambda w: trim(split_part(w, ':', 1)))))"
_FILE = "lrs2m file"  # what no column of a data set is called
_WILDCARDS = "*?["
MAX_MEMORY = "600MB"  # DuckDB spills to disk beyond that


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{chr(34)}{field.name}{chr(34)} {_sql_type(field.type)}' for field in kind)})"
    return next((name for is_kind, name in _SQL_NAMES if is_kind(kind)), "VARCHAR")


_SQL_NAMES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_integer, "BIGINT"),
    (pa.types.is_binary, "BLOB"),
    (pa.types.is_floating, "DOUBLE"),
    (pa.types.is_timestamp, "TIMESTAMPTZ"),
)


_SQL_TYPES = {field.name: _sql_type(field.type) for field in RECORD_SCHEMA}


def record_files(path: Path) -> list[Path]:
    """The Parquet files that hold records: of a build, of a published tree or of any folder, or the one file given.

    Raises:
        UserError: there are none, or one has a name or is of a kind that cannot be read.
    """
    if path.is_file():
        return [_readable(path)]
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: neither a folder nor a regular file")
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give the --out of a build or any folder of its Parquet files")
    inside = path / "data" if (path / "data").is_dir() else path
    files = sorted(
        _readable(file)
        for file in files_below(inside, ".parquet")
        if not {"rejected", "staging", "plan", "journal", "audit", "scores"} & set(file.relative_to(path).parts)
    )
    if not files:
        raise UserError(f"{path}: no Parquet files; give the --out of a build or any folder of its Parquet files")
    return files


def count_several(path: Path) -> int:
    """Number of rows with several long texts.

    Raises:
        UserError: as `open_tables`.
    """
    with open_tables(path, (), ("captions_long",)) as tables, reading(path):
        if "captions_long" not in tables.sql("SELECT * FROM records LIMIT 0").columns:
            return 0
        (count,), *_ = tables.sql("SELECT count(*) FROM records WHERE len(captions_long) > 1").fetchall()
        return int(count)


def rejected_files(path: Path) -> list[Path]:
    """The Parquet files that hold the rejections of a build, or of all builds in a folder; there may be none."""
    if not path.is_dir():
        return []
    return sorted(
        _readable(file) for file in files_below(path, ".parquet") if "rejected" in file.relative_to(path).parts
    )


def _readable(file: Path) -> Path:
    """The file under a name that every reader takes; a pipe or a device would be waited for without end."""
    if not file.is_file():
        raise UserError(f"{file}: no regular file; remove it or put it elsewhere")
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{file}: its name is no UTF-8; rename it") from error
    # DuckDB gives names with wildcards back without their "..", and they are compared.
    return file.resolve() if ".." in file.parts and set(str(file)) & set(_WILDCARDS) else file


def open_tables(
    path: Path, needs: Sequence[str] = (), uses: Sequence[str] = (), *, more: Sequence[Path] = ()
) -> duckdb.DuckDBPyConnection:
    """A connection with the views `records` and `rejections`.

    `records` has two more columns, `file` and `row` (its number in the file), and `rejections` also its `subset`.

    Args:
        more: data sets whose rows come after those of the first one.
        needs: columns of a record that must be there.
        uses: columns of a record that are used if they are there.

    Raises:
        UserError: no Parquet files, one that is none, or a column is missing or holds something else.
    """
    files = [file for each in (path, *more) for file in record_files(each)]
    rejected = [file for each in (path, *more) for file in rejected_files(each)]
    are_alike = check_files(files, needs, uses)
    check_rejections(rejected)
    connection = duckdb.connect(
        config={
            "memory_limit": MAX_MEMORY,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,  # it would fetch them from the network
            "enable_geoparquet_conversion": False,  # a footprint is bytes in files with the key "geo" as in others
        }
    )
    with reading(path):
        table = (
            f"read_parquet({file_list(files)}, filename = '{_FILE}', file_row_number = true, "
            f"hive_partitioning = false, union_by_name = {str(not are_alike).lower()})"
        )
        there = connection.sql(f"SELECT * FROM {table} LIMIT 0")
        types = dict(zip(there.columns, map(str, there.types), strict=True))
        query = f"SELECT {', '.join(_columns(types, {*needs, *uses}))} FROM {table}"
        if tables := split_tables(files):
            query = _with_splits(query, tables, has_split="split" in map(str.casefold, types))
        connection.sql(f"CREATE VIEW records AS {query}")
        connection.sql(f"CREATE VIEW rejections AS {_rejections(rejected)}")
        if "sample_id" in needs:
            _refuse_nameless(connection)
    return connection


def _with_splits(records: str, tables: Mapping[Path, Path], *, has_split: bool) -> str:
    """The records with the column `split` that `lrs2m split` decided."""
    pairs = ", ".join(f"({_sql_text(str(table))}, {_sql_text(str(file))})" for file, table in tables.items())
    read = f"read_parquet({file_list(tables.values())}, filename = '{_FILE}', hive_partitioning = false)"
    parts = f"""SELECT file, sample_id, any_value(split) AS split FROM {read} AS parts
        JOIN (VALUES {pairs}) AS files(part, file) ON parts."{_FILE}" = files.part GROUP BY ALL"""
    column = "* REPLACE (parts.split AS split)" if has_split else "*, parts.split AS split"
    return f"""SELECT records.{column} FROM ({records}) AS records LEFT JOIN ({parts}) AS parts
        ON parts.file = records.file AND parts.sample_id = records.sample_id"""


def _columns(types: Mapping[str, str], used: Set[str]) -> list[str]:
    """The columns of the view `records`: those that are used as the types of a record, others as they are."""
    columns = []
    for name, kind in types.items():
        quoted = '"' + name.replace('"', '""') + '"'
        if name == _FILE:
            columns.append(f"{quoted} AS file")
        elif name == "file_row_number":
            columns.append(f"{quoted} AS row")
        elif name in used and "NULL" in kind:
            columns.append(f"{quoted}::{_SQL_TYPES[name]} AS {name}")
        elif name in used and _SQL_TYPES[name] == "BIGINT":
            columns.append(f"TRY_CAST({quoted} AS BIGINT) AS {name}")  # as floats, they may be not-a-number
        elif name.casefold() not in {"file", "row"}:
            columns.append(quoted)
    return columns


def _refuse_nameless(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT count(*), min(file), min(row) FROM records WHERE coalesce(sample_id, '') = ''"
    (count, file, row), *_ = connection.sql(query).fetchall()
    if count:
        raise UserError(f"{file}: {count} rows have no sample_id, such as row {row + 1}; every row needs its own")


def _rejections(files: list[Path]) -> str:
    if not files:
        return "SELECT '' AS sample_id, '' AS reason, '' AS detail, '' AS subset, '' AS file, 0 AS row WHERE false"
    table = (
        f"read_parquet({file_list(files)}, filename = '{_FILE}', file_row_number = true, "
        "hive_partitioning = false, union_by_name = true)"
    )
    return (
        f"SELECT sample_id, reason, detail, attempts, split_part(sample_id, '/', 1) AS subset, "
        f'"{_FILE}" AS file, file_row_number AS row FROM {table}'
    )


def duckdb_name(file: Path | str) -> str:
    """The name of a file as DuckDB takes it: what it would take for a wildcard stands for itself."""
    return "".join(f"[{letter}]" if letter in _WILDCARDS else letter for letter in str(file))


def file_list(files: Iterable[Path]) -> str:
    """The files as a list that `read_parquet` takes."""
    return sql_list(map(duckdb_name, files))


def sql_list(values: Iterable[str]) -> str:
    """Texts as a list of SQL; a quote in one is doubled."""
    return f"[{', '.join(map(_sql_text, values))}]"


def _sql_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
