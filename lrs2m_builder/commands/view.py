"""`lrs2m view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands.export import Where
from lrs2m_builder.terminal import show


def view_command(
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA...", help="The --out of one or more builds, or folders with such Parquet files."),
    ],
    where: Where = None,
    reviewer: Annotated[
        str, typer.Option(metavar="NAME", help="Who reviews: written beside each verdict and corrected text.")
    ] = "",
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the images of rejected samples are, if they moved since the build."),
    ] = None,
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port on 127.0.0.1; 0 uses any free one.")
    ] = 8642,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the default browser.")] = False,
) -> None:
    """Browse and review a data set.

    Serves a local page to filter, search, read, accept, flag and correct the rows (docs/view.md). Several builds are
    shown together, with all texts of an image side by side. Ctrl-C ends it; the reviews are kept.

    Example:
        lrs2m view out --open --reviewer Ada
    """
    from lrs2m_builder.dataset.view.run import view

    view(
        data[0],
        more=data[1:],
        reviewer=reviewer,
        data_dir=data_dir,
        where=where,
        port=port,
        open_browser=open_,
        say=show,
    )
