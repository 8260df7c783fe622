"""`lrs2m tile`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.terminal import show

if TYPE_CHECKING:
    from lrs2m_builder.tile.run import TileReport


def tile_command(
    scenes: Annotated[
        list[Path],
        typer.Argument(metavar="SCENES...", help="Rasters of any size (GeoTIFF, COG, JPEG 2000, VRT), or folders."),
    ],
    out: Annotated[Path, typer.Option(metavar="TILES", help="Output folder: new, empty, or that of an earlier run.")],
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYER[:NAME]",
            help="Vector layer with objects: GeoPackage, GeoJSON, Shapefile, FlatGeobuf, GeoParquet, OpenStreetMap "
            ".osm.pbf; repeatable.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="YAML file: label values to words; osm is the shipped one."),
    ] = None,
    class_column: Annotated[
        str, typer.Option(metavar="NAME", help="Column of --labels that holds an object's class.")
    ] = "class",
    size: Annotated[int, typer.Option(metavar="N", help="Pixels of a tile's side.")] = 512,
    overlap: Annotated[int, typer.Option(metavar="N", help="Pixels that neighbouring tiles share.")] = 0,
    gsd: Annotated[
        float | None, typer.Option(metavar="M", help="Resample to so many metres per pixel; by default as they are.")
    ] = None,
    min_valid: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of a tile's pixels that must not be no-data.")
    ] = 0.9,
    bands: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Bands of the tiles, counted from 1, such as 4,3,2.")
    ] = None,
    stretch: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="Values to 8 bits: scene (percentiles of the scene; 8-bit as it is), none, or LOW:HIGH.",
        ),
    ] = "scene",
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Of the tiles: jpeg, png or webp (lossless).")
    ] = "jpeg",
    min_inside: Annotated[
        float,
        typer.Option(metavar="SHARE", help="An object with this share inside a tile is named there, however small."),
    ] = 0.5,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes; by default one per core.")] = None,
    as_json: Json = False,
) -> None:
    """Cut large rasters into tiles with anchors.

    Reads scenes of any size window by window, stretches each as a whole, and writes tiles with their place on Earth;
    objects of vector layers become the tiles' anchors, counted only where no object of the class is cut off. The
    folder is a source for lrs2m build. docs/tile.md.

    Example:
        lrs2m tile scene.tif --labels buildings.gpkg --out tiles
    """
    from lrs2m_builder.tile.options import TileOptions, parse_bands
    from lrs2m_builder.tile.run import tile

    options = TileOptions(
        scenes=tuple(scenes),
        out=out,
        labels=tuple(labels or ()),
        classes=classes,
        class_column=class_column,
        size=size,
        overlap=overlap,
        gsd=gsd,
        min_valid=min_valid,
        bands=parse_bands(bands),
        stretch=stretch,
        format=format_,
        min_inside=min_inside,
        workers=workers or os.cpu_count() or 1,
    )
    report = tile(options, show_progress=sys.stderr.isatty() and not as_json)
    if as_json:
        print_json(_json_of(report))
        return
    show("\n".join(_lines(report, has_labels=bool(options.labels))))


def _json_of(report: TileReport) -> dict[str, object]:
    return {
        "scenes": report.scenes,
        "tiles": report.tiles,
        "skipped": report.skipped,
        "label_problems": report.problems,
        "manifest": str(report.manifest),
    }


def _lines(report: TileReport, *, has_labels: bool) -> list[str]:
    tiles, scenes = ("tile", "tiles")[report.tiles != 1], ("scene", "scenes")[report.scenes != 1]
    lines = [f"{report.tiles:,} {tiles} of {report.scenes:,} {scenes} in {report.manifest.parent}"]
    lines += [f"  {number:>8,}  left out: {reason.replace('_', ' ')}" for reason, number in report.skipped.items()]
    lines += [f"  {number:>8,}  labelled objects: {reason}" for reason, number in report.problems.items()]
    if report.tiles:
        recipe = "vector_anchored" if has_labels else "image_to_text"
        lines += [
            "build from them with:",
            f"  lrs2m build --recipe {recipe} --source {report.manifest} --model MODEL --out OUT",
        ]
    return lines
