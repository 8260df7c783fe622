"""`lrs2m eval`: what its commands share; each has a file of its own, `commands/eval_NAME.py`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.commands import print_json
from lrs2m_builder.commands.complete import models
from lrs2m_builder.commands.help import make_group
from lrs2m_builder.errors import MissingExtraError
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.clip.model import Loaded
    from lrs2m_builder.evals.data import EvalImage
    from lrs2m_builder.evals.record import Result

# What the evaluations share; each takes them under these names.
Model = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        autocompletion=models,
        help="Short name (lrs2m eval models), training run, model folder or file, or Hub name.",
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder for the result (JSON) and the pictures. By default none.")
]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Device of the model, such as cuda:1 or cpu. By default the first GPU."),
]
ContextLength = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Maximum tokens per text. By default the model's own; a larger number stretches it by KPS."
    ),
]
Revision = Annotated[str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a model on the Hub.")]
Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Threads that read images. By default one per CPU core.")
]
Name = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the data set in the result. By default from its path.")
]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Image folder of a Karpathy list, or data folder of a source."),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Split to evaluate. By default 'test' of a Karpathy list or a Hub data set, else all."
    ),
]
DataRevision = Annotated[
    str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a data set on the Hub.")
]
TrainedOn = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PATH",
        help="Training data besides those that the run names (builds, Parquet); searched for evaluation images.",
    ),
]
AllowLeak = Annotated[
    bool,
    typer.Option(
        "--allow-leak", help="Continue if evaluation images are in the training data; the result counts them."
    ),
]
LeakCache = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder that keeps the hashes of the training images for later evaluations."),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed for the bootstrap intervals and for sentence shuffling.")]

eval_app = make_group(
    """Evaluate a CLIP with four zero-shot tests.

    Retrieval with long texts (zcrl) and short texts (zcrs), scene classification (zic), and localization in large
    images (selo), with intervals and a search for evaluation images in the training data. Needs the extra 'eval'.
    Details: docs/eval.md.

    Example:
        lrs2m eval zcrs rsitmd --images RSITMD --model clip-b16
    """
)


def command_line() -> list[str]:
    """The words that this process was started with, for a result's settings."""
    return ["lrs2m", *sys.argv[1:]]


def shows_progress() -> bool:
    """Whether standard error is a terminal, so that progress bars are shown."""
    return sys.stderr.isatty()


def own_results(out: Path | None) -> None:
    """Refuse a folder for results that holds other files, before anything is read."""
    from lrs2m_builder.stores.outputs import mark_folder

    if out is not None:
        mark_folder(out, "eval")


def load_model(name: str, **options: Any) -> Loaded:
    """`evals.models.open_model`, with the extra to install in the error."""
    try:
        from lrs2m_builder.evals.models import open_model
    except ImportError as error:
        raise MissingExtraError("lrs2m eval", "eval", error) from error
    return open_model(name, **options)


def check_leaks(
    model: str,
    images: list[EvalImage],
    trained_on: list[Path] | None,
    allow: bool,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Search the training data for the evaluation images; returns what a result's settings say of it.

    Raises:
        UserError: evaluation images were found, and `allow` is false.
    """
    from lrs2m_builder.evals.leakage import find_leaks, refuse_leaks, training_data

    paths = list(dict.fromkeys([*training_data(model), *(trained_on or ())]))
    found = find_leaks([each.image for each in images], paths, cache=cache, show_progress=shows_progress())
    if not allow:
        refuse_leaks(found, len(images))
    if found.leaked:
        say(f"{found.leaked} of {len(images)} evaluation images are in the training data: the result is not zero-shot")
    for path in found.missing:
        say(f"training data {path}: not found, so not searched for evaluation images")
    if found.unchecked:
        say(f"{found.unchecked} training images were not compared: their rows hold only names, no bytes")
    return {"allow_leak": allow, **asdict(found)}


def finish(result: Result, lines: list[str], out: Path | None, as_json: bool) -> None:
    """Write a result, and print it for a person or as JSON."""
    from lrs2m_builder.evals.results import result_name, write_result

    if out is not None:
        path = out / f"{result_name(result)}.json"
        write_result(result, path)
        say(f"written: {path}")
    if as_json:
        print_json(asdict(result))
        return
    show("\n".join([f"{result.dataset}: {result.model} ({result.revision})", *lines]))
