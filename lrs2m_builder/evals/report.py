"""The report of one model: its results with the paper's rows beside, and pictures; HTML and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lrs2m_builder import __version__
from lrs2m_builder.dataset.pages import data_uri, write_page
from lrs2m_builder.evals.paper import Paper, Row, Table, load_paper
from lrs2m_builder.evals.record import Evaluation, Result
from lrs2m_builder.evals.registry import evaluations, find_evaluation
from lrs2m_builder.files import write_json

WIDEST = 1200  # pixels of a picture in the page
PLOT_COLOURS = 300  # at most, of 32,768, in a picture without photographs


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: the model, its cells as printed, whether it is ours, and a remark."""

    name: str
    cells: Sequence[str]
    ours: bool = False
    remark: str = ""


@dataclass(slots=True)
class Section:
    """The section of a set: a table and pictures (title and file)."""

    title: str
    columns: Sequence[str]
    lines: list[Line]
    notes: list[str] = field(default_factory=list)
    pictures: list[tuple[str, Path]] = field(default_factory=list)


def write_report(
    results: Sequence[Result], out_dir: Path, *, pictures: Mapping[tuple[str, str], Sequence[tuple[str, Path]]]
) -> tuple[Path, Path]:
    """Write `report.html` and `report.json`; returns both paths.

    Args:
        results: of one model.
        pictures: title and file of each, by test and set.
    """
    paper = load_paper()
    by_test = {name: [result for result in results if result.evaluation == name] for name in evaluations()}
    titles = {name: f"{each.title} ({each.abbreviation})" for name, each in evaluations().items()}
    sections = {
        titles[name]: _sections(find_evaluation(name), of_test, paper, pictures)
        for name, of_test in by_test.items()
        if of_test
    }
    html, as_json = out_dir / "report.html", out_dir / "report.json"
    write_page(
        html,
        Path(__file__).with_name("report.html.jinja"),
        model=results[0].model,
        revision=results[0].revision,
        version=__version__,
        cards=[_card(result) for of_test in by_test.values() for result in of_test],
        sections=sections,
        missing=[title for name, title in titles.items() if not by_test[name]],
        data_uri=_shown,
        is_plot=_is_plot,
    )
    tests = [{"test": each.evaluation, **_facts(each), "paper": _paper_facts(each, paper)} for each in results]
    versions = dict(results[0].versions)
    head = {"model": results[0].model, "revision": results[0].revision, "versions": versions}
    write_json(as_json, head | {"tests": tests})
    return html, as_json


def paper_rows(result: Result, paper: Paper) -> list[tuple[Table, Row]]:
    """The paper's rows of the same test and set."""
    is_papers = find_evaluation(result.evaluation).is_papers
    tables = [table for table in paper.tables.values() if table.test == result.evaluation]
    return [(table, row) for table in tables for row in table.rows if is_papers(result.dataset, row.labels)]


def _facts(result: Result) -> dict[str, Any]:
    names = ("dataset", "metrics", "num_images", "num_texts")
    chance = find_evaluation(result.evaluation).by_chance(result.num_images, result.num_texts)
    return {**{name: getattr(result, name) for name in names}, "by_chance": chance}


def _paper_facts(result: Result, paper: Paper) -> list[dict[str, Any]]:
    keep = find_evaluation(result.evaluation).paper_columns(result.dataset)
    return [
        {**row.labels, **{name: value for name, value in row.values.items() if name in keep}}
        for _, row in paper_rows(result, paper)
    ]


def _card(result: Result) -> tuple[str, str]:
    evaluation = find_evaluation(result.evaluation)
    title = f"{evaluation.abbreviation} {evaluation.heading}, {result.dataset}"
    return evaluation.shown(result.metrics[evaluation.head]), title


def _sections(
    evaluation: Evaluation,
    results: Sequence[Result],
    paper: Paper,
    pictures: Mapping[tuple[str, str], Sequence[tuple[str, Path]]],
) -> list[Section]:
    sections = []
    for result in results:
        ours = [evaluation.shown(result.metrics[name]) for name in evaluation.metrics]
        lines = [Line("this model", ours, ours=True, remark=_interval(evaluation, result))]
        if guessed := evaluation.by_chance(result.num_images, result.num_texts):
            lines.append(Line("by chance", [evaluation.shown(guessed[name]) for name in evaluation.metrics]))
        rows = paper_rows(result, paper)
        for _, row in rows:
            title = " ".join(label for key, label in row.labels.items() if key != "set" and label)
            values = [row.values[name] for name in evaluation.paper_columns(result.dataset)]
            lines.append(Line(title, [f"{value:.{evaluation.digits}f}" for value in values]))
        section = Section(result.dataset, tuple(evaluation.metrics.values()), lines, _notes(result, rows, paper))
        section.pictures += pictures.get((evaluation.name, result.dataset), ())
        sections.append(section)
    return sections


def _interval(evaluation: Evaluation, result: Result) -> str:
    interval = evaluation.interval(result)
    return f"95 % of resamples: {interval[0]:.2f} to {interval[1]:.2f}" if interval else ""


def _notes(result: Result, rows: Sequence[tuple[Table, Row]], paper: Paper) -> list[str]:
    """What to know before the numbers are compared."""
    evaluation = find_evaluation(result.evaluation)
    notes = [f"{result.num_images:,} images, {result.num_texts:,} {evaluation.texts}"]
    if not rows:
        notes.append("not a set of the paper: there is nothing to compare with")
    wanted = paper.sets.get(result.dataset, {}).get("images")
    if rows and wanted and wanted != result.num_images:
        notes.append(f"the paper's {result.dataset} has {wanted:,} images: its rows are of other data")
    notes += evaluation.notes(result, bool(rows))
    if leaked := result.settings.get("leakage", {}).get("leaked"):
        notes.append(f"not zero-shot: {leaked:,} of the images were trained on")
    if cut := result.details.get("num_cut"):
        notes.append(f"{cut:,} texts are longer than the {result.settings.get('context_length')} tokens that are read")
    columns = evaluation.paper_columns(result.dataset)
    for one in paper.disagreements:
        if one.column in columns and any((one.table, one.row) == (table.name, row.name) for table, row in rows):
            column = evaluation.metrics.get(one.column, one.column)
            notes.append(f"the paper, {one.row}: {column} is stated as {one.stated}, its cells give {one.computed}")
    return notes


def _shown(path: Path) -> str:
    """A picture inside the page, no wider than the page shows it."""
    with Image.open(path) as file:
        return data_uri(file.convert("RGB"), WIDEST, 4 * WIDEST, "webp", 88)


def _is_plot(path: Path) -> bool:
    """Whether a picture is drawn, as a plot is; one with photographs has thousands of colours."""
    with Image.open(path) as file:
        small = file.convert("RGB").resize((256, 256), Image.Resampling.NEAREST)
    coarse = small.point(lambda level: level & 0xF8)
    return len(coarse.getcolors(256 * 256) or ()) <= PLOT_COLOURS
