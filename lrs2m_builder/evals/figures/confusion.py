"""The confusion matrix of a classification: for each true class, the shares of the predicted classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lrs2m_builder.evals.figures.canvas import new_figure, save_figure
from lrs2m_builder.evals.record import Result

MIN_SHOWN = 0.005  # a smaller share has no number in its cell
MAX_NUMBERED = 50  # classes; beyond that numbers cannot be read


def draw_confusion(result: Result, path: Path) -> list[Path]:
    """Draw a result of zic; classes without images have no row; returns the two files."""
    confusion, classes = np.array(result.details["confusion"]), result.settings["classes"]
    have = np.flatnonzero(confusion.sum(axis=1))
    shares = confusion[have] / confusion[have].sum(axis=1, keepdims=True)
    num_rows, num_columns = shares.shape
    figure = new_figure(0.3 * num_columns + 2.6, 0.3 * num_rows + 2.6)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_xticks(range(num_columns), classes, rotation=90, fontsize=8)
    axes.set_yticks(range(num_rows), [classes[number] for number in have], fontsize=8)
    axes.set_xticks(np.arange(num_columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(num_rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e6e6e6", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    accuracy = f"{result.metrics['accuracy']:.1%} of {confusion.sum()} images"
    title = f"{result.dataset}, {Path(result.model).name}: {accuracy}; shares of a row in percent"
    axes.set_title(title, fontsize=9)
    if num_columns <= MAX_NUMBERED:
        for row, column in zip(*np.nonzero(shares >= MIN_SHOWN), strict=True):
            share = shares[row, column]
            color = "white" if share > 0.55 else "#222222"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6, color=color)
    return save_figure(figure, path)
