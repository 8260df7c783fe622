"""The results of an experiment beside the paper's: one table, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.evals.paper import Paper, load_paper, mean_accuracy
from lrs2m_builder.evals.record import Result
from lrs2m_builder.evals.registry import evaluations, find_evaluation
from lrs2m_builder.evals.results import read_results
from lrs2m_builder.experiments.full import SETS
from lrs2m_builder.experiments.registry import LRSCLIP, START, Experiment, Scale, Variant
from lrs2m_builder.files import finished_file, write_json

MISSING = "-"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: recalls and accuracies in percent, as the paper has them.

    Attributes:
        dataset: the set, if a variant has one line per set.
        ours: by column, one value per seed; empty if this scale has none.
        intervals: by column, the 95 % interval over the test's queries, of the first seed.
        paper: by column.
    """

    label: str
    dataset: str
    ours: Mapping[str, Sequence[float]]
    intervals: Mapping[str, tuple[float, float]]
    paper: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Table:
    """All lines of an experiment at a scale.

    Attributes:
        leaks: a sentence for each model and set whose evaluation images are also training images.
    """

    experiment: Experiment
    scale: Scale
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    leaks: tuple[str, ...] = ()

    @property
    def num_seeds(self) -> int:
        """Maximum number of trainings per line."""
        return max((len(values) for line in self.lines for values in line.ours.values()), default=0)


def make_table(
    experiment: Experiment, scale: Scale, runs: Mapping[str, Sequence[Path]], sets: Mapping[str, Sequence[str]]
) -> Table:
    """Collect the results of an experiment.

    Args:
        runs: by the label of each variant, the folder of results of each seed.
        sets: of each test, in the order of the paper's.
    """
    lines: list[Line] = []
    columns: dict[str, None] = {}
    leaks: dict[str, None] = {}
    for variant in experiment.variants:
        by_seed = [read_results(folder) if folder.is_dir() else [] for folder in runs.get(variant.label, ())]
        leaks |= dict.fromkeys(sentence for results in by_seed for sentence in _leaks(variant.label, results))
        for place, dataset in enumerate(_datasets(experiment, sets)):
            found = [_values(experiment, results, dataset, sets) for results in by_seed]
            stated = _paper_values(load_paper(), experiment, variant, place)
            names = dict.fromkeys(name for values in found for name in values)
            ours = {name: [values[name] for values in found if name in values] for name in names}
            intervals = _intervals(experiment, by_seed[0], dataset, sets) if by_seed else {}
            lines.append(Line(_label(variant, scale), dataset if _per_set(experiment) else "", ours, intervals, stated))
            columns |= dict.fromkeys(stated) | dict.fromkeys(ours)
    shown = columns if len(experiment.tests) == 1 else experiment.tests
    return Table(experiment, scale, tuple(shown), tuple(lines), tuple(leaks))


def write_table(table: Table, out_dir: Path) -> list[Path]:
    """Write NAME.md and NAME.json; returns their paths."""
    paths = [out_dir / f"{table.experiment.name}{suffix}" for suffix in (".md", ".json")]
    with finished_file(paths[0]) as part:
        part.write_text(markdown(table), encoding="utf-8")
    write_json(paths[1], as_json(table))
    return paths


def as_json(table: Table) -> dict[str, Any]:
    """The table as one JSON object."""
    return {
        "experiment": table.experiment.name,
        "title": table.experiment.title,
        "scale": table.scale,
        "seeds": table.num_seeds,
        "columns": list(table.columns),
        "lines": [asdict(line) for line in table.lines],
        "leaks": list(table.leaks),
        "paper_says": list(load_paper().claims.get(table.experiment.name, ())),
    }


def markdown(table: Table) -> str:
    """The table as Markdown, with two columns per number: ours and the paper's."""
    own = "ours" if table.scale == "paper" else "tiny"
    head = [table.experiment.varies, *(["set"] if _per_set(table.experiment) else [])]
    for column in table.columns:
        head += [f"{_heading(table.experiment, column)} {own}", "paper"]
    rows = [
        [line.label, *([line.dataset] if _per_set(table.experiment) else []), *_cells(line, table)]
        for line in table.lines
    ]
    text = [f"# {table.experiment.name}: {table.experiment.title}", "", _row(head)]
    text += [_row(["---"] * len(head)), *map(_row, rows)]
    if table.num_seeds > 1:
        text += ["", f"Means of {table.num_seeds} seeds, with the lowest and the highest."]
    if table.leaks:
        text += ["", "No zero-shot results, since evaluation images are also training images:", ""]
        text += [f"- {sentence}" for sentence in table.leaks]
    if claims := load_paper().claims.get(table.experiment.name):
        text += ["", "The paper says:", "", *(f"- {claim}" for claim in claims)]
    return "\n".join([*text, ""])


def _heading(experiment: Experiment, column: str) -> str:
    """The heading of a metric, a set, or of the summary of an evaluation."""
    if len(experiment.tests) == 1:
        return find_evaluation(experiment.tests[0]).metrics.get(column, column).rstrip(" ↑↓")
    evaluation = find_evaluation(column)
    return evaluation.abbreviation if evaluation.columns_are_sets else f"{evaluation.abbreviation} {evaluation.heading}"


def _leaks(label: str, results: Sequence[Result]) -> list[str]:
    """A sentence for each result whose evaluation images are also training images."""
    leaked = [(each, int((each.settings.get("leakage") or {}).get("leaked", 0))) for each in results]
    return [f"{label}, {each.dataset}: {count} of {each.num_images} images" for each, count in leaked if count]


def _label(variant: Variant, scale: Scale) -> str:
    return f"{variant.label} (here: the start)" if scale == "tiny" and variant.tiny == START else variant.label


def _cells(line: Line, table: Table) -> list[str]:
    cells = []
    for column in table.columns:
        digits = evaluations().get(column, find_evaluation(table.experiment.tests[0])).digits
        ours = line.ours.get(column)
        own = f"{sum(ours) / len(ours):.{digits}f}" if ours else MISSING
        if ours and len(ours) > 1:
            own += f" ({min(ours):.{digits}f} to {max(ours):.{digits}f})"
        cells += [own, f"{line.paper[column]:.{digits}f}" if column in line.paper else MISSING]
    return cells


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _per_set(experiment: Experiment) -> bool:
    """Whether the table has one line per set, as Tables II and III do."""
    evaluation = find_evaluation(experiment.tests[0])
    return len(experiment.tests) == 1 and len(evaluation.sets) > 1 and not evaluation.columns_are_sets


def _datasets(experiment: Experiment, sets: Mapping[str, Sequence[str]]) -> Sequence[str]:
    return sets[experiment.tests[0]] if _per_set(experiment) else ("",)


def _values(
    experiment: Experiment, results: Sequence[Result], dataset: str, sets: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """The numbers of one seed of a variant by column, without those that are not measured yet."""
    values: dict[str, float] = {}
    for test in experiment.tests:
        evaluation = find_evaluation(test)
        by_set = {each.dataset: each.metrics for each in results if each.evaluation == test}
        if evaluation.columns_are_sets:
            own = {name: evaluation.scaled(by_set[name][evaluation.head]) for name in sets[test] if name in by_set}
            own |= {"mean": mean_accuracy(own)} if len(own) == len(sets[test]) else {}
        else:
            metrics = by_set.get(dataset or sets[test][0], {})
            own = {name: evaluation.scaled(value) for name, value in metrics.items()}
        if len(experiment.tests) == 1:
            return own
        column = "mean" if evaluation.columns_are_sets else evaluation.head
        values |= {test: own[column]} if column in own else {}
    return values


def _intervals(
    experiment: Experiment, results: Sequence[Result], dataset: str, sets: Mapping[str, Sequence[str]]
) -> dict[str, tuple[float, float]]:
    """Intervals of single numbers, by column; means over several sets have none."""
    intervals: dict[str, tuple[float, float]] = {}
    for each in results:
        if each.evaluation not in experiment.tests:
            continue
        evaluation = find_evaluation(each.evaluation)
        first, *others = sets[each.evaluation]
        is_single = not others if evaluation.columns_are_sets else each.dataset == (dataset or first)
        if is_single and (interval := evaluation.interval(each)):
            intervals[evaluation.head if _per_set(experiment) else each.evaluation] = interval
    return intervals


def _paper_values(paper: Paper, experiment: Experiment, variant: Variant, place: int) -> dict[str, float]:
    """The paper's numbers for a variant; for a figure, those of its tables for the models of the main results."""
    if not variant.paper:
        return {}
    (name,) = variant.paper
    if not experiment.is_figure:
        row = f"{SETS[experiment.tests[0]][place]} {name}" if _per_set(experiment) else name
        return dict(paper.tables[experiment.name].row(row).values)
    values: dict[str, float] = {}
    for test in experiment.tests:
        if main := find_evaluation(test).main_row:
            same_row = main.row.replace(f"ViT-B/16 {LRSCLIP}", name)
            values[test] = paper.tables[main.table].row(same_row).values[main.column]
    return values
