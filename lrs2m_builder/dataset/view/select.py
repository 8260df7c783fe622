"""Which rows, in which order: filters and sorting by the index, full-text search through the files."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from lrs2m_builder.dataset.tables import duckdb_name
from lrs2m_builder.dataset.view.index import Index
from lrs2m_builder.errors import UserError

MAX_MATCHES = 1000  # a search stops at as many: nobody looks through more, and the files are long
FILES_AT_ONCE = 8  # between which a search may stop; more would not be faster
ORDERS = {
    "file": "number",
    "id": "sample_id",
    "long": "num_tokens_long",
    "short": "num_tokens_short",
    "attempts": "attempts",
}
_SOME_FILES = (
    "read_parquet(?, filename = 'lrs2m file', file_row_number = true, hive_partitioning = false, union_by_name = true)"
)
VERDICTS = ("none", "accept", "flag", "corrected", "disputed")
_EQUAL = ("subset", "recipe", "model", "reason")
_RANGES = {"long": "num_tokens_long", "short": "num_tokens_short"}


@dataclass(frozen=True, slots=True)
class Filters:
    """What the user asked for; an empty text or None stands for all.

    Attributes:
        verdict: one of VERDICTS; "none" stands for rows that nobody has looked at.
        reviewer: whose rows; "" for all.
        score: a column of scores, of which score_min and score_max are bounds; without a score, a row is left out.
        box: west, south, east and north of a rectangle that holds the centre, with commas between; west is greater
            than east across the antimeridian.
        text: words that must all occur, in any letter case; what stands in double quotes is one of them.
    """

    subset: str = ""
    recipe: str = ""
    model: str = ""
    warning: str = ""
    reason: str = ""
    verdict: str = ""
    reviewer: str = ""
    long_min: int | None = None
    long_max: int | None = None
    short_min: int | None = None
    short_max: int | None = None
    score: str = ""
    score_min: float | None = None
    score_max: float | None = None
    box: str = ""
    text: str = ""
    order: str = "file"
    descending: bool = False

    @classmethod
    def parse(cls, values: Mapping[str, str], scores: Collection[str] = ()) -> Filters:
        """Filters from texts by name, as an address has them.

        Args:
            scores: columns that rows may be filtered and sorted by.

        Raises:
            UserError: an unknown name or order, or no number where one belongs.
        """
        kinds = {item.name: str(item.type) for item in fields(cls)}
        if unknown := sorted(values.keys() - kinds.keys()):
            raise UserError(f"no filter {unknown[0]!r}; known: {', '.join(kinds)}")
        if (order := values.get("order", "file")) not in (orders := [*ORDERS, *scores]):
            raise UserError(f"no order {order!r}; known: {', '.join(orders)}")
        if (score := values.get("score", "")) and score not in scores:
            raise UserError(f"no score {score!r}; known: {', '.join(scores) or 'none'}")
        if (verdict := values.get("verdict", "")) and verdict not in VERDICTS:
            raise UserError(f"no verdict {verdict!r}; known: {', '.join(VERDICTS)}")
        _sides(values.get("box", ""))
        return cls(**{name: _parse(name, kinds[name], value) for name, value in values.items() if value})


def _sides(box: str) -> list[float]:
    """The sides of a rectangle; none of ""."""
    number = r"-?\d{1,3}(?:\.\d{1,9})?"
    if box and not re.fullmatch(rf"{number}(?:,{number}){{3}}", box, re.ASCII):
        raise UserError(f"box: {box!r} is not west,south,east,north in degrees")
    return [float(side) for side in box.split(",")] if box else []


def _parse(name: str, kind: str, value: str) -> Any:
    if kind == "bool":
        return value == "1"
    if kind == "str":
        return value
    if kind.startswith("float"):
        if not re.fullmatch(r"-?\d{0,9}\.?\d{1,9}", value, re.ASCII):
            raise UserError(f"{name}: {value!r} is not a number")
        return float(value)
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        raise UserError(f"{name}: {value!r} is not a whole number")
    return int(value)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that were asked for, in their order.

    Attributes:
        numbers: of rows, int32.
        seconds: how long it took to find them.
        searched: share of the rows that the full-text search looked at before it had MAX_MATCHES.
    """

    index: Index
    numbers: np.ndarray
    seconds: float
    searched: float = 1.0


def select(
    index: Index, filters: Filters, reviewed: Callable[[str, str], np.ndarray], columns: Callable[[str], np.ndarray]
) -> Selection:
    """Find rows.

    Args:
        reviewed: numbers of the rows that have a verdict ("" for any) of a reviewer ("" for any).
        columns: a column of scores, "lon" or "lat", by number of the row.

    Raises:
        duckdb.Error: a file changed or broke since it was opened.
    """
    start = time.perf_counter()
    if not index.num_rows:
        return Selection(index, np.empty(0, np.int32), 0.0)
    where, values = _where(index, filters)
    column = ORDERS.get(filters.order, "number")
    known = column in {"number", "sample_id", *index.kind.numbers}
    order = f"{column if known else 'number'} {'DESC' if filters.descending else 'ASC'}, number"
    query = f"SELECT number FROM {index.kind.name}_index WHERE {where} ORDER BY {order}"
    # A cursor of its own: requests come from several threads.
    numbers = np.asarray(index.connection.cursor().execute(query, values).fetchnumpy()["number"], np.int32)
    if index.kind.name == "records":
        numbers = _reviewed(numbers, index, filters, reviewed)
        numbers = _by_scores(_inside(numbers, filters.box, columns), filters, columns)
    searched = 1.0
    if words := _words(filters.text):
        found, searched = _search(index, numbers, words)
        numbers = numbers[np.isin(numbers, found)]
    return Selection(index, numbers, time.perf_counter() - start, searched)


def _reviewed(
    numbers: np.ndarray, index: Index, filters: Filters, reviewed: Callable[[str, str], np.ndarray]
) -> np.ndarray:
    """The rows with a verdict, of a reviewer if one is named; all if neither is asked for."""
    if not filters.verdict and not filters.reviewer:
        return numbers
    is_wanted = np.zeros(index.num_rows, bool)
    is_wanted[reviewed("" if filters.verdict == "none" else filters.verdict, filters.reviewer)] = True
    kept: np.ndarray = numbers[is_wanted[numbers] != (filters.verdict == "none")]
    return kept


def _inside(numbers: np.ndarray, box: str, columns: Callable[[str], np.ndarray]) -> np.ndarray:
    """The rows whose centre is in a rectangle; all without one."""
    if not box:
        return numbers
    west, south, east, north = _sides(box)
    lon, lat = columns("lon")[numbers], columns("lat")[numbers]
    between = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    inside: np.ndarray = numbers[between & (lat >= south) & (lat <= north)]
    return inside


def _by_scores(numbers: np.ndarray, filters: Filters, scores: Callable[[str], np.ndarray]) -> np.ndarray:
    """The rows within the bounds of a score, and in the order of one; those without a score come last."""
    if filters.score:
        values = scores(filters.score)[numbers]
        least = -np.inf if filters.score_min is None else filters.score_min
        most = np.inf if filters.score_max is None else filters.score_max
        numbers = numbers[(values >= least) & (values <= most)]
    if filters.order not in ORDERS:
        values = scores(filters.order)[numbers]
        numbers = numbers[np.argsort(-values if filters.descending else values, kind="stable")]
    return numbers


def _where(index: Index, filters: Filters) -> tuple[str, list[Any]]:
    """The condition on the index, and the values of its question marks."""
    clauses, values = ["true"], list[Any]()
    for name in _EQUAL:
        if (value := getattr(filters, name)) and name in index.kind.facets:
            # As text: an ENUM does not compare with what is none of its values.
            clauses.append(f"{name}::VARCHAR = ?")
            values.append(value)
    if filters.warning and "warnings" in index.kind.facets:
        clauses.append("list_contains(?::VARCHAR[], warnings::VARCHAR)")
        values.append([names for names in index.combinations if filters.warning in names.split()])
    for name, column in _RANGES.items():
        for end, sign in (("min", ">="), ("max", "<=")):
            if (bound := getattr(filters, f"{name}_{end}")) is not None and column in index.kind.numbers:
                clauses.append(f"{column} {sign} ?")
                values.append(bound)
    return " AND ".join(clauses), values


def _words(text: str) -> list[str]:
    return [(quoted or word).lower() for quoted, word in re.findall(r'"([^"]+)"|([^\s"]+)', text)]


def _search(index: Index, candidates: np.ndarray, words: list[str]) -> tuple[np.ndarray, float]:
    """Numbers of candidates whose texts have all the words, and the share of the candidates looked at.

    The files are read in their order, a few at once, until there are MAX_MATCHES.
    """
    wanted = np.zeros(index.num_rows, bool)
    wanted[candidates] = True
    files, found, end = index.files_with(wanted), [np.empty(0, np.int32)], index.num_rows
    query = f"""
        SELECT number FROM (
            SELECT (first + file_row_number)::INTEGER AS number, lower({index.kind.text}) AS text
            FROM {_SOME_FILES} JOIN {index.kind.name}_files AS place
            ON place.file = "lrs2m file"::{index.kind.name}_file)
        WHERE {" AND ".join(["contains(text, ?)"] * len(words))}"""
    cursor = index.connection.cursor()
    for at in range(0, len(files), FILES_AT_ONCE):
        if sum(map(len, found)) >= MAX_MATCHES:
            end = index.first[index.files.index(files[at])]
            break
        some = [duckdb_name(file) for file in files[at : at + FILES_AT_ONCE]]
        numbers = np.asarray(cursor.execute(query, [some, *words]).fetchnumpy()["number"], np.int32)
        found.append(numbers[wanted[numbers]])
    return np.concatenate(found), float(wanted[:end].sum() / max(1, len(candidates)))
