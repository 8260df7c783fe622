"""The table of a comparison: wins, and what may explain them: lengths, warnings, rejections and scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrs2m_builder.dataset.compare.pairs import Key, Pairs
from lrs2m_builder.dataset.compare.tally import Tally, outcome, tally
from lrs2m_builder.dataset.compare.votes import Vote
from lrs2m_builder.dataset.scores.columns import ScoreColumn, score_columns
from lrs2m_builder.dataset.scores.places import SCORE_JSON, SCORES, ScoredFile, score_names, scored_files
from lrs2m_builder.dataset.view.scores import ScoreReader
from lrs2m_builder.files import read_json

_SIDES = ("a", "b")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two data sets.

    Attributes:
        only: rows without a partner in the other one.
        rejected: rejected samples by reason, of the whole build.
        recipes, models: of the rows with a partner.
        tokens_short, tokens_long: means over the rows with a partner; None if the rows do not say.
        warnings_per_row: mean number of checks that warn of a row with a partner.
        warnings: rows with a partner by the check that warns.
    """

    path: str
    only: int
    rejected: dict[str, int]
    recipes: tuple[str, ...]
    models: tuple[str, ...]
    tokens_short: float | None
    tokens_long: float | None
    warnings_per_row: float
    warnings: dict[str, int]


@dataclass(frozen=True, slots=True)
class Score:
    """A score that both data sets have: its means over the pairs that have both.

    Attributes:
        higher_a, higher_b: the share of these pairs in which it is higher.
    """

    pairs: int
    a: float
    b: float
    higher_a: float
    higher_b: float


@dataclass(frozen=True, slots=True)
class Table:
    """A comparison of two data sets.

    Attributes:
        pairs, same_texts, other_image, several_texts: see `Pairs`.
        wins: over the pairs with a vote.
        reviewers: the votes of each.
        left: how often the left text won, of the decided votes.
        other_votes: votes of the file on pairs or texts that are not these any more.
        other_scores: names of scores that both have and that were made with different settings.
    """

    a: Side
    b: Side
    pairs: int
    same_texts: int
    other_image: int
    several_texts: int
    wins: Tally
    reviewers: dict[str, Tally]
    left: tuple[int, int]
    other_votes: int
    scores: dict[str, Score]
    other_scores: tuple[str, ...]


def make_table(pairs: Pairs, scores: ScoreReader, votes: Mapping[Key, Mapping[str, Vote]]) -> Table:
    """Count the votes and describe both sides.

    Raises:
        UserError: a table of scores is torn.
    """
    known = _known(pairs, votes)
    valid = {key: by for key, by in votes.items() if key in known}
    single = [vote for by in valid.values() for vote in by.values()]
    decided = [vote for vote in single if vote.choice in _SIDES]
    names = sorted({vote.reviewer for vote in single})
    found, differing = _scores(pairs, scores)
    return Table(
        a=_side(pairs, "a"),
        b=_side(pairs, "b"),
        pairs=pairs.num_pairs,
        same_texts=pairs.num_same,
        other_image=pairs.other_image,
        several_texts=pairs.several,
        wins=tally(map(outcome, valid.values())),
        reviewers={name: tally(vote.choice for vote in single if vote.reviewer == name) for name in names},
        left=(sum(vote.choice == vote.left for vote in decided), len(decided)),
        other_votes=sum(map(len, votes.values())) - len(single),
        scores=found,
        other_scores=differing,
    )


def as_json(table: Table) -> dict[str, Any]:
    """The table as JSON holds it."""
    return {
        **asdict(table),
        "wins": _tally(table.wins),
        "reviewers": {name: _tally(each) for name, each in table.reviewers.items()},
        "left": {"wins": table.left[0], "decided": table.left[1]},
    }


def _tally(counts: Tally) -> dict[str, Any]:
    return {
        **asdict(counts),
        "votes": counts.votes,
        "decided": counts.decided,
        "share_b": counts.share_b,
        "interval_b": counts.interval_b,
        "better": counts.better,
    }


def _known(pairs: Pairs, votes: Mapping[Key, Any]) -> set[Key]:
    """The keys of votes that are of a pair of these rows and texts."""
    cursor = pairs.indexes["records"].connection.cursor()
    query = "SELECT sample_id, text_a, text_b FROM pairs WHERE sample_id IN (SELECT unnest(?::VARCHAR[]))"
    return {(str(a), str(b), str(c)) for a, b, c in cursor.execute(query, [[key[0] for key in votes]]).fetchall()}


def _side(pairs: Pairs, side: str) -> Side:
    """The figures of one side, `side` a column of the table `pairs`."""
    index = pairs.indexes["records"]
    cursor = index.connection.cursor()
    rows = f"FROM pairs JOIN records_index ON number = {side}"
    short, long = cursor.execute(
        f"SELECT avg(nullif(num_tokens_short, 0)), avg(nullif(num_tokens_long, 0)) {rows}"
    ).fetchall()[0]
    warnings: Counter[str] = Counter()
    for names, times in cursor.execute(f"SELECT warnings::VARCHAR, count(*) {rows} GROUP BY ALL").fetchall():
        warnings.update(dict.fromkeys(names.split(), times))
    recipes, models = (
        cursor.execute(f"SELECT DISTINCT {name}::VARCHAR AS value {rows} ORDER BY value").fetchall()
        for name in ("recipe", "model")
    )
    at = _SIDES.index(side)
    return Side(
        path=str(pairs.paths[at]),
        only=pairs.only[at],
        rejected=_rejected(pairs, is_b=side == "b"),
        recipes=tuple(value for (value,) in recipes if value),
        models=tuple(value for (value,) in models if value),
        tokens_short=short,
        tokens_long=long,
        warnings_per_row=warnings.total() / pairs.num_pairs,
        warnings=dict(warnings.most_common()),
    )


def _rejected(pairs: Pairs, *, is_b: bool) -> dict[str, int]:
    index = pairs.indexes["rejected"]
    if not index.num_rows:
        return {}
    query = """SELECT reason::VARCHAR AS reason, count(*) AS times FROM rejected_index WHERE (number >= ?) = ?
        GROUP BY ALL ORDER BY times DESC, reason"""
    return dict(index.connection.cursor().execute(query, [pairs.first_b["rejected"], is_b]).fetchall())


def _scores(pairs: Pairs, reader: ScoreReader) -> tuple[dict[str, Score], tuple[str, ...]]:
    """The scores of the pairs that have both, and the names of the tables that were made with other settings."""
    found, differing = dict[str, Score](), set[str]()
    files = [scored_files(path) for path in pairs.paths]
    columns = [score_columns(each) for each in files]
    rows_a, rows_b = pairs.numbers()
    for name, column in columns[0].items():
        if not column.is_number or name not in columns[1]:
            continue
        settings = [
            read_json(home / SCORES / column.table / SCORE_JSON).get("settings") for home in _homes(files, column)
        ]
        if any(each != settings[0] for each in settings):
            differing.add(column.table)
            continue
        values = reader.values(name).astype(np.float64)
        a, b = values[rows_a], values[rows_b]
        both = np.isfinite(a) & np.isfinite(b)
        if both.any():
            means = [float(each[both].mean()) for each in (a, b, a > b, b > a)]
            found[name] = Score(int(both.sum()), *means)
    return found, tuple(sorted(differing))


def _homes(files: Iterable[Sequence[ScoredFile]], column: ScoreColumn) -> list[Path]:
    """The data sets that have a table."""
    homes = {file.home for each in files for file in each}
    return sorted(home for home in homes if column.table in score_names(home))
