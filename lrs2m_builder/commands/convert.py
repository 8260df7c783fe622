"""`lrs2m convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.errors import MissingExtraError
from lrs2m_builder.terminal import say


def convert_command(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A model's folder, weights file or Hub name.")],
    out: Annotated[Path, typer.Argument(metavar="DST", help="New folder; for longclip a new .pt file.")],
    to: Annotated[str, typer.Option(help="Format to write: transformers, open_clip or longclip.")] = "transformers",
    context_length: Annotated[
        int | None, typer.Option(help="248 stretches a model of 77 positions by KPS; default: as it is.")
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="quick_gelu or gelu, where the source does not say which.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub model.")] = None,
) -> None:
    """Convert a CLIP model between the formats of transformers, open_clip and Long-CLIP."""
    try:
        from lrs2m_builder.clip.model import load
        from lrs2m_builder.clip.save import check_destination, save_as
    except ImportError as error:
        raise MissingExtraError("lrs2m convert", "train", error) from error

    check_destination(out, to)  # before gigabytes are read
    loaded = load(source, context_length=context_length, revision=revision, activation=activation)
    save_as(loaded, out, to)
    say(f"{out}: {to}, {loaded.context_length} tokens, from {source} ({loaded.revision})")
