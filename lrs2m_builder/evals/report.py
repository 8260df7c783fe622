"""The report of one model: what it reached in each test, the paper's rows beside it, and pictures; HTML and JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from lrs2m_builder import __version__
from lrs2m_builder.evals.paper import TESTS, Paper, Row, Table, Test, load_paper
from lrs2m_builder.evals.results import METRICS, Result, by_chance
from lrs2m_builder.files import finished_file, write_json

TITLES: dict[Test, str] = {
    "zcrl": "Retrieval with long texts (ZCRL)",
    "zcrs": "Retrieval with short texts (ZCRS)",
    "zic": "Classification (ZIC)",
    "selo": "Semantic localization (SeLo)",
}
ABBREVIATIONS = {"zcrl": "ZCRL", "zcrs": "ZCRS", "zic": "ZIC", "selo": "SeLo"}
HEADS = {"zcrl": "mr", "zcrs": "mr", "zic": "accuracy", "selo": "r_mi"}
NAMES = {"mr": "mR", "accuracy": "accuracy", "r_su": "R_su ↑", "r_as": "R_as ↓", "r_da": "R_da ↑", "r_mi": "R_mi ↑"}
WIDEST = 1200  # pixels of a picture in the page


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: who, its cells as printed, whether it is ours, and a remark."""

    name: str
    cells: Sequence[str]
    ours: bool = False
    remark: str = ""


@dataclass(slots=True)
class Section:
    """A set in a test: a table and pictures (a title and a file each)."""

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
    by_test = {test: [result for result in results if result.evaluation == test] for test in TESTS}
    sections = {TITLES[test]: _sections(test, of_test, paper, pictures) for test, of_test in by_test.items() if of_test}
    environment = Environment(
        loader=PackageLoader("lrs2m_builder", "evals"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.jinja").render(
        model=results[0].model,
        revision=results[0].revision,
        version=__version__,
        cards=[_card(result) for of_test in by_test.values() for result in of_test],
        sections=sections,
        missing=[title for test, title in TITLES.items() if not by_test[test]],
        data_uri=_data_uri,
    )
    html, as_json = out_dir / "report.html", out_dir / "report.json"
    with finished_file(html) as part:
        part.write_text(page, encoding="utf-8")
    tests = [
        {"test": each.evaluation, **_facts(each), "by_chance": by_chance(each), "paper": _paper_facts(each, paper)}
        for each in results
    ]
    versions = dict(results[0].versions)
    head = {"model": results[0].model, "revision": results[0].revision, "versions": versions}
    write_json(as_json, head | {"tests": tests})
    return html, as_json


def paper_rows(result: Result, paper: Paper) -> list[tuple[Table, Row]]:
    """The rows of the paper that are of the same test and set."""
    tables = [table for table in paper.tables.values() if table.test == result.evaluation]
    return [(table, row) for table in tables for row in table.rows if _is_same(result, row)]


def _is_same(result: Result, row: Row) -> bool:
    if result.evaluation == "selo":
        return result.dataset == "AIR-SLT"
    return result.dataset in row.values if result.evaluation == "zic" else row.labels["set"] == result.dataset


def _facts(result: Result) -> dict[str, Any]:
    names = ("dataset", "metrics", "num_images", "num_texts")
    return {name: getattr(result, name) for name in names}


def _paper_facts(result: Result, paper: Paper) -> list[dict[str, Any]]:
    keep = {result.dataset} if result.evaluation == "zic" else set(METRICS[result.evaluation])
    return [
        {**row.labels, **{name: value for name, value in row.values.items() if name in keep}}
        for _, row in paper_rows(result, paper)
    ]


def _card(result: Result) -> tuple[str, str]:
    name = HEADS[result.evaluation]
    head = f"{ABBREVIATIONS[result.evaluation]} {NAMES[name].removesuffix(' ↑')}"
    return _shown(result.evaluation, result.metrics[name]), f"{head}, {result.dataset}"


def _shown(test: str, value: float) -> str:
    """Indicators as they are, all else in percent, with the digits of the paper."""
    return f"{value:.4f}" if test == "selo" else f"{100 * value:.2f}"


def _sections(
    test: str,
    results: Sequence[Result],
    paper: Paper,
    pictures: Mapping[tuple[str, str], Sequence[tuple[str, Path]]],
) -> list[Section]:
    found = []
    for result in results:
        metrics = METRICS[result.evaluation]
        columns = [NAMES.get(name) or name.replace("_r", " R@").upper() for name in metrics]
        ours = [_shown(test, result.metrics[name]) for name in metrics]
        lines = [Line("this model", ours, ours=True, remark=_interval(result))]
        if guessed := by_chance(result):
            lines.append(Line("by chance", [_shown(test, guessed[name]) for name in metrics]))
        rows = paper_rows(result, paper)
        for _, row in rows:
            names = [result.dataset] if test == "zic" else metrics
            digits = 4 if test == "selo" else 2
            title = " ".join(label for key, label in row.labels.items() if key != "set" and label)
            lines.append(Line(title, [f"{row.values[name]:.{digits}f}" for name in names]))
        section = Section(result.dataset, columns, lines, _notes(result, rows, paper))
        section.pictures += pictures.get((test, result.dataset), ())
        found.append(section)
    return found


def _interval(result: Result) -> str:
    details = result.details
    interval = details.get("interval") or details.get("intervals", {}).get(HEADS[result.evaluation])
    return f"95 % of resamples: {100 * interval[0]:.2f} to {100 * interval[1]:.2f}" if interval else ""


def _notes(result: Result, rows: Sequence[tuple[Table, Row]], paper: Paper) -> list[str]:
    """What to know before the numbers are compared."""
    notes = [
        f"{result.num_images:,} images, {result.num_texts:,} {'classes' if result.evaluation == 'zic' else 'texts'}"
    ]
    if not rows:
        notes.append("not a set of the paper: there is nothing to compare with")
    wanted = paper.sets.get(result.dataset, {}).get("images")
    if rows and wanted and wanted != result.num_images:
        notes.append(f"the paper's {result.dataset} has {wanted:,} images: its rows are of other data")
    if result.evaluation == "selo" and rows and (result.num_images, result.num_texts) != (22, 59):
        notes.append("AIR-SLT has 59 texts over 22 images: the paper's rows are of other data")
    if result.evaluation == "selo" and not result.settings.get("compat", True):
        notes.append("without the JPEG round trips of the published protocol: not comparable to the last digits")
    if leaked := result.settings.get("leakage", {}).get("leaked"):
        notes.append(f"not zero-shot: {leaked:,} of the images were trained on")
    if cut := result.details.get("num_cut"):
        notes.append(f"{cut:,} texts are longer than the {result.settings.get('context_length')} tokens that are read")
    columns = {result.dataset} if result.evaluation == "zic" else set(METRICS[result.evaluation])
    for one in paper.disagreements:
        if one.column in columns and any((one.table, one.row) == (table.name, row.name) for table, row in rows):
            column = NAMES.get(one.column, one.column)
            notes.append(f"the paper, {one.row}: {column} is stated as {one.stated}, its cells give {one.computed}")
    return notes


def _data_uri(path: Path) -> str:
    """A picture inside the page, no wider than the page shows it."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    image.thumbnail((WIDEST, 4 * WIDEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=88)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
