"""Scores as columns of SQL beside those of the records: `<name>_<column>`.

A score of another text than the one there is null, as one that was never made.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.scores.places import SCORE_JSON, SCORES, ScoredFile, score_names
from lrs2m_builder.dataset.scores.table import KEYS, is_column, judged_text
from lrs2m_builder.dataset.tables import file_list, sql_list
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json

_TYPES = {
    "float": "FLOAT",
    "double": "DOUBLE",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "string": "VARCHAR",
}
_DIGITS = 12  # of a hash: DuckDB keeps 12 letters without a heap, and two texts of one row are told apart by fewer
_TEXTS = {"short": ("short",), "long": ("long",), "": ("short", "long")}
# Columns of the view `scored`: whether a row lacks one of the wanted scores, and whether one is of an older text.
MISSING, OLDER = '"lrs2m missing"', '"lrs2m older"'


@dataclass(frozen=True, slots=True)
class ScoreColumn:
    """A column of scores as SQL knows it.

    Attributes:
        table: name of the scores.
        kind: its type in DuckDB.
    """

    table: str
    column: str
    kind: str

    @property
    def name(self) -> str:
        """What conditions call it."""
        return f"{self.table}_{self.column}"

    @property
    def is_number(self) -> bool:
        """Whether it has a mean; a yes or no counts as 1 or 0."""
        return self.kind != "VARCHAR"


def score_columns(found: Iterable[ScoredFile], taken: Collection[str] = ()) -> dict[str, ScoreColumn]:
    """All columns of scores that the data sets of these files have, by their names.

    Args:
        taken: columns of the data themselves, which come first.

    Raises:
        UserError: a score.json that cannot be read, or two columns of one name.
    """
    columns: dict[str, ScoreColumn] = {}
    of_data = {name.casefold() for name in taken}
    for home in sorted({file.home for file in found}):
        for table in score_names(home):
            path = home / SCORES / table / SCORE_JSON
            for column, kind in _declared(path).items():
                one = ScoreColumn(table, column, _TYPES[kind])
                if columns.setdefault(one.name, one) != one:
                    raise UserError(f"{path}: {one.name} is a column of the scores {columns[one.name].table!r} too")
    return {name: column for name, column in columns.items() if name not in of_data}


def _declared(path: Path) -> Mapping[str, str]:
    columns = read_json(path).get("columns")
    if not isinstance(columns, dict) or not all(is_column(name) and columns[name] in _TYPES for name in columns):
        raise UserError(f"{path}: names no columns of scores; was it edited?")
    return columns


def mentioned(condition: str, columns: Mapping[str, ScoreColumn]) -> list[ScoreColumn]:
    """The columns that a condition of SQL names."""
    words = {word.casefold() for word in re.findall(r"\w+", condition)}
    return [column for name, column in columns.items() if name in words]


def by_home(found: Sequence[ScoredFile]) -> list[tuple[str, Sequence[ScoredFile]]]:
    """The files of each data set, each with the condition that its rows of `records` meet."""
    homes: dict[Path, list[ScoredFile]] = {}
    for file in found:
        homes.setdefault(file.home, []).append(file)
    if len(homes) == 1:
        return [("true", found)]
    return [(f"file IN {sql_list(str(file.path) for file in files)}", files) for files in homes.values()]


def join_scores(
    connection: duckdb.DuckDBPyConnection,
    records: str,
    parts: Sequence[tuple[str, Sequence[ScoredFile]]],
    wanted: Sequence[ScoreColumn],
) -> None:
    """Make the view `scored`: the rows of another one with the wanted columns of scores, and with MISSING and OLDER.

    Args:
        records: the other view.
        parts: conditions that divide its rows, each with the files that these rows came from (see `by_home`).

    Raises:
        UserError: a table of scores is torn or holds something else.
    """
    joined = [_joined(f"(SELECT * FROM {records} WHERE {condition})", files, wanted) for condition, files in parts]
    connection.execute(f"CREATE OR REPLACE VIEW scored AS {' UNION ALL BY NAME '.join(joined)}")


def _joined(records: str, found: Sequence[ScoredFile], wanted: Sequence[ScoreColumn]) -> str:
    """The records with whether each text is the one that was judged, once each: hashes are what costs."""
    tables = dict.fromkeys(column.table for column in wanted)
    texts = dict.fromkeys((column.table, text) for column in wanted for text in _TEXTS[judged_text(column.column)])
    joins = [
        f"LEFT JOIN {_table(found, [column for column in wanted if column.table == table])} AS {_alias(table)} "
        f"ON {_alias(table)}.sample_id = records.sample_id"
        for table in tables
    ]
    same = [
        f"{_alias(table)}.{_judged(text)} = left(sha256(coalesce(records.caption_{text}, '')), {_DIGITS}) "
        f"AS {_same(table, text)}"
        for table, text in texts
    ]
    values = [f'{_alias(one.table)}."{one.column}" AS {_value(one)}' for one in wanted]
    inner = f"SELECT records.*, {', '.join([*same, *values])} FROM {records} AS records {' '.join(joins)}"
    columns = [f"CASE WHEN {_is_current(one)} THEN {_value(one)} END AS {one.name}" for one in wanted]
    judged = {(one.table, judged_text(one.column)): one for one in wanted}.values()
    columns.append(f"({' OR '.join(_is_missing(one) for one in judged)}) AS {MISSING}")
    columns.append(f"({' OR '.join(f'NOT ({_is_missing(one)} OR {_is_current(one)})' for one in judged)}) AS {OLDER}")
    hidden = ", ".join([*(_same(table, text) for table, text in texts), *map(_value, wanted)])
    return f"SELECT * EXCLUDE ({hidden}), {', '.join(columns)} FROM ({inner})"


def _alias(table: str) -> str:
    return f'"scores {table}"'


def _judged(text: str) -> str:
    return f'"lrs2m {text}"'


def _same(table: str, text: str) -> str:
    return f'"lrs2m {table} {text}"'


def _value(column: ScoreColumn) -> str:
    return f'"lrs2m {column.name}"'


def _is_missing(column: ScoreColumn) -> str:
    same = (_same(column.table, text) for text in _TEXTS[judged_text(column.column)])
    return f"({' AND '.join(f'{each} IS NULL' for each in same)})"


def _is_current(column: ScoreColumn) -> str:
    """Whether there is a score, and of the texts there; a column of both texts may have judged one alone."""
    same = (_same(column.table, text) for text in _TEXTS[judged_text(column.column)])
    return f"(NOT {_is_missing(column)} AND {' AND '.join(f'coalesce({each}, true)' for each in same)})"


def _table(found: Sequence[ScoredFile], columns: Sequence[ScoreColumn]) -> str:
    """The tables of these files as one, with the keys and the wanted columns."""
    files = [path for file in found if (path := file.scores(columns[0].table)).is_file()]
    kinds = dict.fromkeys(KEYS, "VARCHAR") | {column.column: column.kind for column in columns}
    for path in files:
        _check(path, kinds)
    if not files:
        nothing = [f'NULL::{column.kind} AS "{column.column}"' for column in columns]
        nothing += [f"NULL::VARCHAR AS {name}" for name in ("sample_id", _judged("short"), _judged("long"))]
        return f"(SELECT {', '.join(nothing)} WHERE false)"
    keys = [f"left(text_{text}_sha256, {_DIGITS}) AS {_judged(text)}" for text in ("short", "long")]
    names = ", ".join(["sample_id", *keys, *(f'"{column.column}"' for column in columns)])
    return f"(SELECT {names} FROM read_parquet({file_list(files)}, hive_partitioning = false))"


def _check(path: Path, kinds: Mapping[str, str]) -> None:
    """Raises:
    UserError: a table of scores is torn or has not these columns.
    """
    try:
        with reading(path):
            found = pq.read_schema(path)
    except UserError as error:
        raise UserError(f"{error}; make these scores again with the command that made them") from error
    for name, kind in kinds.items():
        here = found.field(name).type if name in found.names else pa.null()
        if _TYPES.get(str(here)) != kind:
            raise UserError(f"{path}: no table of scores: its column {name!r} holds {here}; remove it and score again")
