"""`lrs2m sample`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.terminal import show

MOSAIC = "mosaic"  # one raster and a map layer: to be tiled, so no source yet
FORMAT_NAMES = "world, evaluation, karpathy, vhm, rs5m, remoteclip, geojson, dota, voc, coco, mask, jsonl"


def sample_command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder: new or empty.")],
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help=f"Format of the annotations: {FORMAT_NAMES}, {MOSAIC}.")
    ] = "world",
    scenes: Annotated[int, typer.Option(metavar="N", min=1, help="Number of scenes to draw.")] = 96,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the scenes.")] = 0,
) -> None:
    """Draw scenes with known objects and texts.

    Writes the images, the annotations in the format of a real source, and a manifest that reads them; prints the
    command that builds from them. The format mosaic is one GeoTIFF of all scenes and a GeoJSON layer of their objects,
    for lrs2m tile. Formats: docs/sample.md.

    Example:
        lrs2m sample --out scenes --format dota --scenes 200
    """
    if format_ == MOSAIC:
        _draw_mosaic(out, scenes, seed)
        return
    from lrs2m_builder.sample.formats import write_sample_source

    manifest = write_sample_source(format_, out, scenes, seed, progress=sys.stderr.isatty())
    show(f"{scenes} scenes in {out}; build from them with a RECIPE that fits the format:")
    show(f"  lrs2m build --recipe RECIPE --source {manifest} --data-dir {out} --out OUT")


def _draw_mosaic(out: Path, scenes: int, seed: int) -> None:
    from lrs2m_builder.sample.drawing.sketch import SIDE
    from lrs2m_builder.sample.mosaic import write_mosaic

    raster, layer = write_mosaic(out, scenes, seed, progress=sys.stderr.isatty())
    show(f"{scenes} scenes as one raster in {out}; cut it into tiles with the objects of the layer as anchors:")
    show(f"  lrs2m tile {raster} --labels {layer} --size {SIDE} --out TILES")
