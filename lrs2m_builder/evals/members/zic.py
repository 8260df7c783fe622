"""Evaluate scene classification.

Zero-shot: an image gets the class with the nearest text. Prints the accuracy and a table of the classes; --out also
gets a picture of the confused classes.

Example:
    lrs2m eval zic eurosat --model clip-b16
    lrs2m eval zic UCMerced/Images --classes ucmerced --model run
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.evals.members._files import table_columns
from lrs2m_builder.evals.members._options import DataRevision, ImageColumn, Seed
from lrs2m_builder.evals.record import Evaluation, MainRow, Picture, Prepared, Result, Run, Test
from lrs2m_builder.files import is_hidden
from lrs2m_builder.terminal import say

if TYPE_CHECKING:
    from lrs2m_builder.clip.model import Loaded


def _prepare(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Name of a set of the paper (resisc45 ...), folder with one subfolder per class, Parquet, or Hub data "
            "set.",
        ),
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="List of class names (docs/eval.md). By default the set's own, the list with exactly these classes, "
            "or the folder names.",
        ),
    ] = None,
    templates: Annotated[
        str,
        typer.Option(
            metavar="paper|rs|TEXT",
            help="Sentences per class: the paper's one, eight averaged (rs), or your own with {class_name} in it.",
        ),
    ] = "paper",
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Split to evaluate. By default all together, as in the paper.")
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of the classes in Parquet or Hub data. By default 'label'."),
    ] = None,
    image_column: ImageColumn = None,
    data_revision: DataRevision = None,
    seed: Seed = 0,
) -> Prepared:
    from lrs2m_builder.evals.classes import class_numbers, class_sets, find_list
    from lrs2m_builder.evals.classes import templates as known_templates
    from lrs2m_builder.evals.data import IMAGE_COLUMNS, LABEL_COLUMNS, Columns, fingerprint, read_images

    chosen = classes or (data if data in class_sets() else None)
    if chosen is not None and chosen not in class_sets():
        raise UserError(f"--classes {chosen}: no such list{not_among(chosen, class_sets())}")
    sentences = known_templates().get(templates) or ((templates,) if "{class_name}" in templates else ())
    if not sentences:
        raise UserError(
            f"--templates {templates}: give {' or '.join(known_templates())}, or a sentence with {{class_name}} in it"
        )
    is_name = data in class_sets() and not Path(data).exists()
    where = class_sets()[data].hub if is_name else data
    if not where:
        raise UserError(f"{data}: the images of this set are not on the Hub; give their folder and --classes {data}")
    columns = Columns(
        image=(image_column,) if image_column else IMAGE_COLUMNS,
        label=(label_column,) if label_column else LABEL_COLUMNS,
    )
    images = read_images(where, columns, split=split, all_splits=True, revision=data_revision)
    if chosen is None and (chosen := find_list({each.label for each in images})):
        say(f"{data} has the classes of {class_sets()[chosen].title}: the class names of that set are used")
    known = class_sets()[chosen] if chosen else None
    names, _ = class_numbers(images, known)
    if known and known.images and len(images) != known.images:
        say(f"{known.title} has {known.images} images in the paper, but {len(images)} here")

    def measure(loaded: Loaded, run: Run) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        from lrs2m_builder.evals.classification import class_table, evaluate

        found = evaluate(
            loaded, images, known, sentences, seed=seed, workers=run.workers, show_progress=run.show_progress
        )
        details = {
            "interval": found.interval,
            "classes": class_table(found),
            "confusion": found.confusion.tolist(),
        }
        return {"accuracy": found.accuracy}, details

    return Prepared(
        dataset=known.title if known else Path(data).stem,
        num_images=len(images),
        num_texts=len(names),
        settings={
            "data": {"path": where, "split": split, **fingerprint(images)},
            "classes": list(names),
            "templates": list(sentences),
            "seed": seed,
        },
        measure=measure,
        images=[each.image for each in images],
        draw=_draw,
    )


def _find(data: str) -> list[Test]:
    """A set by its name, a table that has labels and no texts, or as a guess a folder of folders of images."""
    from lrs2m_builder.evals.classes import class_sets, find_list
    from lrs2m_builder.evals.data import LABEL_COLUMNS

    path = Path(data)
    if not path.exists():
        return [Test("zic", data, class_sets()[data].title, {"classes": data})] if data in class_sets() else []
    there = table_columns(path)
    if there & set(LABEL_COLUMNS) and not there & {"caption_long", "caption_short", "captions"}:
        return [Test("zic", data, path.stem)]
    folders = (
        sorted(each for each in path.iterdir() if each.is_dir() and not is_hidden(each.name)) if path.is_dir() else []
    )
    empty = [folder for folder in folders if not _has_images(folder)]
    names = [folder.name for folder in folders if folder not in empty]
    if len(names) < 2:
        return []
    if empty:
        say(f"{path}: {len(empty)} folders hold no image and are no classes here, such as {empty[0].name}")
    known = find_list(names)
    return [Test("zic", data, class_sets()[known].title if known else path.name, {"classes": known}, is_guess=True)]


def _has_images(folder: Path) -> bool:
    from lrs2m_builder.images.files import IMAGE_SUFFIXES

    return any(file.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(file.name) for file in folder.iterdir())


def _draw(loaded: Loaded, result: Result, run: Run) -> list[Picture]:
    from lrs2m_builder.evals.figures.confusion import draw_confusion
    from lrs2m_builder.evals.results import result_name

    path = run.file(f"{result_name(result)}.png")
    draw_confusion(result, path)
    return [("Confused classes", path)]


def _lines(result: Result) -> list[str]:
    """The accuracy, and one line per class with the class it was most often confused with."""
    low, high = result.details["interval"]
    rows = result.details["classes"]
    width = max(len(row["class"]) for row in rows)
    lines = [
        f"accuracy {100 * result.metrics['accuracy']:.2f} % (95 %: {100 * low:.2f} to {100 * high:.2f}) of "
        f"{result.num_images} images in {result.num_texts} classes; chance level {100 / result.num_texts:.2f}"
    ]
    for row in rows:
        confused = f"  {row['confused']} classified as {row['confused_with']}" if row["confused"] else ""
        lines.append(f"  {row['class']:<{width}} {100 * row['accuracy']:6.2f} % of {row['images']}{confused}")
    return lines


def _by_chance(num_images: int, num_classes: int) -> dict[str, float]:
    return {"accuracy": 1 / num_classes}


def _paper_data(dataset: str, benchmarks: Path) -> tuple[str, ...]:
    """The folder of the set's name; without one, the set comes from the Hub."""
    name = dataset.lower().replace("_", "-")
    return (str(benchmarks / name), "--classes", name) if (benchmarks / name).is_dir() else (name,)


EVALUATION = Evaluation(
    name="zic",
    title="Classification",
    abbreviation="ZIC",
    help=__doc__,
    prepare=_prepare,
    find=_find,
    data="a folder with one folder per class",
    lines=_lines,
    metrics={"accuracy": "accuracy"},
    head="accuracy",
    texts="classes",
    main_row=MainRow("table_iv", "ViT-B/16 LRSCLIP", "mean"),
    paper_data=_paper_data,
    sets=("RESISC45", "EuroSAT", "PatternNet", "WHU-RS19", "OPTIMAL-31", "RS_C11"),
    columns_are_sets=True,
    by_chance=_by_chance,
)
