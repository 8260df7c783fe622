"""The scores of a data set in figures: how many rows have one, its mean, its quantiles and a histogram, by subset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from lrs2m_builder.dataset.scores.columns import ScoreColumn, score_columns
from lrs2m_builder.dataset.scores.join import MISSING, OLDER, join_scores
from lrs2m_builder.dataset.scores.places import ScoredFile

BINS = 20
PERCENTILES = (5, 50, 95)
_EACH_AND_ALL = "GROUP BY GROUPING SETS ((subset), ())"


@dataclass(frozen=True, slots=True)
class ScoreStats:
    """A column of scores in a subset, or in all together ("total").

    Attributes:
        name: as conditions call it.
        rows: with a value.
        missing, older: without a score, and with one of an older text.
        low, high: ends of the histogram, the same for all subsets.
        histogram: number of rows in BINS parts of that range.
    """

    name: str
    subset: str
    rows: int
    missing: int
    older: int
    mean: float | None
    percentiles: dict[int, float | None]
    low: float
    high: float
    histogram: tuple[int, ...]


def summarize(
    connection: duckdb.DuckDBPyConnection,
    records: str,
    parts: Sequence[tuple[str, Sequence[ScoredFile]]],
    *,
    are_copies: bool = False,
) -> tuple[ScoreStats, ...]:
    """All columns of numbers of all scores, by column and then by subset.

    Args:
        records: a view with the texts, `sample_id` and `subset`.
        parts: conditions that divide its rows, each with the files that these rows came from.
        are_copies: its rows are copies in other files.

    Raises:
        UserError: a table of scores is torn or holds something else.
    """
    columns = score_columns([file for _, files in parts for file in files])
    tables: dict[str, list[ScoreColumn]] = defaultdict(list)
    for column in columns.values():
        if column.is_number:
            tables[column.table].append(column)
    found: list[ScoreStats] = []
    for each in tables.values():
        join_scores(connection, records, parts, each, are_copies=are_copies)
        found += _summarize(connection, each)
    return tuple(found)


def _summarize(connection: duckdb.DuckDBPyConnection, columns: Sequence[ScoreColumn]) -> list[ScoreStats]:
    """The columns of one table, which are joined in the view `scored`."""
    values = ", ".join(f"{one.name}::DOUBLE AS {one.name}" for one in columns)
    subset = "coalesce(nullif(subset, ''), '(none)') AS subset"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE summarized AS SELECT {subset}, {MISSING}, {OLDER}, {values} FROM scored"
    )
    return [one for column in columns for one in _one(connection, column.name)]


def _one(connection: duckdb.DuckDBPyConnection, name: str) -> list[ScoreStats]:
    quantiles = [percent / 100 for percent in PERCENTILES]
    finite = f"CASE WHEN isfinite({name}) THEN {name} END"
    found = connection.execute(
        f"""SELECT coalesce(subset, 'total'), count({finite}), count(*) FILTER ({MISSING}), count(*) FILTER ({OLDER}),
            avg({finite}), quantile_cont({finite}, {quantiles}), min({finite}), max({finite})
        FROM summarized {_EACH_AND_ALL} ORDER BY subset NULLS LAST"""
    ).fetchall()
    low, high = (found[-1][-2], found[-1][-1]) if found and found[-1][1] else (0.0, 0.0)
    width = (high - low) / BINS or 1.0
    bins: dict[str, list[int]] = defaultdict(lambda: [0] * BINS)
    counted = f"""SELECT coalesce(subset, 'total'), part, count(*) FROM (
            SELECT subset, least(floor(({name} - {low!r}) / {width!r}), {BINS - 1})::INTEGER AS part
            FROM summarized WHERE isfinite({name}))
        GROUP BY GROUPING SETS ((subset, part), (part))"""
    for subset, part, times in connection.execute(counted).fetchall():
        bins[subset][part] = times
    return [
        ScoreStats(
            *(name, subset, rows, missing, older, mean),
            dict(zip(PERCENTILES, percentiles or [None] * len(PERCENTILES), strict=True)),
            *(low, high, tuple(bins[subset])),
        )
        for subset, rows, missing, older, mean, percentiles, _, _ in found
    ]
