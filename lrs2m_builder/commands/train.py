"""`lrs2m train`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.commands.complete import configs
from lrs2m_builder.commands.export import Where
from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.train.config import TrainConfig


def train_command(
    context: typer.Context,
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA|FILE|s3://BUCKET/PREFIX|hf://datasets/NAME]",
            help="Builds, folders of Parquet files, single files, or OWNER/NAME[@REVISION] on the Hub; an address is "
            "streamed; or a settings file, .yaml (docs/train.md).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the run: new, or an earlier run with the same settings."),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=configs,
            help="Named configuration (docs/train.md); 'tiny' is a smoke test of seconds.",
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
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the settings to a new file and stop.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Resume a run with the settings in its config.json.")
    ] = None,
) -> None:
    """Train a CLIP on long and short texts.

    Follows the paper by default. Prints the folder of the trained model. Run the same command again to resume after a
    stop, or `--resume RUN`. Needs DATA and --out, or a settings file. Configurations and settings: docs/train.md. Needs
    the extra 'train'.

    Example:
        lrs2m train out --config paper_b16 --out run --set lr=1e-4
        lrs2m train out --config paper_b16 --out run --best 0.3 --by verify_long_min
        lrs2m train --resume run
    """
    train_config, names, eval_names, out_dir = _what_to_train(context, resume, save)
    if save is not None:
        say(f"wrote {save}; run it with: lrs2m train {save}")
        return
    if (train_config.lora_image or train_config.lora_text) and find_spec("peft") is None:
        raise MissingExtraError("lora_image and lora_text", "lora", ImportError("No module named 'peft'"))
    if train_config.wandb and find_spec("wandb") is None:
        raise MissingExtraError("wandb=true", "wandb", ImportError("No module named 'wandb'"))
    if train_config.keep_best is not None and not eval_names:
        raise UserError(f"keep_best={train_config.keep_best} is a figure on held-out data: give --eval-data")
    from lrs2m_builder.clip.locate import locate_data

    local = {name: locate_data(name) for name in names if "://" not in name}
    held_out = [locate_data(name) for name in eval_names]
    try:  # torch takes seconds: what can be refused without it was refused before
        from lrs2m_builder.evals.while_training import make_measures
        from lrs2m_builder.train.run import train
        from lrs2m_builder.train.streaming import find_data
    except ImportError as error:
        raise MissingExtraError("training", "train", error) from error
    evaluate = make_measures(held_out, train_config) if held_out else None
    is_first = os.environ.get("RANK", "0") == "0"  # under torchrun, every process gets here
    try:
        located = [local[name] if name in local else find_data(name) for name in names]
        model_dir = train(train_config, located, out_dir=out_dir, make_evaluate=evaluate, eval_data=held_out)
    except KeyboardInterrupt:
        if is_first:
            _draw(out_dir)
        raise
    if is_first:
        _draw(out_dir)
        show(str(model_dir))


def _what_to_train(
    context: typer.Context, resume: Path | None, save: Path | None
) -> tuple[TrainConfig, Sequence[str], Sequence[str], Path]:
    """Configuration, data, held-out data and folder: of the command line, over a settings file or an earlier run.

    With `save` they are written to that file.
    """
    from lrs2m_builder.declared.settings_file import merged, read_settings, replaced
    from lrs2m_builder.train.config import changed
    from lrs2m_builder.train.named_configs import parse_changes
    from lrs2m_builder.train.settings_file import kept_run, validated, write_train_file

    flags = _typed(context)
    if "set" in flags:
        flags["set"] = parse_changes(flags["set"])
    if resume is not None:
        if refused := sorted(flags.keys() - {"set", "wandb", "eval_data"}):
            raise UserError(f"--resume RUN: not with {', '.join(refused)}; they are those of RUN's config.json")
        if save is not None:
            raise UserError("--save: not with --resume; give the options of the run")
        config, data, eval_data = kept_run(resume)
        config = changed(config, {**flags.get("set", {}), **({"wandb": True} if flags.get("wandb") else {})})
        return config, data, flags.get("eval_data", eval_data), resume
    keys, where = flags, ""
    words = flags.get("data", [])
    if len(words) == 1 and words[0].endswith(".yaml"):
        if not Path(where := flags.pop("data")[0]).is_file():
            raise UserError(f"{where}: no such settings file")
        stored = read_settings(Path(where))
        for note in replaced(stored, flags, where):
            say(note)
        keys = merged(stored, flags)
    settings = validated(keys, where)
    train_config = settings.train_config()
    if save is not None:
        write_train_file(save, settings)
    return train_config, settings.data, settings.eval_data, Path(settings.out)


def _typed(context: typer.Context) -> dict[str, Any]:
    """The arguments and options that were typed, by their names in a settings file."""
    names = {"settings": "set", **{name: name for name in ("data", "out", "config", "start", "eval_data", "where")}}
    names |= {name: name for name in ("best", "by", "wandb")}
    typed = {}
    for parameter, key in names.items():
        source = context.get_parameter_source(parameter)
        if source is not None and source.name == "COMMANDLINE":
            value = context.params[parameter]
            typed[key] = str(value) if key == "out" else value
    return typed


def _draw(run_dir: Path) -> None:
    """Write the pictures of the run, if matplotlib is installed."""
    if find_spec("matplotlib") is None:
        say("loss.png and recall.png need matplotlib: pip install 'lrs2m-builder[plot]'")
        return
    from lrs2m_builder.evals.figures.training import draw_training

    draw_training(run_dir)
