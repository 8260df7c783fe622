"""`lrs2m eval`: a command an evaluation; each stands in a file of its own, `commands/eval_NAME.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

# What the evaluations share; each takes them under these names.
Model = Annotated[
    str,
    typer.Argument(help="A short name (`lrs2m eval models`), a training run, a model's folder or file, or a Hub name."),
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
Workers = Annotated[int | None, typer.Option(help="Threads that read images; default: one a core.")]


def command_line() -> list[str]:
    """The words that this process was started with, for a result's settings."""
    return ["lrs2m", *sys.argv[1:]]


eval_app = typer.Typer(help="Evaluate a model by the paper's four zero-shot tests.", rich_markup_mode=None)
