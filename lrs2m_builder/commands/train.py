"""`lrs2m train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.errors import MissingExtraError
from lrs2m_builder.terminal import show


def train_command(
    data: Annotated[
        list[str],
        typer.Argument(help="Builds, folders of Parquet files, single files, or OWNER/NAME[@REVISION] on the Hub."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run: new, or an earlier run of the same settings to go on.")],
    config: Annotated[str, typer.Option(help="A named configuration (docs/train.md lists them).")] = "paper_b16",
    start: Annotated[str | None, typer.Option(help="Model to start from, over the configuration's.")] = None,
    eval_data: Annotated[
        list[str] | None,
        typer.Option(help="Held-out pairs, as DATA: recall on them every eval_every steps; repeatable."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE over a field of the configuration; repeatable.")
    ] = None,
) -> None:
    """Train a CLIP on long and short texts, as the paper did; goes on where it was stopped."""
    from lrs2m_builder.train.config import make_config

    made = make_config(config, settings or (), start)
    try:
        from lrs2m_builder.clip.locate import locate_data
        from lrs2m_builder.evals.held_out import make_recall
        from lrs2m_builder.train.run import train
    except ImportError as error:
        raise MissingExtraError("training", "train", error) from error
    evaluate = make_recall([locate_data(name) for name in eval_data], made) if eval_data else None
    model_dir = train(made, [locate_data(name) for name in data], out_dir=out, make_evaluate=evaluate)
    if os.environ.get("RANK", "0") == "0":  # under torchrun, each process gets here
        show(str(model_dir))
