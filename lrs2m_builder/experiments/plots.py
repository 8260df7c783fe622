"""Figures 7 to 10 of the paper from the results of an experiment: a panel a test, as PNG and SVG."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrs2m_builder.errors import MissingExtraError
from lrs2m_builder.evals.registry import find_evaluation
from lrs2m_builder.experiments.table import Line, Table
from lrs2m_builder.stores.outputs import save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#1f5a8a", "#d98324", "#3c7d45", "#7a4b94")  # of the panels, in their order


def draw_figure(table: Table, out_dir: Path) -> list[Path]:
    """Draw NAME.png and NAME.svg; returns their paths.

    A bar is the 95 % interval over the queries of the test, or of several seeds the lowest and the highest.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a plot", "plot", error) from error
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (test, color) in enumerate(zip(table.experiment.tests, itertools.cycle(COLORS), strict=False), start=1):
        _draw_panel(figure.add_subplot(2, 2, number), table.lines, test, table.experiment.varies, color)
    scale = "the paper's scale" if table.scale == "paper" else "tiny scale: drawn scenes, small models"
    bars = f"lowest and highest of {table.num_seeds} seeds" if table.num_seeds > 1 else "95 % interval over the queries"
    figure.suptitle(f"{table.experiment.title} ({scale})\nbars: {bars}", fontsize=10)
    paths = [out_dir / f"{table.experiment.name}{suffix}" for suffix in (".png", ".svg")]
    for path in paths:
        save_picture(figure, path, dpi=150)
    return paths


def _draw_panel(axes: Axes, lines: Sequence[Line], test: str, varies: str, color: str) -> None:
    evaluation = find_evaluation(test)
    shown = [(place, line) for place, line in enumerate(lines) if line.ours.get(test)]
    places = [place for place, _ in shown]
    means = [sum(line.ours[test]) / len(line.ours[test]) for _, line in shown]
    spans = [_span(line, test) for _, line in shown]
    errors = [
        [max(0.0, mean - low) for mean, (low, _) in zip(means, spans, strict=True)],
        [max(0.0, high - mean) for mean, (_, high) in zip(means, spans, strict=True)],
    ]
    axes.errorbar(places, means, yerr=errors, color=color, marker="o", markersize=4, linewidth=1.2, capsize=2)
    axes.set_xticks(range(len(lines)), [line.label for line in lines])
    axes.set_xlim(-0.5, len(lines) - 0.5)
    axes.set_title(f"{evaluation.title} ({evaluation.abbreviation})", fontsize=10)
    axes.set_xlabel(varies, fontsize=8)
    axes.set_ylabel(evaluation.heading + (", %" if evaluation.is_percent else ""), fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _span(line: Line, test: str) -> tuple[float, float]:
    values = line.ours[test]
    if len(values) > 1:
        return min(values), max(values)
    return line.intervals.get(test, (values[0], values[0]))
