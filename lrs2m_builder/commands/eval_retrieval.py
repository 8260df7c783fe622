"""`lrs2m eval zcrl` and `lrs2m eval zcrs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lrs2m_builder.commands import Json
from lrs2m_builder.commands.eval import (
    AllowLeak,
    ContextLength,
    DataRevision,
    Device,
    Images,
    LeakCache,
    Model,
    Name,
    Out,
    Revision,
    Seed,
    Split,
    TrainedOn,
    Workers,
    check_leaks,
    command_line,
    finish,
    load_model,
    own_results,
    shows_progress,
)

if TYPE_CHECKING:
    from lrs2m_builder.evals.record import Result

# The first of these columns that the data have.
TEXT_COLUMNS = {
    "zcrl": ("caption_long", "long_caption", "caption", "text"),
    "zcrs": ("caption_short", "captions", "caption", "short_caption", "sentences", "raw", "text"),
}
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="The --out of a build, Karpathy list in JSON, Parquet, folder of 'datasets', Hub data set, or source.",
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Column of the texts in Parquet or Hub data. By default the first usual name found."
    ),
]
ImageColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="Column of the images in Parquet or Hub data. By default 'image'.")
]


def zcrl_command(
    data: Data,
    model: Model,
    images: Images = None,
    split: Split = None,
    text_column: TextColumn = None,
    image_column: ImageColumn = None,
    name: Name = None,
    by_length: Annotated[
        bool, typer.Option("--by-length", help="Also report R@1 per text length (the data of Figure 3).")
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Also evaluate with shuffled sentences, and without the first sentence of each text."
        ),
    ] = False,
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
    """Evaluate retrieval with long texts.

    Zero-shot: recall at 1, 5 and 10 from text to image and from image to text, and their mean (mR).

    Example:
        lrs2m eval zcrl RSITMD-L --model run --out results
    """
    _retrieve("zcrl", **locals())


def zcrs_command(
    data: Data,
    model: Model,
    images: Images = None,
    split: Split = None,
    text_column: TextColumn = None,
    image_column: ImageColumn = None,
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
    """Evaluate retrieval with short texts.

    As zcrl, with short captions: usually five per image.

    Example:
        lrs2m eval zcrs dataset_RSITMD.json --images RSITMD/images --model clip-b16
    """
    _retrieve("zcrs", by_length=False, robustness=False, **locals())


def _retrieve(
    evaluation: Literal["zcrl", "zcrs"],
    *,
    data: str,
    model: str,
    images: Path | None,
    split: str | None,
    text_column: str | None,
    image_column: str | None,
    name: str | None,
    by_length: bool,
    robustness: bool,
    trained_on: list[Path] | None,
    allow_leak: bool,
    leak_cache: Path | None,
    out: Path | None,
    context_length: int | None,
    device: str | None,
    revision: str | None,
    data_revision: str | None,
    workers: int | None,
    seed: int,
    as_json: bool,
) -> None:
    from lrs2m_builder.evals.data import IMAGE_COLUMNS, Columns, fingerprint, read_images
    from lrs2m_builder.evals.record import Result

    own_results(out)
    columns = Columns(
        image=(image_column,) if image_column else IMAGE_COLUMNS,
        texts=(text_column,) if text_column else TEXT_COLUMNS[evaluation],
    )
    found = read_images(data, columns, split=split, image_dir=images, revision=data_revision)
    leakage = check_leaks(model, found, trained_on, allow_leak, leak_cache)
    loaded = load_model(model, device=device, context_length=context_length, revision=revision)
    from lrs2m_builder.evals.retrieval import evaluate

    retrieval, details = evaluate(
        loaded,
        found,
        lengths=by_length,
        robustness=robustness,
        seed=seed,
        workers=workers,
        show_progress=shows_progress(),
    )
    result = Result(
        evaluation=evaluation,
        dataset=name or Path(data).stem,
        model=model,
        revision=loaded.revision,
        metrics=retrieval.metrics,
        num_images=len(found),
        num_texts=sum(len(each.texts) for each in found),
        settings={
            "command": command_line(),
            "data": {"path": data, "split": split, "columns": columns.texts, **fingerprint(found)},
            "context_length": loaded.context_length,
            "device": device,
            "by_length": by_length,
            "robustness": robustness,
            "seed": seed,
            "leakage": leakage,
        },
        details=details,
    )
    finish(result, result_lines(result), out, as_json)


def result_lines(result: Result) -> list[str]:
    """The recalls in percent as a table for people."""
    from lrs2m_builder.evals.registry import find_evaluation

    details = result.details
    lines = [
        f"{result.num_images} images, {result.num_texts} texts of {details['mean_tokens']:.1f} tokens, "
        f"{details['num_cut']} of them cut at {result.settings['context_length']}",
        "            text to image           image to text",
        "             R@1    R@5   R@10       R@1    R@5   R@10       mR",
        _row("", result.metrics),
        _row("95% from", {key: low for key, (low, _) in details["intervals"].items()}),
        _row("95% to", {key: high for key, (_, high) in details["intervals"].items()}),
    ]
    lines.append(_row("chance", find_evaluation(result.evaluation).by_chance(result.num_images, result.num_texts)))
    if "optimistic" in details:
        lines.append(_row("ties won", details["optimistic"]))
    for key, title in (("permuted", "shuffled"), ("without_first", "no first")):
        if key in details:
            lines.append(_row(title, details[key]["metrics"]))
    for each in details.get("lengths", ()):
        i2t = "" if each["i2t_r1"] is None else f", I2T R@1 {100 * each['i2t_r1']:.2f} of {each['num_images']}"
        lines.append(
            f"  {each['low']:>3}-{each['high']} tokens: T2I R@1 {100 * each['t2i_r1']:.2f} of {each['num_texts']}{i2t}"
        )
    if leaked := result.settings["leakage"]["leaked"]:
        lines.append(f"not zero-shot: {leaked} evaluation images are in the training data")
    return lines


def _row(title: str, metrics: Mapping[str, Any]) -> str:
    cells = [f"{100 * metrics[f'{way}_r{k}']:7.2f}" for way in ("t2i", "i2t") for k in (1, 5, 10)]
    return f"{title:<9}{''.join(cells[:3])}   {''.join(cells[3:])}  {100 * metrics['mr']:7.2f}"
