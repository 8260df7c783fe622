"""The table and the plot of the experiment on filtering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.evals.figures.canvas import COLOURS, new_figure, save_figure
from lrs2m_builder.experiments.filtering_measure import TESTS, Hits
from lrs2m_builder.files import finished_file, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "filtering"
NUM_RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Line:
    """A filter and its trainings.

    Attributes:
        rows: number of rows that it leaves; `false_rows` of them false, by the kind of error.
        hits: of each seed.
    """

    name: str
    label: str
    rows: int
    false_rows: Mapping[str, int]
    hits: tuple[Hits, ...]

    def values(self, test: str) -> NDArray[np.float64]:
        """Percent, [seeds, images]."""
        return 100 * np.stack([hits[test] for hits in self.hits])


@dataclass(frozen=True, slots=True)
class Filtered:
    """All lines; the first one leaves nothing out.

    Attributes:
        judge: what decided the judge's scores.
    """

    lines: tuple[Line, ...]
    settings: Mapping[str, Any]
    judge: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better than without a filter, in points, with a 95 % interval."""

    mean: float
    low: float
    high: float


def gain(line: Line, base: Line, test: str) -> Gain:
    """The difference to a line, in pairs of the same seed and image; seeds and images are both resampled."""
    difference_SN = line.values(test) - base.values(test)
    random = np.random.default_rng(0)
    num_seeds, num_images = difference_SN.shape
    means = [
        difference_SN[random.integers(num_seeds, size=num_seeds)][
            :, random.integers(num_images, size=num_images)
        ].mean()
        for _ in range(NUM_RESAMPLES)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return Gain(float(difference_SN.mean()), float(low), float(high))


def write_report(report: Filtered, out_dir: Path) -> None:
    """Write filtering.md, filtering.json, filtering.png and filtering.svg."""
    with finished_file(out_dir / f"{NAME}.md") as part:
        part.write_text(markdown(report), encoding="utf-8")
    write_json(out_dir / f"{NAME}.json", as_json(report))
    draw(report, out_dir)


def as_json(report: Filtered) -> dict[str, Any]:
    """The table as one JSON object."""
    base = report.lines[0]
    lines = []
    for line in report.lines:
        tests = {}
        for test in TESTS:
            found = gain(line, base, test)
            values = line.values(test).mean(1).tolist()
            tests[test] = {"seeds": values, "gain": found.mean, "low": found.low, "high": found.high}
        rows = {"rows": line.rows, "false_rows": dict(line.false_rows)}
        lines.append({"name": line.name, "label": line.label, **rows, "tests": tests})
    return {"settings": dict(report.settings), "judge": dict(report.judge), "lines": lines}


def markdown(report: Filtered) -> str:
    """The table as Markdown."""
    head = ["trained on", "pairs", "false (object, count, place)"]
    for title in TESTS.values():
        head += [title, "gain over all pairs"]
    rows = [_cells(line, report.lines[0]) for line in report.lines]
    table = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    num_seeds = len(report.lines[0].hits)
    seeds = f"means of {num_seeds} seeds, with the lowest and the highest" if num_seeds > 1 else "one seed"
    notes = f"Percent, {seeds}. Gains in points, with 95 % intervals over seeds and images."
    return "\n".join([f"# {NAME}: Training on filtered texts", "", *table, "", notes, ""])


def _cells(line: Line, base: Line) -> list[str]:
    num_false = sum(line.false_rows.values())
    kinds = ", ".join(map(str, line.false_rows.values()))
    cells = [line.label, str(line.rows), f"{num_false / max(1, line.rows):.1%} ({kinds})"]
    for test in TESTS:
        seeds = line.values(test).mean(1)
        found = gain(line, base, test)
        cells.append(f"{seeds.mean():.2f} ({seeds.min():.2f} to {seeds.max():.2f})")
        cells.append("" if line is base else f"{found.mean:+.2f} ({found.low:+.2f} to {found.high:+.2f})")
    return cells


def draw(report: Filtered, out_dir: Path) -> list[Path]:
    """Draw the gains, a panel per test."""
    figure = new_figure(12, 3.4)
    for number, (test, title) in enumerate(TESTS.items()):
        _panel(figure.add_subplot(1, len(TESTS), number + 1), report, test, title, labelled=number == 0)
    figure.suptitle("Gain over training on all pairs, in points (95 % interval over seeds and images)", fontsize=10)
    return save_figure(figure, out_dir / f"{NAME}.png")


def _panel(axes: Axes, report: Filtered, test: str, title: str, *, labelled: bool) -> None:
    base, *others = report.lines
    for place, line in enumerate(others):
        found = gain(line, base, test)
        span = [[found.mean - found.low], [found.high - found.mean]]
        axes.errorbar([found.mean], [place], xerr=span, color=COLOURS[place], marker="o", markersize=4, capsize=2)
        seeds = (line.values(test) - base.values(test)).mean(1)
        axes.plot(seeds, [place + 0.22] * len(seeds), ".", color="0.5", markersize=4)
    axes.axvline(0, color="0.7", linewidth=0.8)
    axes.set_yticks(range(len(others)), [line.label for line in others] if labelled else [""] * len(others))
    axes.invert_yaxis()
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
