"""`lrs2m eval selo`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.commands.eval import ContextLength, Device, Model, Out, command_line
from lrs2m_builder.errors import MissingExtraError


def selo_command(
    model: Model,
    data: Annotated[Path, typer.Option(help="Queries in AIR-SLT's form: its anno.json.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images; default: the folder of --data.")] = None,
    out: Out = None,
    compat: Annotated[
        bool, typer.Option(help="Store crops and maps as JPEG on the way, as the published code does; or not at all.")
    ] = True,
    device: Device = None,
    context_length: ContextLength = None,
    as_json: Json = False,
) -> None:
    """Where in a large image is what a text says? The paper's SeLo test (Table V): R_su, R_as, R_da and R_mi."""
    from lrs2m_builder.evals.selo.queries import read_queries

    queries = read_queries(data, images or data.parent)
    try:
        from lrs2m_builder.evals.models import open_model
        from lrs2m_builder.evals.selo.run import evaluate
    except ImportError as error:
        raise MissingExtraError("lrs2m eval selo", "eval", error) from error
    from lrs2m_builder.evals.results import write_result

    result = evaluate(
        open_model(model, device=device, context_length=context_length),
        queries,
        compat=compat,
        overlay_dir=out / "maps" if out else None,
        settings={"command": command_line(), "data": str(data), "images": str(images or data.parent)},
        show_progress=sys.stderr is not None and sys.stderr.isatty(),
    )
    if out:
        write_result(result, out / "selo.json")
    if as_json:
        print_json(asdict(result))
        return
    print(f"{result.dataset}, {result.num_texts} texts over {result.num_images} images, {result.model}")
    print("  ".join(f"{name} {value:.4f}" for name, value in result.metrics.items()))
    if out:
        print(f"maps: {out / 'maps'}")
