"""Figures 7 to 10 of the paper from the results of an experiment: one panel per test, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrs2m_builder.evals.figures.canvas import COLOURS, new_figure, save_figure
from lrs2m_builder.evals.registry import find_evaluation
from lrs2m_builder.experiments.table import Line, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_figure(table: Table, out_dir: Path) -> list[Path]:
    """Draw NAME.png and NAME.svg; returns their paths.

    A bar is the 95 % interval over the queries of the test, or of several seeds the lowest and the highest.
    """
    figure = new_figure(8.4, 5.6)
    for number, test in enumerate(table.experiment.tests):
        color = COLOURS[number % len(COLOURS)]
        _draw_panel(figure.add_subplot(2, 2, number + 1), table.lines, test, table.experiment.varies, color)
    scale = "the paper's scale" if table.scale == "paper" else "tiny scale: drawn scenes, small models"
    bars = f"lowest and highest of {table.num_seeds} seeds" if table.num_seeds > 1 else "95 % interval over the queries"
    figure.suptitle(f"{table.experiment.title} ({scale})\nbars: {bars}", fontsize=10)
    return save_figure(figure, out_dir / f"{table.experiment.name}.png")


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
