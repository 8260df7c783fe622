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
    from lrs2m_builder.evals.results import Result


def zic_command(
    data: Annotated[
        str,
        typer.Argument(
            help="A set of the paper by name (resisc45 ...), a folder of folders a class, Parquet or a Hub id."
        ),
    ],
    model: Model,
    classes: Annotated[
        str | None,
        typer.Option(help="List of classes (docs/eval.md); default: the one with just these classes, or none."),
    ] = None,
    templates: Annotated[
        str, typer.Option(help="paper (one sentence), rs (several, averaged), or a sentence with {class_name}.")
    ] = "paper",
    split: Annotated[str | None, typer.Option(help="Split to evaluate; default: all of them, as the paper.")] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of the classes in Parquet or Hub data; default: label.")
    ] = None,
    image_column: Annotated[
        str | None, typer.Option(help="Column of the images in Parquet or Hub data; default: image.")
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
    """Zero-shot classification of scenes: accuracy, a table of the classes, and a picture of what was confused."""
    from lrs2m_builder.evals.data import IMAGE_COLUMNS, LABEL_COLUMNS, Columns, fingerprint, read_images
    from lrs2m_builder.evals.results import Result, result_name

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
        raise UserError(f"{data}: a list of classes whose images are not on the Hub; give their folder")
    columns = Columns(
        image=(image_column,) if image_column else IMAGE_COLUMNS,
        label=(label_column,) if label_column else LABEL_COLUMNS,
    )
    images = read_images(where, columns, split=split, all_splits=True, revision=data_revision)
    if chosen is None and (chosen := find_list({each.label for each in images})):
        say(f"{data} has the classes of {class_sets()[chosen].title}: its names for them are used")
    known = class_sets()[chosen] if chosen else None
    leakage = check_leaks(model, images, trained_on, allow_leak, leak_cache)
    loaded = load_model(model, device=device, context_length=context_length, revision=revision)
    found = evaluate(loaded, images, known, lines, seed=seed, workers=workers, show_progress=shows_progress())
    if known and known.images and len(images) != known.images:
        say(f"{known.title} has {known.images} images in the paper, here are {len(images)}")
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
    """The accuracy, and a line a class with what it was taken for most often."""
    low, high = result.details["interval"]
    rows = result.details["classes"]
    width = max(len(row["class"]) for row in rows)
    lines = [
        f"accuracy {100 * result.metrics['accuracy']:.2f} % (95 %: {100 * low:.2f} to {100 * high:.2f}) of "
        f"{result.num_images} images in {result.num_texts} classes; by chance {100 / result.num_texts:.2f}"
    ]
    for row in rows:
        confused = f"  {row['confused']} taken for {row['confused_with']}" if row["confused"] else ""
        lines.append(f"  {row['class']:<{width}} {100 * row['accuracy']:6.2f} % of {row['images']}{confused}")
    if result.settings["leakage"]["leaked"]:
        lines.append(f"not zero-shot: {result.settings['leakage']['leaked']} evaluation images were trained on")
    return lines


def models_command(as_json: Json = False) -> None:
    """List the published models that have a short name."""
    from lrs2m_builder.evals.baselines import baselines

    if as_json:
        from dataclasses import asdict

        print_json({name: asdict(each) for name, each in baselines().items()})
        return
    for name, each in baselines().items():
        show(f"{name:<15} {each.model:<10} ViT-{each.size:<5} {each.context:>4} tokens  {each.id}")
