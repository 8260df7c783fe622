"""`lrs2m stats`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.commands import Json, StoredDataArgument, print_json
from lrs2m_builder.commands.export import Where
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.dataset.scores.summary import ScoreStats
    from lrs2m_builder.dataset.stats import Stats, SubsetStats, TextStats
    from lrs2m_builder.declared.manifest import PaperFigures

_BARS = " ▁▂▃▄▅▆▇█"


def stats_command(
    data: StoredDataArgument,
    paper: Annotated[
        bool,
        typer.Option(
            "--paper", help="Also print the paper's figures for the subsets that it has, and its stated total."
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the histograms of text lengths (the paper's Figure 6) as FILE.png and FILE.svg. Needs the extra "
            "'plot'.",
        ),
    ] = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Count pairs, tokens and rejections.

    Prints the paper's Table I for a data set: pairs, images and mean tokens per subset; then percentiles of the text
    lengths, the shares of texts over 77 and 248 tokens, words, vocabulary, warnings per check, rejections per reason,
    and the scores (docs/scores.md); --json also prints the histograms. DATA may be a folder of builds. Of other Parquet
    files, the columns subset, caption_short, caption_long, num_tokens_short and num_tokens_long are needed; two million
    rows take under a minute.

    Example:
        lrs2m stats out --paper
    """
    from lrs2m_builder.dataset.copies import data_folder
    from lrs2m_builder.dataset.histogram import check_histograms, draw_histograms, draw_scores
    from lrs2m_builder.dataset.stats import paper_figures, read_stats

    if plot:
        check_histograms(plot)
    stats = read_stats(data_folder(data, with_images=False), where)
    for note in stats.notes:
        say(note)
    pictures = draw_histograms(stats, plot) if plot else []
    if plot and stats.scores:
        pictures += draw_scores(stats.scores, plot.with_stem(f"{plot.stem}-scores"))
    of_paper = paper_figures(stats) if paper else {}
    if as_json:
        result: dict[str, Any] = asdict(stats) | {"pictures": [str(path) for path in pictures]}
        if paper:
            result["paper"] = {name: figures.model_dump() for name, figures in of_paper.items()}
        print_json(result)
        return
    show("\n".join([*stats_lines(stats, of_paper), *(f"plotted {path}" for path in pictures)]))


def stats_lines(stats: Stats, paper: Mapping[str, PaperFigures]) -> list[str]:
    """The statistics for people: Table I, lengths, attempts, warnings and rejections."""
    everyone = [*stats.subsets, stats.total]
    lines = _table(
        ("subset", "pairs", "images", "long text from", "tokens", "short text from", "tokens", "recipe"),
        [
            line
            for subset in everyone
            for line in (_first_row(subset), *([_paper_row(paper[subset.name])] if subset.name in paper else []))
        ],
    )
    lines += [
        "",
        *_table(
            ("tokens", "text", "5 %", "median", "95 %", "max", "> 77", "> 248", "words", "vocabulary"),
            _lengths(everyone),
        ),
    ]
    pairs = stats.total.pairs
    asked = pairs + sum(stats.total.rejections.values())
    for title, kind, unit, whole in (
        ("warnings", "warnings", "share of pairs", pairs),
        ("rejected", "rejections", "share of samples", asked),
    ):
        counts = {subset.name: getattr(subset, kind) for subset in everyone}
        lines += ["", f"{title}, {unit}:", *_counts(counts, whole)] if counts["total"] else ["", f"{title}: none"]
    if stats.total.mean_attempts is not None:
        lines += ["", f"mean attempts per record: {stats.total.mean_attempts:.2f}"]
    if stats.total.long_texts > pairs:
        lines += ["", f"long texts: {stats.total.long_texts:,}, of which the tables count the first of each pair"]
    if judged := stats.total.judged:
        shortened = stats.total.shortened
        lines += [
            "",
            f"judged against the image: {judged:,} pairs, something cut in {shortened:,} ({shortened / judged:.1%})",
        ]
    if stats.scores:
        head = ("score", "subset", "rows", "no score", "older text", "mean", "5 %", "median", "95 %", "histogram")
        lines += ["", *_table(head, [_score_row(score) for score in _shown_scores(stats)])]
    return lines


def _shown_scores(stats: Stats) -> Iterator[ScoreStats]:
    """The scores of each subset, and of all where there are several."""
    for score in stats.scores:
        if score.subset != "total" or len(stats.subsets) > 1:
            yield score


def _score_row(score: ScoreStats) -> tuple[str, ...]:
    values = [score.mean, *score.percentiles.values()]
    return (
        score.name,
        score.subset,
        *(f"{count:,}" for count in (score.rows, score.missing, score.older)),
        *("-" if value is None else f"{value:.3f}" for value in values),
        f"{score.low:.3f} {_bars(score.histogram)} {score.high:.3f}" if score.rows else "",
    )


def _bars(histogram: Sequence[int]) -> str:
    """A histogram as a line: a letter for each part, the highest for the most rows."""
    most = max(histogram) or 1
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in histogram)


def _first_row(subset: SubsetStats) -> tuple[str, ...]:
    is_total = subset.name == "total"
    return (
        subset.name,
        f"{subset.pairs:,}",
        f"{subset.images:,}" if subset.images else "-",
        "" if is_total else _names(subset.long.sources),
        f"{subset.long.mean_tokens:.2f}",
        "" if is_total else _names(subset.short.sources),
        f"{subset.short.mean_tokens:.2f}",
        "" if is_total else _names(subset.recipes),
    )


def _paper_row(paper: PaperFigures) -> tuple[str, ...]:
    long, short = f"{paper.mean_tokens_long:.2f}", f"{paper.mean_tokens_short:.2f}"
    return ("  in the paper", f"{paper.pairs:,}", "", paper.long_from, long, paper.short_from, short, "")


def _names(names: Sequence[str]) -> str:
    """The first two names; for a model folder, the last part of its path."""
    names = [name.rstrip("/").rpartition("/")[2] if name.startswith("/") else name for name in names]
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "") if names else "-"


def _lengths(subsets: Sequence[SubsetStats]) -> list[tuple[str, ...]]:
    return [
        (subset.name if kind == "long" else "", kind, *_length_cells(text))
        for subset in subsets
        for kind, text in (("long", subset.long), ("short", subset.short))
    ]


def _length_cells(text: TextStats) -> tuple[str, ...]:
    return (
        *(f"{text.percentiles[percent]:.0f}" for percent in (5, 50, 95)),
        str(text.max_tokens),
        f"{text.over_77:.1%}",
        f"{text.over_248:.1%}",
        f"{text.mean_words:.1f}",
        f"{text.vocabulary:,}",
    )


def _counts(counts: Mapping[str, Mapping[str, int]], whole: int) -> list[str]:
    """One line per kind: its count, its share of `whole`, and its subsets."""
    lines = []
    for kind, times in counts["total"].items():
        where = [
            f"{name} {of_subset[kind]:,}" for name, of_subset in counts.items() if name != "total" and kind in of_subset
        ]
        lines.append(
            f"  {times:>8,}  {times / whole:>6.1%}  {kind}" + (f"  ({', '.join(where)})" if len(where) > 1 else "")
        )
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: columns as wide as their widest cell, numbers right-aligned."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    to_right = [all(not row[i] or row[i][0] in "0123456789-" for row in rows) for i in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, to_right, strict=True)
        ).rstrip()
        for row in (head, *rows)
    ]
