"""What an evaluation is, and what it measured; reports, tables, figures and model cards are made from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lrs2m_builder.build.settings import versions

_PACKAGES = ("torch", "torchvision", "transformers", "numpy", "pillow", "pyarrow", "datasets", "scipy")


@dataclass(frozen=True, slots=True)
class Result:
    """One evaluation of one model on one set.

    Attributes:
        evaluation: the name of the `Evaluation`.
        dataset: the set's name, as the paper writes it if it is one of the paper's.
        model, revision: what the model was loaded by, and the Hub's commit or "sha256:..." of the local files.
        metrics: fractions from 0 to 1, by the names of `Evaluation.metrics`; a metric that makes no sense for the data
            is left out.
        num_images, num_texts: what was evaluated; for zic the texts are the classes.
        settings: all that was asked for: "command" (the words of the command line), "data" (its path and
            fingerprint), and each option by its name.
        details: what is no metric: intervals, tables, problems; each evaluation says its keys.
    """

    evaluation: str
    dataset: str
    model: str
    revision: str
    metrics: Mapping[str, float]
    num_images: int
    num_texts: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=partial(versions, _PACKAGES))


@dataclass(frozen=True, slots=True)
class MainRow:
    """Where the paper states the result of its main model, which every ablation repeats: a table, a row, a column."""

    table: str
    row: str
    column: str


def _one_folder(dataset: str, benchmarks: Path) -> tuple[str, ...]:
    return (str(benchmarks / dataset.lower().replace("-", "_")),)


def _no_chance(num_images: int, num_texts: int) -> dict[str, float]:
    return {}


def _no_notes(result: Result, is_papers: bool) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation.

    Attributes:
        name: as on the command line, and of its file.
        title: for people, such as "Retrieval with long texts".
        metrics: by the name in results, the heading of its column.
        head: the metric that stands for the evaluation in summaries.
        is_percent: people see percent with two digits; else fractions with four.
        texts: what its texts are called.
        main_row: None if the paper does not have this evaluation.
        sets: the sets of the paper, as it names them.
        columns_are_sets: the paper's table has one column per set, else one per metric.
        ablation_sets: how many of the sets the ablations and figures use.
        searches_leaks: whether evaluation images are searched for in the training data.
        paper_data: a set of the paper and a folder of benchmarks -> the words that name its data on the command line.
        by_chance: numbers of images and texts -> what guessing reaches on average, by metric; empty if not known.
        notes: a result, and whether it is on a set of the paper -> what to know before it is compared.
    """

    name: str
    title: str
    abbreviation: str
    metrics: Mapping[str, str]
    head: str
    is_percent: bool = True
    texts: str = "texts"
    main_row: MainRow | None = None
    sets: tuple[str, ...] = ()
    columns_are_sets: bool = False
    ablation_sets: int | None = None
    searches_leaks: bool = True
    paper_data: Callable[[str, Path], tuple[str, ...]] = _one_folder
    by_chance: Callable[[int, int], dict[str, float]] = _no_chance
    notes: Callable[[Result, bool], Sequence[str]] = _no_notes

    @property
    def heading(self) -> str:
        """The heading of the summary's column, such as "mR"."""
        return self.metrics[self.head].rstrip(" ↑↓")

    @property
    def digits(self) -> int:
        """Digits after the point, as the paper has them."""
        return 2 if self.is_percent else 4

    def scaled(self, value: float) -> float:
        """A fraction as people see it."""
        return 100 * value if self.is_percent else value

    def shown(self, value: float) -> str:
        """A fraction as text."""
        return f"{self.scaled(value):.{self.digits}f}"

    def interval(self, result: Result) -> tuple[float, float] | None:
        """The 95 % interval of the head metric as people see it, if the result has one."""
        details = result.details
        interval = details.get("interval") or details.get("intervals", {}).get(self.head)
        return (self.scaled(interval[0]), self.scaled(interval[1])) if interval else None

    def is_papers(self, dataset: str, labels: Mapping[str, str]) -> bool:
        """Whether a row of the paper's tables of this evaluation, with these labels, is of a set."""
        return dataset in self.sets and labels.get("set", dataset) == dataset

    def paper_columns(self, dataset: str) -> tuple[str, ...]:
        """The columns of the paper's table that are compared with `metrics`, in the same order."""
        return (dataset,) if self.columns_are_sets else tuple(self.metrics)
