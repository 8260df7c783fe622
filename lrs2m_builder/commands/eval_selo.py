"""`lrs2m eval selo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrs2m_builder.commands import Json
from lrs2m_builder.commands.eval import (
    ContextLength,
    Device,
    Model,
    Name,
    Out,
    Revision,
    Workers,
    command_line,
    finish,
    load_model,
    own_results,
    shows_progress,
)
from lrs2m_builder.errors import MissingExtraError

if TYPE_CHECKING:
    from lrs2m_builder.evals.record import Result


def selo_command(
    data: Annotated[
        Path, typer.Argument(metavar="FILE", help="Texts and regions in the format of AIR-SLT's anno.json.")
    ],
    model: Model,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Image folder. By default the folder of FILE.")
    ] = None,
    compat: Annotated[
        bool,
        typer.Option(
            "--compat/--no-compat",
            help="Leave out the JPEG compression of crops and maps that the published code has.",
        ),
    ] = True,
    name: Name = None,
    out: Out = None,
    context_length: ContextLength = None,
    device: Device = None,
    revision: Revision = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Evaluate localization in large images.

    Zero-shot: finds where in an image of thousands of pixels the content of a text is. Prints R_su, R_as, R_da and R_mi
    (docs/eval.md); --out also gets a picture of each map.

    Example:
        lrs2m eval selo annotations/anno.json --images imgs --model run --out results
    """
    from lrs2m_builder.evals.selo.queries import fingerprint, read_queries, set_name

    own_results(out)
    image_dir = images or data.parent
    queries = read_queries(data, image_dir)
    loaded = load_model(model, device=device, context_length=context_length, revision=revision)
    try:
        from lrs2m_builder.evals.selo.run import evaluate
    except ImportError as error:
        raise MissingExtraError("lrs2m eval selo", "eval", error) from error

    result = evaluate(
        loaded,
        queries,
        model=model,
        dataset=name or set_name(queries, data.absolute().parent.name),
        compat=compat,
        overlay_dir=out / "maps" if out else None,
        settings={
            "command": command_line(),
            "data": {"path": str(data), "images": str(image_dir), **fingerprint(queries)},
            "context_length": loaded.context_length,
            "device": device,
        },
        workers=workers,
        show_progress=shows_progress(),
    )
    finish(result, selo_lines(result), out, as_json)


def selo_lines(result: Result) -> list[str]:
    """The mean indicators, for people."""
    values = "  ".join(f"{name} {result.metrics[name]:.4f}" for name in ("r_su", "r_as", "r_da", "r_mi"))
    return [f"{result.num_texts} texts over {result.num_images} images", f"{values}  (lower is better for r_as)"]
