"""The course of a training as pictures: its losses, and what was measured on held-out data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrs2m_builder.evals.figures.canvas import COLOURS, DPI, new_figure
from lrs2m_builder.stores.outputs import save_picture

SMOOTH = 0.95  # of the line through the losses of single steps: an exponential mean
Lines = Sequence[Mapping[str, Any]]


def draw_training(run_dir: Path) -> list[Path]:
    """Draw RUN/loss.png, and RUN/recall.png if anything was measured; returns their paths."""
    path = run_dir / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    if not lines:
        return []
    drawn = [_draw_losses(lines, run_dir / "loss.png")]
    measured = [line for line in lines if any(name.startswith("eval_") for name in line)]
    return [*drawn, _draw_measured(measured, run_dir / "recall.png")] if measured else drawn


def _draw_losses(lines: Lines, path: Path) -> Path:
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    for number, (name, label) in enumerate(
        (("loss", "loss"), ("loss_long", "long texts"), ("loss_short", "short texts"))
    ):
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            steps, values = zip(*points, strict=True)
            axes.plot(steps, values, color=COLOURS[number], linewidth=0.6, alpha=0.3)
            axes.plot(steps, _smoothed(values), color=COLOURS[number], linewidth=1.4, label=label)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend(frameon=False)
    return _saved(figure, axes, path)


def _draw_measured(lines: Lines, path: Path) -> Path:
    """Mean recalls and accuracies over the steps."""
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    names = dict.fromkeys(name for line in lines for name in line if name.endswith(("_mr", "_accuracy")))
    for number, name in enumerate(names):
        points = [(line["step"], 100 * line[name]) for line in lines if name in line]
        label = name.removeprefix("eval_").replace("_mr", " texts, mR").replace("_accuracy", ", accuracy")
        axes.plot(
            *zip(*points, strict=True), color=COLOURS[number % len(COLOURS)], marker="o", markersize=3, label=label
        )
    axes.set(xlabel="step", ylabel="held out, %")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return _saved(figure, axes, path)


def _saved(figure: Any, axes: Any, path: Path) -> Path:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    save_picture(figure, path, dpi=DPI)
    return path


def _smoothed(values: Sequence[float]) -> list[float]:
    """An exponential mean without the pull of its beginning."""
    total = weight = 0.0
    means = []
    for value in values:
        total, weight = SMOOTH * total + value, SMOOTH * weight + 1
        means.append(total / weight)
    return means
