"""`lrs2m eval`: what its commands share; each stands in a file of its own, `commands/eval_NAME.py`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.commands import print_json
from lrs2m_builder.errors import MissingExtraError
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.clip.model import Loaded
    from lrs2m_builder.evals.data import EvalImage
    from lrs2m_builder.evals.results import Result

# What the evaluations share; each takes them under these names.
Model = Annotated[
    str,
    typer.Option(help="A short name (`lrs2m eval models`), a training run, a model's folder or file, or a Hub name."),
]
Out = Annotated[
    Path | None, typer.Option(help="Folder for the result (JSON) and the pictures; default: none is written.")
]
Device = Annotated[
    str | None, typer.Option(help="Where the model runs, such as cuda:1 or cpu; default: the first GPU.")
]
ContextLength = Annotated[
    int | None, typer.Option(help="Tokens of a text that are read; default: the model's own. More stretches it by KPS.")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the Hub.")]
Workers = Annotated[int | None, typer.Option(help="Threads that read images; default: one a core.")]
Name = Annotated[str | None, typer.Option(help="What the result calls the data; default: by their path.")]
Images = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of the images of a Karpathy list, or the data folder of a source."),
]
Split = Annotated[
    str | None, typer.Option(help="Split to evaluate; default: test of a Karpathy list and on the Hub, else all.")
]
DataRevision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a data set on the Hub.")]
TrainedOn = Annotated[
    list[Path] | None,
    typer.Option(help="What the model was trained on (Parquet), to look for the evaluation's images; repeatable."),
]
AllowLeak = Annotated[
    bool, typer.Option("--allow-leak", help="Go on where evaluation images are training images; the result says so.")
]
LeakCache = Annotated[
    Path | None, typer.Option(help="Folder that keeps the hashes of training images for the next evaluation.")
]
Seed = Annotated[int, typer.Option(help="Of the resampling for the intervals, and of orders of sentences.")]

eval_app = typer.Typer(help="Evaluate a model by the paper's four zero-shot tests.", rich_markup_mode=None)


def command_line() -> list[str]:
    """The words that this process was started with, for a result's settings."""
    return ["lrs2m", *sys.argv[1:]]


def shows_progress() -> bool:
    """Whether a person sees bars."""
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
    """What is known of the training data, for a result's settings; stops where they hold evaluation images.

    Raises:
        UserError: they do, and `allow` is not given.
    """
    from lrs2m_builder.evals.leakage import find_leaks, refuse_leaks, training_data

    paths = list(dict.fromkeys([*training_data(model), *(trained_on or ())]))
    found = find_leaks([each.image for each in images], paths, cache=cache, show_progress=shows_progress())
    if not allow:
        refuse_leaks(found, len(images))
    if found.leaked:
        say(f"{found.leaked} of {len(images)} evaluation images are in the training data: no zero-shot result")
    for path in found.missing:
        say(f"the training data {path} are not there any more: whether they hold evaluation images is not known")
    if found.unchecked:
        say(f"{found.unchecked} training images are only named, without their bytes: they were not compared")
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
