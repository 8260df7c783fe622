"""`lrs2m view`."""

from __future__ import annotations

from typing import Annotated

import typer

from lrs2m_builder.commands import DataSetArgument
from lrs2m_builder.commands.export import Where
from lrs2m_builder.terminal import show


def view_command(
    data: DataSetArgument,
    where: Where = None,
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port on 127.0.0.1; 0 uses any free one.")
    ] = 8642,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the default browser.")] = False,
) -> None:
    """Browse and review a data set.

    Serves a local page to filter, search, read, accept and flag the rows (docs/view.md). Ctrl-C ends it; the reviews
    are kept.

    Example:
        lrs2m view out --open
    """
    from lrs2m_builder.dataset.view.run import view

    view(data, where=where, port=port, open_browser=open_, say=show)
