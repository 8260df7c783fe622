"""`lrs2m convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lrs2m_builder.errors import MissingExtraError
from lrs2m_builder.terminal import say

ModelFormat = Literal["transformers", "open_clip", "longclip"]


def convert_command(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Folder, weights file or Hub name of the model.")],
    out: Annotated[Path, typer.Argument(metavar="DST", help="New folder to write; for longclip a new .pt file.")],
    to: Annotated[
        ModelFormat,
        typer.Option(
            metavar="transformers|open_clip|longclip",
            help="Format to write. open_clip also loads a folder of transformers; longclip is one .pt file.",
        ),
    ] = "transformers",
    context_length: Annotated[
        int | None,
        typer.Option(metavar="N", help="248 stretches a model of 77 positions by KPS. By default its length is kept."),
    ] = None,
    activation: Annotated[
        Literal["quick_gelu", "gelu"] | None,
        typer.Option(metavar="quick_gelu|gelu", help="Activation function, if the file does not state it."),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a model on the Hub.")
    ] = None,
) -> None:
    """Convert a CLIP to another file format.

    Reads any format of docs/models.md. Needs the extra 'train'.

    Example:
        lrs2m convert openai/clip-vit-base-patch16 clip-248 --context-length 248
    """
    try:
        from lrs2m_builder.clip.model import load
        from lrs2m_builder.clip.save import check_destination, save_as
    except ImportError as error:
        raise MissingExtraError("lrs2m convert", "train", error) from error

    check_destination(out, to)  # before gigabytes are read
    loaded = load(source, context_length=context_length, revision=revision, activation=activation)
    save_as(loaded, out, to)
    say(f"{out}: {to}, {loaded.context_length} tokens, from {source} ({loaded.revision})")
