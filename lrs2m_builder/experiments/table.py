"""What an experiment found, with what the paper states beside it: one table, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.evals.paper import MAIN_ROW, RECALLS, Paper, Test, load_paper, mean_accuracy
from lrs2m_builder.evals.results import Result, read_results
from lrs2m_builder.experiments.full import SETS
from lrs2m_builder.experiments.registry import LRSCLIP, START, Experiment, Scale, Variant
from lrs2m_builder.files import finished_file, write_json

TITLES = {
    **{"zcrl": "ZCRL mR", "zcrs": "ZCRS mR", "zic": "ZIC", "selo": "SeLo R_mi"},
    **{name: f"{name[:3].upper()} R@{name[5:]}" for name in RECALLS},
    **{"mr": "mR", "r_su": "R_su", "r_as": "R_as", "r_da": "R_da", "r_mi": "R_mi"},
}
MISSING = "-"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: recalls and accuracies in percent, as the paper has them.

    Attributes:
        dataset: the set, where a variant has a line for each.
        ours: by column, a value for each seed; empty where this scale has none.
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
        """Trainings of a line, at most."""
        return max((len(values) for line in self.lines for values in line.ours.values()), default=0)


def make_table(
    experiment: Experiment, scale: Scale, runs: Mapping[str, Sequence[Path]], sets: Mapping[Test, Sequence[str]]
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
    """The table for people: a column of ours and one of the paper's for each number."""
    own = "ours" if table.scale == "paper" else "tiny"
    head = [table.experiment.varies, *(["set"] if _per_set(table.experiment) else [])]
    for column in table.columns:
        head += [f"{TITLES.get(column, column)} {own}", "paper"]
    rows = [
        [line.label, *([line.dataset] if _per_set(table.experiment) else []), *_cells(line, table.columns)]
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


def _leaks(label: str, results: Sequence[Result]) -> list[str]:
    """A sentence for each result whose evaluation images are also training images."""
    leaked = [(each, int((each.settings.get("leakage") or {}).get("leaked", 0))) for each in results]
    return [f"{label}, {each.dataset}: {count} of {each.num_images} images" for each, count in leaked if count]


def _label(variant: Variant, scale: Scale) -> str:
    return f"{variant.label} (here: the start)" if scale == "tiny" and variant.tiny == START else variant.label


def _cells(line: Line, columns: Sequence[str]) -> list[str]:
    cells = []
    for column in columns:
        digits = 4 if column == "selo" or column.startswith("r_") else 2
        ours = line.ours.get(column)
        own = f"{sum(ours) / len(ours):.{digits}f}" if ours else MISSING
        if ours and len(ours) > 1:
            own += f" ({min(ours):.{digits}f} to {max(ours):.{digits}f})"
        cells += [own, f"{line.paper[column]:.{digits}f}" if column in line.paper else MISSING]
    return cells


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _per_set(experiment: Experiment) -> bool:
    """Tables II and III have a line for each set."""
    return experiment.tests in {("zcrl",), ("zcrs",)}


def _datasets(experiment: Experiment, sets: Mapping[Test, Sequence[str]]) -> Sequence[str]:
    return sets[experiment.tests[0]] if _per_set(experiment) else ("",)


def _values(
    experiment: Experiment, results: Sequence[Result], dataset: str, sets: Mapping[Test, Sequence[str]]
) -> dict[str, float]:
    """The numbers of one seed of a variant by column; those that are not measured yet are left out."""
    found = {(each.evaluation, each.dataset): each.metrics for each in results}
    if _per_set(experiment):
        metrics = found.get((experiment.tests[0], dataset), {})
        return {name: 100 * value for name, value in metrics.items()}
    if experiment.tests == ("selo",):
        return dict(found.get(("selo", sets["selo"][0]), {}))
    accuracies = {name: 100 * found["zic", name]["accuracy"] for name in sets["zic"] if ("zic", name) in found}
    mean = mean_accuracy(accuracies) if len(accuracies) == len(sets["zic"]) else None
    if experiment.tests == ("zic",):
        return accuracies | ({} if mean is None else {"mean": mean})
    values: dict[str, float] = {}
    for test, column, scale in (("zcrl", "mr", 100.0), ("zcrs", "mr", 100.0), ("selo", "r_mi", 1.0)):
        for (evaluation, name), metrics in found.items():
            if evaluation == test and name == sets[evaluation][0]:
                values[test] = scale * metrics[column]
    return values if mean is None else values | {"zic": mean}


def _intervals(
    experiment: Experiment, results: Sequence[Result], dataset: str, sets: Mapping[Test, Sequence[str]]
) -> dict[str, tuple[float, float]]:
    """Intervals of single numbers, in percent; means over several sets have none."""
    found: dict[str, tuple[float, float]] = {}
    for each in results:
        if each.evaluation in {"zcrl", "zcrs"} and each.dataset == (dataset or sets[each.evaluation][0]):
            low, high = each.details["intervals"]["mr"]
            found["mr" if _per_set(experiment) else each.evaluation] = 100 * low, 100 * high
        elif each.evaluation == "zic" and len(sets["zic"]) == 1:
            low, high = each.details["interval"]
            found["zic"] = 100 * low, 100 * high
    return {name: interval for name, interval in found.items() if name == "mr" or name in experiment.tests}


def _paper_values(paper: Paper, experiment: Experiment, variant: Variant, place: int) -> dict[str, float]:
    """What the paper states of a variant; of a figure, what its tables say of the models of the main results."""
    if not variant.paper:
        return {}
    (name,) = variant.paper
    if not experiment.is_figure:
        row = f"{SETS[experiment.tests[0]][place]} {name}" if _per_set(experiment) else name
        return dict(paper.tables[experiment.name].row(row).values)
    values: dict[str, float] = {}
    for test in experiment.tests:
        table, main, column = MAIN_ROW[test]
        row = main.replace(f"ViT-B/16 {LRSCLIP}", name)
        values[test] = paper.tables[table].row(row).values[column]
    return values
