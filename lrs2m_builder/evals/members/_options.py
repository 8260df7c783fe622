"""Options that several evaluations have, as their commands show them."""

from __future__ import annotations

from typing import Annotated

import typer

ImageColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="Column of the images in Parquet or Hub data. By default 'image'.")
]
DataRevision = Annotated[
    str | None, typer.Option(metavar="REV", help="Branch, tag or commit of a data set on the Hub.")
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed for the bootstrap intervals and for sentence shuffling.")]
