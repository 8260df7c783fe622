"""`lrs2m stats`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.terminal import show


def stats_command(
    data: Annotated[
        Path, typer.Argument(help="The --out of a build, or any folder of Parquet files with its columns.")
    ],
    paper: Annotated[
        bool, typer.Option("--paper", help="Put the paper's figures beside, where it has the subset.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the histograms of text lengths (the paper's Figure 6) as PNG and SVG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count a data set: pairs, tokens, words, sources, attempts, warnings and rejections, subset by subset."""
    from lrs2m_builder.histogram import check_histograms, draw_histograms
    from lrs2m_builder.stats import read_stats
    from lrs2m_builder.stats_text import paper_figures, stats_lines

    if plot:
        check_histograms(plot)
    stats = read_stats(data)
    pictures = draw_histograms(stats, plot) if plot else []
    of_paper = paper_figures(stats) if paper else {}
    if as_json:
        result: dict[str, Any] = asdict(stats) | {"pictures": [str(path) for path in pictures]}
        if paper:
            result["paper"] = {name: figures.model_dump() for name, figures in of_paper.items()}
        print_json(result)
        return
    show("\n".join([*stats_lines(stats, of_paper), *(f"plotted {path}" for path in pictures)]))
