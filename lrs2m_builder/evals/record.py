"""What an evaluation is, how it is run, and what it measured; commands, reports and tables are made from these."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrs2m_builder.build.settings import versions
from lrs2m_builder.schema import ImageRef

if TYPE_CHECKING:
    from lrs2m_builder.clip.model import Loaded

Picture = tuple[str, Path]  # its title and its file
_PACKAGES = ("torch", "torchvision", "transformers", "numpy", "pillow", "pyarrow", "datasets", "scipy")


@dataclass(frozen=True, slots=True)
class Result:
    """One evaluation of one model on one set.

    Attributes:
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
class Test:
    """An evaluation and the data for it.

    Attributes:
        data, options: what `Evaluation.prepare` takes.
        name: of the set; empty for the name that `Evaluation.prepare` gives it.
        is_guess: whether it counts only if nothing else is found in the same place.
    """

    evaluation: str
    data: str
    name: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    is_guess: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """How an evaluation is run, whichever it is.

    Attributes:
        model: what the result calls the model; the training data of a training run are known by it.
        open_model: loads the model, once the data are read.
        settings: what the result keeps of the command, besides data and options.
        out_dir: folder for the result and its pictures; None writes neither.
        for_report: whether the pictures that only a report shows are drawn too.
        trained_on: training data besides the known ones; None leaves out the search for evaluation images in them.
        allow_leak: whether to continue if evaluation images are found there.
        leak_cache: folder that keeps the hashes of training images.
        workers: threads that read images; None is one per core.
    """

    model: str
    open_model: Callable[[], Loaded]
    settings: Mapping[str, Any] = field(default_factory=dict)
    out_dir: Path | None = None
    for_report: bool = False
    trained_on: Sequence[Path] | None = None
    allow_leak: bool = False
    leak_cache: Path | None = None
    workers: int | None = None
    show_progress: bool = False

    def file(self, name: str) -> Path:
        """A file in the folder of results, for pictures: they are drawn only if there is that folder."""
        assert self.out_dir is not None
        return self.out_dir / name


@dataclass(frozen=True, slots=True)
class Prepared:
    """An evaluation whose options are checked and whose data are read.

    Attributes:
        settings: data and options, as the result keeps them.
        measure: runs it: a result's metrics and details.
        images: those that are searched for in the training data.
        draw: the pictures of every run.
        draw_for_report: those that only a report shows.
    """

    dataset: str
    num_images: int
    num_texts: int
    settings: Mapping[str, Any]
    measure: Callable[[Loaded, Run], tuple[Mapping[str, float], Mapping[str, Any]]]
    images: Sequence[ImageRef] = ()
    draw: Callable[[Loaded, Result, Run], Sequence[Picture]] = lambda loaded, result, run: ()
    draw_for_report: Callable[[Loaded, Result, Run], Sequence[Picture]] = lambda loaded, result, run: ()


@dataclass(frozen=True, slots=True)
class MainRow:
    """Where the paper states the result of its main model, which every ablation repeats: a table, a row, a column."""

    table: str
    row: str
    column: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation.

    Attributes:
        name: as on the command line, and of its file.
        title: for people, such as "Retrieval with long texts".
        help: of its command `lrs2m eval NAME`, written as the docstring of a command is (`commands/help.py`).
        prepare: reads the data. Its first parameter is the argument of the command and the others are options, each
            `Annotated` with what typer shows of it. The options that all evaluations share are no part of it.
        metrics: by the name in results, the heading of its column.
        head: the metric that summaries show.
        find: a path or name -> the data for this evaluation that it is; `lrs2m eval all` asks it of every folder.
        data: what `find` looks for, in words.
        lines: what the command prints of a result; None prints its metrics.
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
    help: str
    prepare: Callable[..., Prepared]
    metrics: Mapping[str, str]
    head: str
    find: Callable[[str], Sequence[Test]] = lambda data: ()
    data: str = ""
    lines: Callable[[Result], Sequence[str]] | None = None
    is_percent: bool = True
    texts: str = "texts"
    main_row: MainRow | None = None
    sets: tuple[str, ...] = ()
    columns_are_sets: bool = False
    ablation_sets: int | None = None
    searches_leaks: bool = True
    paper_data: Callable[[str, Path], tuple[str, ...]] = lambda dataset, benchmarks: (
        str(benchmarks / dataset.lower().replace("-", "_")),
    )
    by_chance: Callable[[int, int], dict[str, float]] = lambda num_images, num_texts: {}
    notes: Callable[[Result, bool], Sequence[str]] = lambda result, is_papers: ()

    @property
    def options(self) -> list[inspect.Parameter]:
        """The argument and the options of its command that are its own, with their annotations."""
        return list(inspect.signature(self.prepare, eval_str=True).parameters.values())

    def text(self, result: Result) -> list[str]:
        """A result in lines, for people."""
        lines = list(self.lines(result)) if self.lines else self._metric_lines(result)
        if leaked := result.settings.get("leakage", {}).get("leaked"):
            lines.append(f"not zero-shot: {leaked} evaluation images are in the training data")
        return lines

    def _metric_lines(self, result: Result) -> list[str]:
        values = [f"{heading} {self.shown(result.metrics[name])}" for name, heading in self.metrics.items()]
        return [f"{result.num_images} images, {result.num_texts} {self.texts}", "  ".join(values)]

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
        """Whether a row of the paper's tables of this evaluation, with these labels, belongs to a test set."""
        return dataset in self.sets and labels.get("set", dataset) == dataset

    def paper_columns(self, dataset: str) -> tuple[str, ...]:
        """The columns of the paper's table that are compared with `metrics`, in the same order."""
        return (dataset,) if self.columns_are_sets else tuple(self.metrics)
