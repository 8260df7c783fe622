"""`lrs2m stats`: Table I and Figure 6 of the paper for a data set, and the results of its checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from lrs2m_builder.checks import CLIP_LONG, CLIP_SHORT
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.scores.join import by_home
from lrs2m_builder.dataset.scores.places import scored_files
from lrs2m_builder.dataset.scores.summary import ScoreStats, summarize
from lrs2m_builder.dataset.selection import Filters, all_rejected, keep_selected, select
from lrs2m_builder.dataset.tables import WARNING_NAMES, open_tables
from lrs2m_builder.declared.manifest import PaperFigures, load_manifest
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.errors import UserError

NEEDS = ("subset", "caption_short", "caption_long", "num_tokens_short", "num_tokens_long")
# Columns that a foreign data set may lack; their statistics are then omitted.
_OPTIONAL = {
    "image_sha256": "''",
    "short_source": "''",
    "long_source": "''",
    "recipe": "''",
    "license": "''",
    "attempts": "0",
    "warnings": "[]::VARCHAR[]",
    "judge": "NULL::VARCHAR",
    "cut": "NULL::VARCHAR[]",
    "captions_long": "NULL::VARCHAR[]",
}
# The totals stated in Table I; its rows add up to 2,023,718 pairs and to means of 113.9 and 33.0.
STATED = PaperFigures(pairs=2_023_688, mean_tokens_long=110.89, mean_tokens_short=32.36, long_from="", short_from="")
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
# A word as in `checks.split_words`: a hyphenated word, a contraction and a decimal number are one each.
_WORDS = r"[\p{L}\p{N}]+(?:[''’.-][\p{L}\p{N}]+)*"


@dataclass(frozen=True, slots=True)
class TextStats:
    """One caption column of a subset.

    Attributes:
        sources: who wrote the texts.
        mean_tokens: CLIP tokens including the two special ones, as everywhere here.
        percentiles: token counts by percent.
        over_77, over_248: shares of texts longer than CLIP's context, and than the stretched one.
        vocabulary: number of distinct words, letter case ignored.
        histogram: number of texts by number of tokens.
    """

    sources: tuple[str, ...]
    mean_tokens: float
    max_tokens: int
    percentiles: dict[int, float]
    over_77: float
    over_248: float
    mean_words: float
    vocabulary: int
    histogram: dict[int, int]


@dataclass(frozen=True, slots=True)
class SubsetStats:
    """One subset, or all together.

    Attributes:
        images: distinct images, by the hash of their bytes; 0 if the column is missing.
        mean_attempts: mean number of requests, over records that a model wrote.
        long_texts: number of long texts; more than the pairs if images have several.
        judged, shortened: records whose texts a build held against the image, and those of which some was cut.
        rejections, warnings: counts by reason and by check.
    """

    name: str
    pairs: int
    images: int
    recipes: tuple[str, ...]
    licenses: tuple[str, ...]
    long: TextStats
    short: TextStats
    mean_attempts: float | None
    long_texts: int = 0
    judged: int = 0
    shortened: int = 0
    rejections: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stats:
    """A data set, or the rows of it that were asked for.

    Attributes:
        scores: of every column of numbers, if there are any.
        notes: what a person should know of the scores in a condition, a line each.
    """

    path: str
    subsets: tuple[SubsetStats, ...]
    total: SubsetStats
    scores: tuple[ScoreStats, ...] = ()
    notes: tuple[str, ...] = ()


def read_stats(path: Path, where: str | None = None, *, with_scores: bool = True) -> Stats:
    """Count a data set, reading only the columns that are needed.

    Args:
        where: count only rows that meet this condition (see `selection.Filters`); rejections are counted all.

    Raises:
        UserError: no Parquet files, a missing column, a broken file, a bad condition, or no rows.
    """
    selection = None if where is None else select(path, Filters(where=where))
    tables = open_tables(path, NEEDS, tuple(_OPTIONAL))
    if selection:
        keep_selected(tables, selection)
    source = "kept" if selection else "records"
    have = set(tables.sql("SELECT * FROM records LIMIT 0").columns)
    columns = ["coalesce(nullif(subset, ''), '(none)') AS subset", *NEEDS[1:]]
    columns += [name if name in have else f"{default} AS {name}" for name, default in _OPTIONAL.items()]
    with reading(path):
        tables.sql(f"CREATE VIEW counted AS SELECT {', '.join(columns)} FROM {source}")
        names = [name for (name,) in _rows(tables, "SELECT DISTINCT subset FROM counted ORDER BY 1")]
        if not names:
            raise UserError(f"{path}: it has no rows{all_rejected(tables)}")
        facts = _facts(tables)
        texts = {column: _texts(tables, column) for column in ("long", "short")}
        warnings = _counts(tables, f"SELECT subset, unnest({WARNING_NAMES}) AS kind FROM counted")
        rejections = _counts(tables, "SELECT subset, reason AS kind FROM rejections")
        files = scored_files(path) if with_scores and "sample_id" in have else []
        scores = summarize(tables, source, by_home(files)) if files else ()

    def subset(name: str | None) -> SubsetStats:
        key = name or ""
        return SubsetStats(
            name=name or "total",
            **facts[key],
            long=texts["long"][key],
            short=texts["short"][key],
            rejections=rejections.get(key, {}),
            warnings=warnings.get(key, {}),
        )

    notes = selection.notes if selection else ()
    return Stats(str(path), tuple(subset(name) for name in names), subset(None), scores, notes)


# Every query covers each subset and all together; "" means all.
_SUBSET = "coalesce(subset, '')"
_EACH_AND_ALL = "GROUP BY GROUPING SETS ((subset), ())"


def _rows(tables: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return tables.sql(query).fetchall()


def _facts(tables: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Any]]:
    query = f"""
        SELECT {_SUBSET}, count(*), count(DISTINCT nullif(image_sha256, '')), list(DISTINCT recipe ORDER BY recipe),
            list(DISTINCT license ORDER BY license), avg(attempts) FILTER (attempts > 0),
            count(judge), count(*) FILTER (len(cut) > 0), sum(greatest(coalesce(len(captions_long), 1), 1))
        FROM counted {_EACH_AND_ALL}"""
    return {
        name: {
            "pairs": pairs,
            "images": images,
            "recipes": tuple(filter(None, recipes)),
            "licenses": tuple(filter(None, licenses)),
            "mean_attempts": attempts,
            "judged": judged,
            "shortened": shortened,
            "long_texts": int(long_texts),
        }
        for name, pairs, images, recipes, licenses, attempts, judged, shortened, long_texts in _rows(tables, query)
    }


def _texts(tables: duckdb.DuckDBPyConnection, column: str) -> dict[str, TextStats]:
    """The statistics of one caption column, by subset."""
    tokens, quantiles = f"num_tokens_{column}", [percent / 100 for percent in PERCENTILES]
    query = f"""
        SELECT {_SUBSET}, list(DISTINCT {column}_source ORDER BY {column}_source), avg({tokens}), max({tokens}),
            quantile_cont({tokens}, {quantiles}),
            avg(({tokens} > {CLIP_SHORT})::INT), avg(({tokens} > {CLIP_LONG})::INT),
            histogram({tokens})
        FROM counted {_EACH_AND_ALL}"""
    words = _words(tables, column)
    counted = _rows(tables, query)
    if empty := [name for name, _, mean, *_ in counted if mean is None]:
        raise UserError(
            f"subset {empty[0] or 'total'}: the column {tokens} is empty; it holds the number of CLIP tokens"
        )
    return {
        name: TextStats(
            sources=tuple(filter(None, sources)),
            mean_tokens=mean,
            max_tokens=most,
            percentiles=dict(zip(PERCENTILES, percentiles, strict=True)),
            over_77=over_77,
            over_248=over_248,
            mean_words=words[name][0],
            vocabulary=words[name][1],
            histogram=histogram,
        )
        for name, sources, mean, most, percentiles, over_77, over_248, histogram in counted
    }


def _words(tables: duckdb.DuckDBPyConnection, column: str) -> dict[str, tuple[float, int]]:
    """(mean number of words, number of distinct words) by subset.

    The pieces between white space are counted first: few are distinct, and only these are split into words.
    """
    tables.sql(
        f"""CREATE OR REPLACE TEMP TABLE vocabulary AS
        SELECT subset, word, sum(times) AS times FROM (
            SELECT subset, unnest(regexp_extract_all(piece, '{_WORDS}')) AS word, times FROM (
                SELECT subset, piece, count(*) AS times FROM (
                    SELECT subset, unnest(string_split(translate(lower(caption_{column}), E'\t\r\n', '   '), ' '))
                    AS piece FROM counted)
                GROUP BY subset, piece))
        GROUP BY subset, word"""
    )
    query = f"""
        SELECT name, coalesce(times, 0) / pairs, coalesce(words, 0)
        FROM (SELECT {_SUBSET} AS name, count(*) AS pairs FROM counted {_EACH_AND_ALL})
        LEFT JOIN (SELECT {_SUBSET} AS name, sum(times) AS times, count(DISTINCT word) AS words
            FROM vocabulary {_EACH_AND_ALL}) USING (name)"""
    return {name: (mean, words) for name, mean, words in _rows(tables, query)}


def _counts(tables: duckdb.DuckDBPyConnection, query: str) -> dict[str, dict[str, int]]:
    """Counts of `kind` by subset, the most frequent first."""
    counts: dict[str, dict[str, int]] = {}
    grouped = f"""
        SELECT {_SUBSET}, kind, count(*) AS times FROM ({query})
        GROUP BY GROUPING SETS ((subset, kind), (kind)) ORDER BY times DESC, kind"""
    for name, kind, times in _rows(tables, grouped):
        counts.setdefault(name, {})[kind] = times
    return counts


def paper_figures(stats: Stats) -> dict[str, PaperFigures]:
    """The figures of the paper's Table I for its subsets, and its stated total."""
    names = {subset.name for subset in stats.subsets} & set(shipped_names("manifests"))
    by_subset = {name: figures for name in sorted(names) if (figures := load_manifest(name).paper)}
    return by_subset | {"total": STATED}
