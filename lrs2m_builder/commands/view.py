"""`lrs2m view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.terminal import show


def view_command(
    data: Annotated[
        Path, typer.Argument(help="The --out of a build, or any folder of Parquet files with its columns.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes any free one.")] = 8642,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the default browser.")] = False,
) -> None:
    """Look through a data set in the browser: filter, search, read, accept or flag; Ctrl-C ends it."""
    from lrs2m_builder.dataset.view.run import view

    view(data, port=port, open_browser=open_, say=show)
