"""What the verdicts on a data set come to: counts by kind of claim, and the claims that look most wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.scores.write import ScoreTable
from lrs2m_builder.dataset.tables import MAX_MEMORY, duckdb_name


@dataclass(frozen=True, slots=True)
class VerifyRun:
    """What one run did.

    Attributes:
        num_asked: claims that were answered.
        cached_share: share of the prompt tokens that were computed before for another claim; None if unknown.
        num_left_out: claims beyond the most that are asked of a text.
        num_written: texts whose claims a model wrote; of `num_by_rules` more it wrote no list, and the rules read them.
        num_invented: statements of a model that no sentence of the text holds, which were dropped.
        rows_left: records that another run will ask about.
        stopped: whether a signal ended it.
    """

    num_asked: int = 0
    seconds: float = 0.0
    cached_share: float | None = None
    num_left_out: int = 0
    num_written: int = 0
    num_by_rules: int = 0
    num_invented: int = 0
    rows_left: int = 0
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The state of a data set's verdicts; of finished shards.

    Attributes:
        texts: by text, records with a verdict, records with a false claim, and records without a verdict by reason.
        kinds: by kind of claim, how many, unanswered, false, and their mean score.
        shown: the claims with the smallest scores.
    """

    path: str
    name: str
    texts: dict[str, dict[str, Any]]
    kinds: dict[str, dict[str, Any]]
    shown: list[dict[str, Any]]
    run: VerifyRun


def make_report(table: ScoreTable, num_shown: int, run: VerifyRun) -> VerifyReport:
    """Count what the tables hold.

    Raises:
        UserError: a table cannot be read.
    """
    name = table.scoring.name
    home = table.files[0].home
    rows = [path for file in table.files if (path := file.scores(name)).is_file()]
    claims = [path for file in table.files if (path := file.claims(name)).is_file()]
    texts: dict[str, dict[str, Any]] = {}
    kinds: dict[str, dict[str, Any]] = {}
    shown: list[dict[str, Any]] = []
    with reading(home), duckdb.connect(config={"memory_limit": MAX_MEMORY}) as tables:
        if rows:
            tables.read_parquet([duckdb_name(path) for path in rows]).create_view("scores")
            texts = {text: _of_text(tables, text) for text in _texts(table)}
        if claims:
            tables.read_parquet([duckdb_name(path) for path in claims]).create_view("claims")
            found = tables.sql(
                "SELECT kind, count(*) AS claims, count(*) FILTER (score IS NULL) AS unanswered, "
                "count(*) FILTER (is_false) AS num_false, avg(score) AS mean FROM claims GROUP BY kind ORDER BY kind"
            )
            kinds = {kind: dict(zip(found.columns[1:], rest, strict=True)) for kind, *rest in found.fetchall()}
            worst = tables.sql(
                'SELECT sample_id, "column", kind, words, score FROM claims WHERE score IS NOT NULL '
                f"ORDER BY score, sample_id, words LIMIT {num_shown}"
            )
            shown = [dict(zip(worst.columns, row, strict=True)) for row in worst.fetchall()]
    return VerifyReport(str(home), name, texts, kinds, shown, run)


def _texts(table: ScoreTable) -> list[str]:
    return [column.removesuffix("_num_claims") for column in table.scoring.columns if column.endswith("_num_claims")]


def _of_text(tables: duckdb.DuckDBPyConnection, text: str) -> dict[str, Any]:
    ((judged, wrong),) = tables.sql(
        f"SELECT count({text}_min), count(*) FILTER ({text}_num_false > 0) FROM scores"
    ).fetchall()
    reasons = tables.sql(
        f"SELECT {text}_reason, count(*) FROM scores WHERE {text}_min IS NULL AND {text}_reason IS NOT NULL "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return {"judged": judged, "with_false_claim": wrong, "without_verdict": dict(reasons)}
