"""`lrs2m eval zic` and `lrs2m eval models`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.commands.eval import (
    AllowLeak,
    ContextLength,
    DataRevision,
    Device,
    LeakCache,
    Model,
    Name,
    Out,
    Revision,
    Seed,
    TrainedOn,
    Workers,
    check_leaks,
    command_line,
    finish,
    load_model,
    own_results,
    shows_progress,
)
from lrs2m_builder.errors import MissingExtraError, UserError, not_among
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.evals.record import Result


def zic_command(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Name of a set of the paper (resisc45 ...), folder with one subfolder per class, Parquet, or Hub data "
            "set.",
        ),
    ],
    model: Model,
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
    image_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of the images in Parquet or Hub data. By default 'image'."),
    ] = None,
    name: Name = None,
    trained_on: TrainedOn = None,
    allow_leak: AllowLeak = False,
    leak_cache: LeakCache = None,
    out: Out = None,
    context_length: ContextLength = None,
    device: Device = None,
    revision: Revision = None,
    data_revision: DataRevision = None,
    workers: Workers = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Evaluate scene classification.

    Zero-shot: an image gets the class with the nearest text. Prints the accuracy and a table of the classes; --out also
    gets a picture of the confused classes.

    Example:
        lrs2m eval zic eurosat --model clip-b16
        lrs2m eval zic UCMerced/Images --classes ucmerced --model run
    """
    from lrs2m_builder.evals.data import IMAGE_COLUMNS, LABEL_COLUMNS, Columns, fingerprint, read_images
    from lrs2m_builder.evals.record import Result
    from lrs2m_builder.evals.results import result_name

    try:
        from lrs2m_builder.evals.classification import class_sets, class_table, evaluate, find_list
        from lrs2m_builder.evals.classification import templates as known_templates
        from lrs2m_builder.evals.confusion import draw_confusion
    except ImportError as error:
        raise MissingExtraError("lrs2m eval", "eval", error) from error

    own_results(out)
    chosen = classes or (data if data in class_sets() else None)
    if chosen is not None and chosen not in class_sets():
        raise UserError(f"--classes {chosen}: no such list{not_among(chosen, class_sets())}")
    lines = known_templates().get(templates) or ((templates,) if "{class_name}" in templates else ())
    if not lines:
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
    leakage = check_leaks(model, images, trained_on, allow_leak, leak_cache)
    loaded = load_model(model, device=device, context_length=context_length, revision=revision)
    found = evaluate(loaded, images, known, lines, seed=seed, workers=workers, show_progress=shows_progress())
    if known and known.images and len(images) != known.images:
        say(f"{known.title} has {known.images} images in the paper, but {len(images)} here")
    result = Result(
        evaluation="zic",
        dataset=name or (known.title if known else Path(data).stem),
        model=model,
        revision=loaded.revision,
        metrics={"accuracy": found.accuracy},
        num_images=len(images),
        num_texts=len(found.classes),
        settings={
            "command": command_line(),
            "data": {"path": where, "split": split, **fingerprint(images)},
            "classes": list(found.classes),
            "templates": list(lines),
            "context_length": loaded.context_length,
            "device": device,
            "seed": seed,
            "leakage": leakage,
        },
        details={
            "interval": found.interval,
            "classes": class_table(found),
            "confusion": found.confusion.tolist(),
        },
    )
    if out is not None:
        draw_confusion(found, f"{result.dataset}, {Path(model).name}", out / result_name(result))
    finish(result, table_lines(result), out, as_json)


def table_lines(result: Result) -> list[str]:
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
    if leaked := result.settings["leakage"]["leaked"]:
        lines.append(f"not zero-shot: {leaked} evaluation images are in the training data")
    return lines


def models_command(as_json: Json = False) -> None:
    """List published models by short name.

    Every option --model accepts these names.

    Example:
        lrs2m eval models
    """
    from lrs2m_builder.evals.baselines import baselines

    if as_json:
        from dataclasses import asdict

        print_json({name: asdict(each) for name, each in baselines().items()})
        return
    for name, each in baselines().items():
        show(f"{name:<15} {each.model:<10} ViT-{each.size:<5} {each.context:>4} tokens  {each.id}")
