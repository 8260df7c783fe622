"""Two judges of one data set compared: how far the verdicts of two tables of scores agree, claim by claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.reviews import Reviews
from lrs2m_builder.dataset.scores.places import SCORE_JSON, SCORES, ScoredFile, score_names, scored_files, the_home
from lrs2m_builder.dataset.scores.table import CLAIM_FIELDS
from lrs2m_builder.dataset.selection import REVIEWS
from lrs2m_builder.dataset.tables import MAX_MEMORY, file_list
from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.files import read_json

ALL = "all"
NUM_SHOWN = 20
_DIGITS = 5  # to which scores are rounded before they are ranked
_SAME = 'sample_id, "column", text_sha256, words'


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two judges on the claims of a kind that both answered.

    Attributes:
        kind: a kind of claim, or ALL.
        both_true, first_false, second_false, both_false: claims by verdict; `first_false`: the first alone says false.
        aurocs: of each judge's scores, with the verdicts of the other as the truth; None without both verdicts.
    """

    kind: str
    both_true: int
    first_false: int
    second_false: int
    both_false: int
    aurocs: tuple[float | None, float | None]

    @property
    def claims(self) -> int:
        """How many both answered."""
        return self.both_true + self.first_false + self.second_false + self.both_false

    @property
    def agreement(self) -> float:
        """The share of claims with the same verdict."""
        return (self.both_true + self.both_false) / self.claims

    @property
    def kappa(self) -> float | None:
        """Cohen's: 0 if they agree by chance alone; None if one of them gives every claim the same verdict."""
        one, two = ((alone + self.both_false) / self.claims for alone in (self.first_false, self.second_false))
        by_chance = one * two + (1 - one) * (1 - two)
        return None if {one, two} & {0.0, 1.0} else (self.agreement - by_chance) / (1 - by_chance)


@dataclass(frozen=True, slots=True)
class Difference:
    """A claim on which the scores differ much."""

    sample_id: str
    column: str
    kind: str
    words: str
    scores: tuple[float, float]


@dataclass(frozen=True, slots=True)
class JudgeComparison:
    """Two tables of verdicts on one data set.

    Attributes:
        names, models: of the two.
        kinds: ALL first, then by kind.
        only: claims that the first alone answered, and the second alone.
        reviewed: rows that a person accepted, and flagged, in `lrs2m view`.
        review_aurocs: of each judge's smallest score of a row, with the person's verdict as the truth.
        differences: the claims whose scores differ most.
    """

    names: tuple[str, str]
    models: tuple[str, str]
    kinds: tuple[Agreement, ...]
    only: tuple[int, int]
    reviewed: tuple[int, int]
    review_aurocs: tuple[float | None, float | None]
    differences: tuple[Difference, ...]


def compare_judges(path: Path, names: Sequence[str]) -> JudgeComparison:
    """Compare the verdicts of two tables of scores.

    Args:
        path: the data set.

    Raises:
        UserError: not two tables with claims, a table that cannot be read, or no claim that both answered.
    """
    files = scored_files(path)
    home = the_home(files)
    first, second = _check_names(home, names)
    with reading(home), duckdb.connect(config={"memory_limit": MAX_MEMORY}) as tables:
        for view, name in (("one", first), ("two", second)):
            tables.execute(f"CREATE VIEW {view} AS {_claims(files, name)}")
        tables.execute(
            'CREATE TABLE pairs AS SELECT one.kind, one.sample_id, one."column", one.words, one.score AS first, '
            "two.score AS second, one.is_false AS first_false, two.is_false AS second_false "
            f"FROM one JOIN two USING ({_SAME})"
        )
        kinds = tuple(_agreements(tables))
        if not kinds:
            raise UserError(
                f"--judges {first},{second}: no claim was answered by both; judge the same texts, split by the same "
                "--claims, with two --name"
            )
        ((num_one, num_two),) = tables.sql("SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM two)").fetchall()
        reviewed, aurocs = _against_reviews(tables, home)
        return JudgeComparison(
            names=(first, second),
            models=(_model(home, first), _model(home, second)),
            kinds=kinds,
            only=(num_one - kinds[0].claims, num_two - kinds[0].claims),
            reviewed=reviewed,
            review_aurocs=aurocs,
            differences=tuple(_differences(tables)),
        )


def _check_names(home: Path, names: Sequence[str]) -> tuple[str, str]:
    if len(names) != 2 or names[0] == names[1]:
        raise UserError(f"--judges {','.join(names)}: give the names of two scores, such as --judges verify,other")
    known = score_names(home)
    for name in names:
        if name not in known:
            raise UserError(f"--judges: no scores {name!r} beside {home}{not_among(name, known)}")
        if read_json(home / SCORES / name / SCORE_JSON).get("kind") != "verify":
            raise UserError(f"--judges {name}: these scores have no claims; give two that lrs2m verify made")
    return names[0], names[1]


def _claims(files: Iterable[ScoredFile], name: str) -> str:
    """The answered claims of a table."""
    paths = [path for file in files if (path := file.claims(name)).is_file()]
    if not paths:
        raise UserError(f"--judges {name}: no shard is finished; run lrs2m verify to its end")
    for path in paths:
        with reading(path):
            missing = set(CLAIM_FIELDS) - set(pq.read_schema(path).names)
        if missing:
            raise UserError(f"{path}: no table of claims: it has no column {min(missing)!r}; make these scores again")
    table = f"read_parquet({file_list(paths)}, hive_partitioning = false)"
    return f"SELECT {_SAME}, kind, score, is_false FROM {table} WHERE score IS NOT NULL"


def _agreements(tables: duckdb.DuckDBPyConnection) -> Iterable[Agreement]:
    counts = tables.sql(
        f"""SELECT coalesce(kind, '{ALL}'), count(*) FILTER (NOT first_false AND NOT second_false),
            count(*) FILTER (first_false AND NOT second_false), count(*) FILTER (second_false AND NOT first_false),
            count(*) FILTER (first_false AND second_false)
        FROM pairs GROUP BY GROUPING SETS ((kind), ()) HAVING count(*) > 0 ORDER BY kind NULLS FIRST"""
    ).fetchall()
    for kind, both_true, first_false, second_false, both_false in counts:
        where = "true" if kind == ALL else f"kind = '{kind}'"
        aurocs = (
            _auroc(tables, f"SELECT first, NOT second_false FROM pairs WHERE {where}"),
            _auroc(tables, f"SELECT second, NOT first_false FROM pairs WHERE {where}"),
        )
        yield Agreement(kind, both_true, first_false, second_false, both_false, aurocs)


def _auroc(tables: duckdb.DuckDBPyConnection, query: str) -> float | None:
    """The probability that what is true has a higher score than what is not; ties count half.

    Args:
        query: yields scores and whether each is true.
    """
    found = tables.sql(
        f"""SELECT count(*) FILTER (truth) AS positive, count(*) FILTER (NOT truth) AS negative
        FROM ({query}) AS scored (score, truth) GROUP BY round(score, {_DIGITS}) ORDER BY round(score, {_DIGITS})"""
    ).fetchnumpy()
    positive, negative = (np.asarray(found[name], np.float64) for name in ("positive", "negative"))
    if not positive.sum() or not negative.sum():
        return None
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / (positive.sum() * negative.sum()))


def _against_reviews(
    tables: duckdb.DuckDBPyConnection, home: Path
) -> tuple[tuple[int, int], tuple[float | None, float | None]]:
    """How many rows a person accepted and flagged, and how well each judge tells them apart."""
    path = home / REVIEWS
    ids: dict[str, Any] = Reviews(path).by_verdict() if path.is_file() else {"accept": [], "flag": []}
    tables.execute("CREATE TABLE reviewed (sample_id VARCHAR, accepted BOOLEAN)")
    rows = [(name, verdict == "accept") for verdict in ("accept", "flag") for name in ids[verdict]]
    if rows:
        tables.executemany("INSERT INTO reviewed VALUES (?, ?)", rows)
    tables.execute(
        "CREATE VIEW of_rows AS SELECT min(first) AS first, min(second) AS second, any_value(accepted) AS accepted "
        "FROM pairs JOIN reviewed USING (sample_id) GROUP BY sample_id"
    )
    ((accepted, flagged),) = tables.sql(
        "SELECT count(*) FILTER (accepted), count(*) FILTER (NOT accepted) FROM of_rows"
    ).fetchall()
    one, two = (_auroc(tables, f"SELECT {name}, accepted FROM of_rows") for name in ("first", "second"))
    return (accepted, flagged), (one, two)


def _differences(tables: duckdb.DuckDBPyConnection) -> Iterable[Difference]:
    found = tables.sql(
        'SELECT sample_id, "column", kind, words, first, second FROM pairs '
        f"ORDER BY abs(first - second) DESC, sample_id, words LIMIT {NUM_SHOWN}"
    ).fetchall()
    return [Difference(name, column, kind, words, (one, two)) for name, column, kind, words, one, two in found]


def _model(home: Path, name: str) -> str:
    made = read_json(home / SCORES / name / SCORE_JSON)
    return str((made.get("notes") or {}).get("model") or "").rstrip("/").rpartition("/")[2] or name
