"""`lrs2m eval`: a command per evaluation, made from its record, and `lrs2m eval models`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.commands.complete import models
from lrs2m_builder.commands.help import late, make_group
from lrs2m_builder.errors import MissingExtraError
from lrs2m_builder.evals.record import Evaluation, Result, Run, Test
from lrs2m_builder.evals.registry import evaluations, find_evaluation
from lrs2m_builder.terminal import show

if TYPE_CHECKING:
    from lrs2m_builder.clip.model import Loaded

# What the evaluations share; each command takes them under these names.
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
LEAK_OPTIONS = {"trained_on", "allow_leak", "leak_cache"}


def evaluation_command(evaluation: Evaluation) -> Callable[..., None]:
    """The command of an evaluation: its own argument and options, then those that all share."""
    data, *own = evaluation.options
    _, model, *shared = inspect.signature(_evaluate, eval_str=True).parameters.values()
    shared = [each for each in shared if evaluation.searches_leaks or each.name not in LEAK_OPTIONS]

    def command(**given: Any) -> None:
        test = Test(
            evaluation.name, str(given.pop(data.name)), options={each.name: given.pop(each.name) for each in own}
        )
        _evaluate(test, **given)

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (data, model, *own, *shared)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = evaluation.help
    return command


def _evaluate(
    test: Test,
    model: Model,
    name: Name = None,
    trained_on: TrainedOn = None,
    allow_leak: AllowLeak = False,
    leak_cache: LeakCache = None,
    out: Out = None,
    context_length: ContextLength = None,
    device: Device = None,
    revision: Revision = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    run = make_run(
        model,
        out,
        {"context_length": context_length, "device": device, "revision": revision},
        trained_on=trained_on or (),
        allow_leak=allow_leak,
        leak_cache=leak_cache,
        workers=workers,
    )
    with needing_extra():
        from lrs2m_builder.evals.run import evaluate

        result, _ = evaluate(replace(test, name=name or ""), run)
    print_json(asdict(result)) if as_json else show_result(result)


def make_run(model: str, out: Path | None, loading: Mapping[str, Any], **settings: Any) -> Run:
    """How evaluations of a model are run by a command; the model is loaded once.

    Args:
        out: is refused if it holds other files, before anything is read.
        loading: keywords of `evals.models.open_model`.
    """
    from lrs2m_builder.stores.outputs import mark_folder

    if out is not None:
        mark_folder(out, "eval")
    asked = {"command": ["lrs2m", *sys.argv[1:]], "device": loading["device"]}
    return Run(
        model=model,
        open_model=cache(lambda: load_model(model, **loading)),
        settings=asked,
        out_dir=out,
        show_progress=shows_progress(),
        **settings,
    )


def show_result(result: Result) -> None:
    """Print a result for people."""
    lines = find_evaluation(result.evaluation).text(result)
    show("\n".join([f"{result.dataset}: {result.model} ({result.revision})", *lines]))


def shows_progress() -> bool:
    """Whether standard error is a terminal, so that progress bars are shown."""
    return sys.stderr.isatty()


@contextmanager
def needing_extra() -> Iterator[None]:
    """Name the extra to install if a package cannot be imported.

    Raises:
        MissingExtraError: one cannot.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError("lrs2m eval", "eval", error) from error


def load_model(name: str, **options: Any) -> Loaded:
    """`evals.models.open_model`, imported late."""
    with needing_extra():
        from lrs2m_builder.evals.models import open_model
    return open_model(name, **options)


def models_command(as_json: Json = False) -> None:
    """List published models by short name.

    Every option --model accepts these names.

    Example:
        lrs2m eval models
    """
    from lrs2m_builder.evals.baselines import baselines

    if as_json:
        print_json({name: asdict(each) for name, each in baselines().items()})
        return
    for name, each in baselines().items():
        show(f"{name:<15} {each.model:<10} ViT-{each.size:<5} {each.context:>4} tokens  {each.id}")


eval_app = make_group(
    """Evaluate a CLIP with zero-shot tests.

    Retrieval with long texts (zcrl) and short texts (zcrs), scene classification (zic), and localization in large
    images (selo), with intervals and a search for evaluation images in the training data. Needs the extra 'eval'.
    Details: docs/eval.md.

    Example:
        lrs2m eval zcrs rsitmd --images RSITMD --model clip-b16
    """,
    {
        **{name: partial(evaluation_command, each) for name, each in evaluations().items()},
        "all": late("eval_all", "all_command"),
        **{name: late("eval_figures", f"{name}_command") for name in ("figure1", "figure2", "figure3")},
        "models": lambda: models_command,
    },
)
