"""Scores beside the records that they judge, in SQL; a score of another text is null, as one that was never made.

If the texts of a shard lie on the disk as they did when they were judged (`identity.py`), the tables are joined by the
number of the row. Of other shards each text is hashed, and the tables are joined by the id of the sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.scores.columns import TYPES, ScoreColumn
from lrs2m_builder.dataset.scores.identity import texts_identities
from lrs2m_builder.dataset.scores.places import ScoredFile
from lrs2m_builder.dataset.scores.table import KEYS, TEXTS_IDENTITY, judged_text
from lrs2m_builder.dataset.tables import file_list, sql_list
from lrs2m_builder.errors import UserError

_DIGITS = 12  # of a hash: DuckDB keeps 12 letters without a heap, and fewer distinguish two texts of one row
_TEXTS = ("short", "long")
_JUDGED = {"short": ("short",), "long": ("long",), "": ("short", "long")}
_FILE = "lrs2m scores"  # what no column of scores is called
# Columns of the view `scored`: whether a row lacks one of the wanted scores, and whether one is of an older text.
MISSING, OLDER = '"lrs2m missing"', '"lrs2m older"'


def by_home(found: Sequence[ScoredFile]) -> list[tuple[str, Sequence[ScoredFile]]]:
    """The files of each data set, each with the condition that its rows of `records` meet."""
    homes: dict[Path, list[ScoredFile]] = {}
    for file in found:
        homes.setdefault(file.home, []).append(file)
    if len(homes) == 1:
        return [("true", found)]
    return [(_is_of(files), files) for files in homes.values()]


def join_scores(
    connection: duckdb.DuckDBPyConnection,
    records: str,
    parts: Sequence[tuple[str, Sequence[ScoredFile]]],
    wanted: Sequence[ScoreColumn],
    *,
    are_copies: bool = False,
) -> None:
    """Make the view `scored`: the rows of another one with the wanted columns of scores, and with MISSING and OLDER.

    Args:
        records: the other view, with `file` and `row`.
        parts: conditions that divide its rows, each with the files that these rows came from (see `by_home`).
        are_copies: its rows are copies in other files.

    Raises:
        UserError: a table of scores is torn or holds something else.
    """
    tables: dict[str, list[ScoreColumn]] = {}
    for column in wanted:
        tables.setdefault(column.table, []).append(column)
    joined = []
    for condition, files in parts:
        unchanged = _unchanged(files, tables)
        others = condition
        if unchanged and not are_copies:
            of_these = condition if len(unchanged) == len(files) else f"({condition}) AND {_is_of(unchanged)}"
            joined.append(_joined(f"{records} WHERE {of_these}", unchanged, tables, are_unchanged=True))
            others = f"({condition}) AND NOT {_is_of(unchanged)}"
        if are_copies or len(unchanged) < len(files):
            joined.append(_joined(f"{records} WHERE {others}", files, tables, are_unchanged=False))
    connection.execute(f"CREATE OR REPLACE VIEW scored AS {' UNION ALL BY NAME '.join(joined)}")


def _is_of(files: Sequence[ScoredFile]) -> str:
    return f"file IN {sql_list(str(file.path) for file in files)}"


def _unchanged(files: Sequence[ScoredFile], tables: Mapping[str, Sequence[ScoreColumn]]) -> list[ScoredFile]:
    """The files whose texts lie as they did when each of these tables was made.

    Raises:
        UserError: a table of scores is torn or has not these columns.
    """
    known = {file: {_read_identity(file, columns) for columns in tables.values()} - {None} for file in files}
    current = texts_identities(file.path for file, identities in known.items() if identities - {""})
    return [file for file, identities in known.items() if all(each == current.get(file.path) for each in identities)]


def _read_identity(file: ScoredFile, columns: Sequence[ScoreColumn]) -> str | None:
    """The identity of the texts of which a table is, "" if it does not say; None without a table."""
    path = file.scores(columns[0].table)
    if not path.is_file():
        return None
    try:
        with reading(path):
            found = pq.read_schema(path)
    except UserError as error:
        raise UserError(f"{error}; make these scores again with the command that made them") from error
    for name, kind in (dict.fromkeys(KEYS, "VARCHAR") | {column.column: column.kind for column in columns}).items():
        here = found.field(name).type if name in found.names else pa.null()
        if TYPES.get(str(here)) != kind:
            raise UserError(f"{path}: no table of scores: its column {name!r} holds {here}; remove it and score again")
    return str((found.metadata or {}).get(TEXTS_IDENTITY, b"").decode())


def _joined(
    records: str, found: Sequence[ScoredFile], tables: Mapping[str, Sequence[ScoreColumn]], *, are_unchanged: bool
) -> str:
    """The records with the wanted columns, and whether each text is the one that was judged: once each, as it costs."""
    wanted = [column for columns in tables.values() for column in columns]
    texts = dict.fromkeys((column.table, text) for column in wanted for text in _JUDGED[judged_text(column.column)])
    make, same_as = (_by_place, _same_bytes) if are_unchanged else (_by_id, _same_hash)
    joins = " ".join(f"LEFT JOIN {make(found, columns)}" for columns in tables.values())
    same = [f"{same_as(table, text)} AS {_same(table, text)}" for table, text in texts]
    values = [f'{_alias(one.table)}."{one.column}" AS {_value(one)}' for one in wanted]
    joins = f"{_numbered(found)} {joins}" if are_unchanged else joins
    inner = f"SELECT records.*, {', '.join([*same, *values])} FROM (SELECT * FROM {records}) AS records {joins}"
    columns = [f"CASE WHEN {_is_current(one)} THEN {_value(one)} END AS {one.name}" for one in wanted]
    judged = {(one.table, judged_text(one.column)): one for one in wanted}.values()
    columns.append(f"({' OR '.join(_is_missing(one) for one in judged)}) AS {MISSING}")
    columns.append(f"({' OR '.join(f'NOT ({_is_missing(one)} OR {_is_current(one)})' for one in judged)}) AS {OLDER}")
    hidden = ", ".join([*(_same(table, text) for table, text in texts), *map(_value, wanted)])
    return f"SELECT * EXCLUDE ({hidden}), {', '.join(columns)} FROM ({inner})"


def _by_place(found: Sequence[ScoredFile], columns: Sequence[ScoreColumn]) -> str:
    """A table joined by shard and number of the row; "lrs2m short" says whether the text was judged."""
    alias, pairs = _alias(columns[0].table), _scored(found, columns)
    judged = [f"text_{text}_sha256 IS NOT NULL AS {_judged(text)}" for text in _TEXTS]
    if not pairs:
        return f"{_nothing(columns, 'BOOLEAN')} AS {alias} ON false"
    number_of = {file: number for number, file in enumerate(found)}
    numbers = ", ".join(f"({_text(path)}, {number_of[file]})" for file, path in pairs)
    table = (
        f"(SELECT number, file_row_number::INTEGER AS row, {', '.join([*judged, *_quoted(columns)])} "
        f"FROM read_parquet({file_list(path for _, path in pairs)}, filename = '{_FILE}', file_row_number = true, "
        f'hive_partitioning = false) JOIN (VALUES {numbers}) AS tables (path, number) ON path = "{_FILE}")'
    )
    return f"{table} AS {alias} ON {alias}.number = shards.number AND {alias}.row = records.row"


def _numbered(found: Sequence[ScoredFile]) -> str:
    """The shards by number: a name for every row of a join would take hundreds of megabytes."""
    numbers = ", ".join(f"({_text(file.path)}, {number})" for number, file in enumerate(found))
    return f"JOIN (VALUES {numbers}) AS shards (path, number) ON shards.path = records.file"


def _by_id(found: Sequence[ScoredFile], columns: Sequence[ScoreColumn]) -> str:
    """A table joined by the id of the sample; "lrs2m short" is the beginning of the hash of the judged text."""
    alias, pairs = _alias(columns[0].table), _scored(found, columns)
    judged = [f"left(text_{text}_sha256, {_DIGITS}) AS {_judged(text)}" for text in _TEXTS]
    if not pairs:
        return f"{_nothing(columns, 'VARCHAR')} AS {alias} ON false"
    table = (
        f"(SELECT {', '.join(['sample_id', *judged, *_quoted(columns)])} "
        f"FROM read_parquet({file_list(path for _, path in pairs)}, hive_partitioning = false))"
    )
    return f"{table} AS {alias} ON {alias}.sample_id = records.sample_id"


def _nothing(columns: Sequence[ScoreColumn], judged: str) -> str:
    """A table without rows."""
    nulls = [f"NULL::{judged} AS {_judged(text)}" for text in _TEXTS]
    nulls += [f'NULL::{column.kind} AS "{column.column}"' for column in columns]
    return f"(SELECT {', '.join(nulls)} WHERE false)"


def _scored(found: Sequence[ScoredFile], columns: Sequence[ScoreColumn]) -> list[tuple[ScoredFile, Path]]:
    """The files that have a table, each with it."""
    return [(file, path) for file in found if (path := file.scores(columns[0].table)).is_file()]


def _same_bytes(table: str, text: str) -> str:
    return f"nullif({_alias(table)}.{_judged(text)}, false)"


def _same_hash(table: str, text: str) -> str:
    return f"{_alias(table)}.{_judged(text)} = left(sha256(coalesce(records.caption_{text}, '')), {_DIGITS})"


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _quoted(columns: Sequence[ScoreColumn]) -> list[str]:
    return [f'"{column.column}"' for column in columns]


def _alias(table: str) -> str:
    return f'"scores {table}"'


def _judged(text: str) -> str:
    return f'"lrs2m {text}"'


def _same(table: str, text: str) -> str:
    return f'"lrs2m {table} {text}"'


def _value(column: ScoreColumn) -> str:
    return f'"lrs2m {column.name}"'


def _is_missing(column: ScoreColumn) -> str:
    same = (_same(column.table, text) for text in _JUDGED[judged_text(column.column)])
    return f"({' AND '.join(f'{each} IS NULL' for each in same)})"


def _is_current(column: ScoreColumn) -> str:
    """Whether there is a score, and of the texts there; a column of both texts may have judged one alone."""
    same = (_same(column.table, text) for text in _JUDGED[judged_text(column.column)])
    return f"(NOT {_is_missing(column)} AND {' AND '.join(f'coalesce({each}, true)' for each in same)})"
