"""`lrs2m split`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from lrs2m_builder.commands import DataSetArgument, Json, print_json
from lrs2m_builder.terminal import say, show


def split_command(
    data: DataSetArgument,
    by: Annotated[
        Literal["cell"], typer.Option(metavar="cell", help="What is kept together: cells of a grid.")
    ] = "cell",
    km: Annotated[float, typer.Option(metavar="KM", help="Side of a cell of the Major-TOM grid in kilometres.")] = 10.0,
    shares: Annotated[
        str, typer.Option(metavar="NAME=N,...", help="Names of the parts and the share of rows in each.")
    ] = "train=8,val=1,test=1",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Another seed puts other cells into the parts.")] = 0,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an earlier split with other settings.")] = False,
    as_json: Json = False,
) -> None:
    """Split a data set by place.

    Puts whole cells of a grid into parts, and leaves rows without a split whose footprint overlaps one of another part,
    so that no ground is in two. The result is the column split for --where, export, publish and train, in tables beside
    the data (scores/split/); the data set stays unchanged. Needs the extra 'geo'. See docs/place.md.

    Example:
        lrs2m split out --by cell --km 10
    """
    from lrs2m_builder.dataset.split import SplitSettings, split

    report = split(data, SplitSettings(km, _shares(shares), seed), say, replace=replace)
    if as_json:
        print_json(asdict(report))
        return
    total = sum(report.rows.values())
    for name, rows in report.rows.items():
        show(f"  {rows:>9,}  {rows / max(total, 1):>6.1%}  {name}, in {report.cells[name]:,} cells")
    show(f"  {report.num_overlapping:>9,}  without a split: they overlap another part")
    show(f"  {report.num_without_place:>9,}  without a split: they have no place")
    show(f"""keep a part with --where "split = '{next(iter(report.rows))}'" """.rstrip())


def _shares(text: str) -> dict[str, float]:
    from lrs2m_builder.errors import UserError

    shares = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError as error:
            raise UserError(f"--shares {text!r}: write NAME=NUMBER,..., such as train=8,test=2") from error
        if not name.strip().isidentifier():
            raise UserError(f"--shares {text!r}: {name.strip()!r} is no name of a part; use letters, digits and _")
    return shares
