"""Figure 6 of the paper: the lengths of long and short texts in CLIP tokens, per subset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrs2m_builder.checks import CLIP_LONG, CLIP_SHORT
from lrs2m_builder.dataset.scores.summary import ScoreStats
from lrs2m_builder.dataset.stats import Stats, SubsetStats, TextStats
from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.stores.outputs import check_own_picture, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BIN = 4  # tokens
COLUMNS = 3
LONG_COLOR, SHORT_COLOR = "#1f5a8a", "#d98324"


def check_histograms(path: Path) -> None:
    """Refuse a bad path before the data are read.

    Raises:
        UserError: `path` is not a file name, or another program's file has its name.
    """
    if not path.name:
        raise UserError(f"--plot {path}: give a file name, such as lengths.png")
    for suffix in (".png", ".svg"):
        check_own_picture(path.with_suffix(suffix))


def draw_histograms(stats: Stats, path: Path) -> list[Path]:
    """Draw one panel per subset and one for all, as PNG and SVG.

    Args:
        path: its suffix is replaced.

    Raises:
        UserError: another program's file has the name, or the disk fails.
        MissingExtraError: matplotlib is not installed.
    """
    panels = [*stats.subsets, *([stats.total] if len(stats.subsets) > 1 else [])]
    figure, all_axes = _panels(len(panels), path, height=2.6, head=0.5)
    last = max(max(panel.long.max_tokens, panel.short.max_tokens) for panel in panels)
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw_panel(axes, panel, min(last, 2 * CLIP_LONG))
    handles, labels = all_axes[0].get_legend_handles_labels()
    num_columns = 4 if len(panels) > 1 else 2
    figure.legend(handles, labels, loc="outside upper center", ncols=num_columns, frameon=False, fontsize=8)
    return _save(figure, path)


def draw_scores(scores: Sequence[ScoreStats], path: Path) -> list[Path]:
    """Draw a panel for each column of scores, of all rows together; as `draw_histograms`."""
    panels = [score for score in scores if score.subset == "total"]
    figure, all_axes = _panels(len(panels), path, height=2.2, head=0.3)
    for axes, score in zip(all_axes, panels, strict=True):
        width = (score.high - score.low) / len(score.histogram) or 1.0
        edges = [score.low + width * part for part in range(len(score.histogram))]
        axes.bar(edges, score.histogram, width=width, align="edge", color=LONG_COLOR)
        axes.set_title(f"{score.name} ({score.rows:,} rows)", fontsize=10)
        axes.set_ylabel("rows", fontsize=8)
    return _save(figure, path)


def _panels(number: int, path: Path, *, height: float, head: float) -> tuple[Figure, list[Axes]]:
    """An empty figure of so many panels, in rows of `height` inches below `head` inches for a legend."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a plot", "plot", error) from error
    check_histograms(path)
    columns = min(COLUMNS, number)
    rows = -(-number // columns)
    figure = Figure(figsize=(4.2 * columns, height * rows + head), layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = [figure.add_subplot(rows, columns, place) for place in range(1, number + 1)]
    for axes in all_axes:
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, all_axes


def _save(figure: Figure, path: Path) -> list[Path]:
    paths = [path.with_suffix(suffix) for suffix in (".png", ".svg")]
    for file in paths:
        save_picture(figure, file, dpi=150)
    return paths


def _draw_panel(axes: Axes, stats: SubsetStats, last: int) -> None:
    for text, color, label in ((stats.short, SHORT_COLOR, "short text"), (stats.long, LONG_COLOR, "long text")):
        edges = range(0, last + 2 * BIN, BIN)
        shares = _shares(text, last)
        axes.hist(list(edges)[:-1], bins=list(edges), weights=shares, color=color, alpha=0.75, label=label)
        axes.axvline(
            text.mean_tokens, color=color, linewidth=1, linestyle="--", label="mean" if text is stats.long else None
        )
    contexts = axes.vlines((CLIP_SHORT, CLIP_LONG), 0, 1, transform=axes.get_xaxis_transform(), color="0.55")
    contexts.set(linewidth=0.8, linestyle=":", label="77 and 248 tokens")
    axes.set_title(f"{stats.name} ({stats.pairs:,} pairs)", fontsize=10)
    axes.set_xlim(0, max(last, CLIP_LONG) + BIN)
    axes.set_xlabel("CLIP tokens", fontsize=8)
    axes.set_ylabel("% of texts", fontsize=8)


def _shares(text: TextStats, last: int) -> list[float]:
    """Percentage of the texts in each bin; longer texts count in the last bin."""
    total = sum(text.histogram.values())
    shares = [0.0] * len(range(0, last + BIN, BIN))
    for tokens, times in text.histogram.items():
        shares[min(tokens, last) // BIN] += 100 * times / total
    return shares
