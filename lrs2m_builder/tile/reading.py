"""Reads one row of tiles of a scene in bounded memory, whatever the scene's width and the form of its blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrs2m_builder.images.place import Window
from lrs2m_builder.tile.options import TileOptions
from lrs2m_builder.tile.scene import Scene, pixel_window
from lrs2m_builder.tile.stretching import Converter

MAX_READ = 16 * 2**20  # bytes of pixel values read from blocks at once
MAX_LINES = 4 * 2**20  # bytes read from strips at once
MAX_ROW = 32 * 2**20  # bytes of 8-bit pixels; a wider scene in strips is read in several turns


@dataclass(frozen=True, slots=True)
class TilePixels:
    """The pixels (H, W, 1 or 3) of one tile, 8 bits, and the share of them that is not no-data.

    The pixels mean nothing if the share is less than the options ask for.
    """

    column: int
    pixels: np.ndarray
    valid_share: float


def read_row(raster: Any, scene: Scene, row: int, converter: Converter, options: TileOptions) -> Iterator[TilePixels]:
    """Yield the tiles of a row from left to right. A tile's pixels are valid until the next one is taken."""
    if scene.is_striped and scene.zoom == (1.0, 1.0):
        yield from _from_strips(raster, scene, row, converter, options)
    else:
        yield from _from_blocks(raster, scene, row, converter, options)


def _from_blocks(
    raster: Any, scene: Scene, row: int, converter: Converter, options: TileOptions
) -> Iterator[TilePixels]:
    """Read as many tiles at once as memory allows: one call of GDAL, each block decoded once."""
    size, offsets = options.size, scene.column_offsets(options)
    per_pixel = len(scene.bands) * np.dtype(scene.dtype).itemsize
    together = max(1, (MAX_READ // (per_pixel * size) - size) // options.stride + 1)
    for first in range(0, len(offsets), together):
        group = offsets[first : first + together]
        left, width = group[0], group[-1] + size - group[0]
        values, valid = _read(raster, scene, (left, row, width, size), converter)
        out = np.empty((size, size, converter.depth), np.uint8)
        for column in group:
            cut = slice(column - left, column - left + size)
            own = None if valid is None else valid[:, cut]
            share = 1.0 if own is None else float(own.mean())
            if share >= options.min_valid:
                converter.pixels(values[:, :, cut], own, out)
            yield TilePixels(column, out, share)


def _from_strips(
    raster: Any, scene: Scene, row: int, converter: Converter, options: TileOptions
) -> Iterator[TilePixels]:
    """Read whole strips, each decoded once, into an 8-bit picture of the row of tiles."""
    per_column = options.size * converter.depth * options.stride
    together = max(1, MAX_ROW // per_column)
    offsets = scene.column_offsets(options)
    for first in range(0, len(offsets), together):
        yield from _from_lines(raster, scene, row, converter, options, offsets[first : first + together])


def _from_lines(
    raster: Any, scene: Scene, row: int, converter: Converter, options: TileOptions, offsets: Sequence[int]
) -> Iterator[TilePixels]:
    """The tiles at some columns, from a few lines of the scene at a time."""
    size, left = options.size, offsets[0]
    width = offsets[-1] + size - left
    per_line = len(scene.bands) * np.dtype(scene.dtype).itemsize * width
    lines = max(1, min(size, MAX_LINES // per_line))
    out = np.empty((size, width, converter.depth), np.uint8)
    num_valid = np.zeros(width, np.int64)
    for top in range(0, size, lines):
        height = min(lines, size - top)
        values, valid = _read(raster, scene, (left, row + top, width, height), converter)
        converter.pixels(values, valid, out[top : top + height])
        num_valid += height if valid is None else valid.sum(axis=0)
    for column in offsets:
        cut = slice(column - left, column - left + size)
        yield TilePixels(column, out[:, cut], float(num_valid[cut].sum()) / size**2)


def _read(raster: Any, scene: Scene, window: Window, converter: Converter) -> tuple[np.ndarray, np.ndarray | None]:
    """The values (B, H, W) of a window, and which of its pixels are valid (None: all)."""
    from rasterio.enums import Resampling
    from rasterio.windows import Window as RasterWindow

    region = RasterWindow(*pixel_window(scene, window))
    how: dict[str, Any] = {"window": region}
    if scene.zoom != (1.0, 1.0):
        shrinks = min(scene.zoom) >= 1
        resampling = Resampling.nearest if scene.palette else Resampling.average if shrinks else Resampling.bilinear
        how |= {"out_shape": (len(scene.bands), window[3], window[2]), "resampling": resampling}
    values = raster.read(list(scene.bands), **how)
    mask = None
    if scene.mask == "band":
        mask = raster.read_masks(scene.bands[0], **how | ({"out_shape": how["out_shape"][1:]} if len(how) > 1 else {}))
    return values, converter.valid(values, mask)
