"""`lrs2m train`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands.complete import configs
from lrs2m_builder.commands.export import Where
from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.terminal import say, show


def train_command(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA|s3://BUCKET/PREFIX|hf://datasets/NAME",
            help="Builds, folders of Parquet files, single files, or OWNER/NAME[@REVISION] on the Hub; an address is "
            "streamed.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the run: new, or an earlier run with the same settings.")
    ],
    config: Annotated[
        str,
        typer.Option(
            metavar="NAME", autocompletion=configs, help="Named configuration (docs/train.md); 'tiny' takes seconds."
        ),
    ] = "paper_b16",
    start: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Hub name, folder or weights file to start from, over the configuration's."),
    ] = None,
    eval_data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA",
            help="Held-out pairs, given like DATA, or a folder of class folders: measured every eval_every steps.",
        ),
    ] = None,
    where: Where = None,
    best: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Train only on this share of the rows, those with the largest --by."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="SCORE", help="Score for --best, such as verify_long_min, or an SQL expression."),
    ] = None,
    wandb: Annotated[
        bool, typer.Option("--wandb", help="Also log to Weights & Biases (WANDB_MODE=offline: into RUN alone).")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Setting over the configuration's, such as lr=1e-4."),
    ] = None,
) -> None:
    """Train a CLIP on long and short texts.

    Follows the paper by default. Prints the folder of the trained model. Run the same command again to resume after a
    stop. Configurations and settings: docs/train.md. Needs the extra 'train'.

    Example:
        lrs2m train out --config paper_b16 --out run --set lr=1e-4
        lrs2m train out --config paper_b16 --out run --best 0.3 --by verify_long_min
    """
    from lrs2m_builder.train.config import changed, make_config

    train_config = make_config(config, settings or (), start)
    given = {"where": where, "best": best, "best_by": by, "wandb": wandb or None}
    train_config = changed(train_config, {name: value for name, value in given.items() if value is not None})
    if (train_config.lora_image or train_config.lora_text) and find_spec("peft") is None:
        raise MissingExtraError("lora_image and lora_text", "lora", ImportError("No module named 'peft'"))
    if train_config.wandb and find_spec("wandb") is None:
        raise MissingExtraError("wandb=true", "wandb", ImportError("No module named 'wandb'"))
    if train_config.keep_best is not None and not eval_data:
        raise UserError(f"keep_best={train_config.keep_best} is a figure on held-out data: give --eval-data")
    try:
        from lrs2m_builder.clip.locate import locate_data
        from lrs2m_builder.evals.while_training import make_measures
        from lrs2m_builder.train.run import train
        from lrs2m_builder.train.streaming import find_data
    except ImportError as error:
        raise MissingExtraError("training", "train", error) from error
    evaluate = make_measures([locate_data(name) for name in eval_data], train_config) if eval_data else None
    is_first = os.environ.get("RANK", "0") == "0"  # under torchrun, every process gets here
    try:
        model_dir = train(train_config, [find_data(name) for name in data], out_dir=out, make_evaluate=evaluate)
    except KeyboardInterrupt:
        if is_first:
            _draw(out)
        raise
    if is_first:
        _draw(out)
        show(str(model_dir))


def _draw(run_dir: Path) -> None:
    """Write the pictures of the run, if matplotlib is installed."""
    if find_spec("matplotlib") is None:
        say("loss.png and recall.png need matplotlib: pip install 'lrs2m-builder[plot]'")
        return
    from lrs2m_builder.evals.figures.training import draw_training

    draw_training(run_dir)
