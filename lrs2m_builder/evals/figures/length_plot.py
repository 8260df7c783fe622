"""Figure 3: R@1 against the length of the text, one line per model, from results that were made with `--by-length`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.figures.canvas import COLOURS, new_figure, save_figure
from lrs2m_builder.evals.record import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 20  # queries: fewer say little, and their points are hollow
PANELS = (("t2i_r1", "num_texts", "text to image"), ("i2t_r1", "num_images", "image to text"))


def draw_length_plot(results: Sequence[Result], path: Path) -> list[Path]:
    """Draw both directions side by side; returns the two files.

    Raises:
        UserError: no result has recalls by length.
    """
    with_lengths = [result for result in results if result.details.get("lengths")]
    if not with_lengths:
        raise UserError(
            f"none of the {len(results)} results has recalls by text length; run `lrs2m eval zcrl` with --by-length"
        )
    labels = line_labels(with_lengths)
    figure = new_figure(9, 3.9)
    for number, (metric, count, title) in enumerate(PANELS, start=1):
        axes = figure.add_subplot(1, 2, number)
        for place, (label, result) in enumerate(zip(labels, with_lengths, strict=True)):
            _draw_line(axes, result.details["lengths"], metric, count, label, COLOURS[place % len(COLOURS)])
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("length of the text in CLIP tokens", fontsize=9)
        axes.set_ylabel("R@1 in %", fontsize=9)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(4, len(names)), frameon=False, fontsize=8)
    figure.supxlabel(f"hollow points: fewer than {FEW} queries", x=0.99, ha="right", fontsize=7, color="0.45")
    return save_figure(figure, path)


def line_labels(results: Sequence[Result]) -> list[str]:
    """The names of the models, with the set if there are several; what all names share is left out."""
    several_sets = len({result.dataset for result in results}) > 1
    names = [short_name(result.model) for result in results]
    if len({result.model for result in results}) > len(set(names)):
        names = [result.model for result in results]  # two runs that end in the same folder name
    labels = [f"{name}, {r.dataset}" if several_sets else name for name, r in zip(names, results, strict=True)]
    return [label.replace("$", r"\$") for label in labels]


def short_name(model: str) -> str:
    """The last part of a model's path; the folder of the run if that is `model`."""
    parts = [part for part in model.rstrip("/").split("/") if part]
    return parts[-2] if len(parts) > 1 and parts[-1] == "model" else parts[-1] if parts else model


def _draw_line(axes: Axes, bins: Sequence[dict[str, Any]], metric: str, count: str, label: str, colour: str) -> None:
    points = [(each["low"], each["high"], 100 * each[metric], each[count]) for each in bins if each[metric] is not None]
    middles = [(low + high + 1) / 2 for low, high, _, _ in points]
    values = [value for _, _, value, _ in points]
    axes.plot(middles, values, color=colour, linewidth=1.6, label=label, marker="o", markersize=0)
    for middle, value, (_, _, _, number) in zip(middles, values, points, strict=True):
        face = colour if number >= FEW else "white"
        axes.plot(
            middle, value, marker="o", markersize=5, color=colour, markerfacecolor=face, linestyle="none", clip_on=False
        )
