"""`lrs2m sample`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.terminal import show

FORMAT_NAMES = "world, evaluation, karpathy, vhm, rs5m, remoteclip, geojson, dota, voc, coco, mask, jsonl"


def sample_command(
    out: Annotated[Path, typer.Option(help="Folder to write to; new or empty.")],
    format_: Annotated[str, typer.Option("--format", help=f"One of {FORMAT_NAMES}.")] = "world",
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 96,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other scenes.")] = 0,
) -> None:
    """Draw scenes whose truth is known, in the format of a real source, and say how to build from them."""
    from lrs2m_builder.sample.formats import write_sample_source

    manifest = write_sample_source(format_, out, scenes, seed, progress=sys.stderr.isatty())
    show(f"{scenes} scenes in {out}; with a RECIPE that reads what this format holds:")
    show(f"  lrs2m build --recipe RECIPE --source {manifest} --data-dir {out} --out OUT")
