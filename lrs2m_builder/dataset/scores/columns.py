"""The columns of scores that a data set has, as conditions name them: `<name>_<column>`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.dataset.scores.places import SCORE_JSON, SCORES, ScoredFile, score_names
from lrs2m_builder.dataset.scores.table import is_column
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json

TYPES = {
    "float": "FLOAT",
    "double": "DOUBLE",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "string": "VARCHAR",
}


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
                one = ScoreColumn(table, column, TYPES[kind])
                if columns.setdefault(one.name, one) != one:
                    raise UserError(f"{path}: {one.name} is a column of the scores {columns[one.name].table!r} too")
    return {name: column for name, column in columns.items() if name not in of_data}


def _declared(path: Path) -> Mapping[str, str]:
    columns = read_json(path).get("columns")
    if not isinstance(columns, dict) or not all(is_column(name) and columns[name] in TYPES for name in columns):
        raise UserError(f"{path}: names no columns of scores; was it edited?")
    return columns


def mentioned(condition: str, columns: Mapping[str, ScoreColumn]) -> list[ScoreColumn]:
    """The columns that a condition of SQL names."""
    words = {word.casefold() for word in re.findall(r"\w+", condition)}
    return [column for name, column in columns.items() if name in words]
