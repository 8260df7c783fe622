"""`lrs2m compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands import print_json
from lrs2m_builder.terminal import say, show

_DATA = "The --out of a build, or a folder of such Parquet files"


def compare_command(
    a: Annotated[Path, typer.Argument(metavar="OUT_A", help=f"{_DATA}.")],
    b: Annotated[Path, typer.Argument(metavar="OUT_B", help=f"{_DATA}, with texts of the same images.")],
    votes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the votes are kept (default: OUT_A/votes/NAME_OF_B.jsonl)."),
    ] = None,
    reviewer: Annotated[str, typer.Option(metavar="NAME", help="Who votes: written beside each vote.")] = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="Number of images to vote on.")] = 100,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Decides which images are drawn, their order and their sides.")
    ] = 0,
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port on 127.0.0.1; 0 uses any free one.")
    ] = 8642,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the default browser.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table of the votes so far as one JSON object, and end.")
    ] = False,
) -> None:
    """Compare two builds by blind votes.

    Serves a local page that shows each image with the texts of both builds, without names and with shuffled sides, and
    takes votes by keys: left, right, tie, both bad. At the end it names the builds and shows the wins with a 95 %
    interval, beside lengths, warnings, rejections and scores (docs/compare.md). Ctrl-C ends it; the same command
    resumes.

    Example:
        lrs2m compare out-qwen out-internvl --open --reviewer Ada
        lrs2m compare out-qwen out-internvl --json
    """
    from lrs2m_builder.dataset.compare.run import notes, serve_votes
    from lrs2m_builder.dataset.compare.voting import Voting

    voting = Voting(a, b, votes, reviewer, limit=limit, seed=seed)
    for line in notes(voting):
        say(line)
    if as_json:
        print_json(voting.table())
    else:
        serve_votes(voting, port, open_browser=open_, say=show)
