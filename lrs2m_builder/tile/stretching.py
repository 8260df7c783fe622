"""One stretch per scene: which values become black and white, the same for all its tiles.

Percentiles per band as for single images (`images/pixels.py`), from a smaller overview of the scene or, without one,
from windows spread over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrs2m_builder.images.nodata import find_constants, say_once
from lrs2m_builder.images.pixels import STRETCH_PERCENT
from lrs2m_builder.tile.options import TileOptions
from lrs2m_builder.tile.scene import Scene, opened

MAX_SIDE = 2048  # of the overview that is read
MIN_SIDE = 256  # a smaller overview has too few pixels for percentiles
_WINDOWS, _WINDOW = 16, 96  # without overviews: windows per side of the scene, pixels per side of a window
_LUT_TYPES = {"uint8", "uint16", "int16"}


@dataclass(frozen=True, slots=True)
class Stretch:
    """How a scene's values become 8 bits.

    Attributes:
        limits: of each band, the values that become 0 and 255; None if values are kept (clipped to 0..255).
        constants: of each band, untagged no-data values.
    """

    limits: tuple[tuple[float, float], ...] | None
    constants: tuple[tuple[float, ...], ...]


def find_stretch(scene: Scene, options: TileOptions) -> Stretch:
    """The stretch of a scene. Untagged no-data counts if every band has some."""
    none = tuple(() for _ in scene.bands)
    if scene.palette:
        return Stretch(None, none)
    with opened(scene.path, warped=scene.is_warped) as raster:
        samples = _samples(raster, scene)
    found = [tuple(find_constants(values)) if values.size else () for values in samples]
    constants = tuple(found) if all(found) and scene.mask != "band" else none
    if any(constants):
        say_once(list(constants[0]), scene.path)
    if fixed := options.fixed_stretch:
        return Stretch(tuple(fixed for _ in scene.bands), constants)
    if options.stretch == "none" or scene.dtype == "uint8":
        return Stretch(None, constants)
    return Stretch(tuple(map(_limits, samples, constants)), constants)


def _limits(values: np.ndarray, constants: tuple[float, ...]) -> tuple[float, float]:
    values = values[~np.isin(values, constants)] if constants else values
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, STRETCH_PERCENT))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return low, high if high > low else low + 1


def _samples(raster: Any, scene: Scene) -> list[np.ndarray]:
    """The valid values of each band in a sample of the scene."""
    parts: list[list[np.ndarray]] = [[] for _ in scene.bands]
    for pixels in _sampled_windows(raster, list(scene.bands)):
        for values, part in zip(pixels, parts, strict=True):
            valid = np.ma.compressed(values)
            part.append(valid[np.isfinite(valid)])
    return [np.concatenate(part) for part in parts]


def _sampled_windows(raster: Any, bands: list[int]) -> Iterator[np.ma.MaskedArray]:
    from rasterio.enums import Resampling
    from rasterio.windows import Window

    shrink = max(1.0, max(raster.width, raster.height) / MAX_SIDE)
    has_overview = any(1 < each <= max(raster.width, raster.height) / MIN_SIDE for each in raster.overviews(bands[0]))
    if shrink == 1 or has_overview:
        shape = len(bands), max(1, int(raster.height / shrink)), max(1, int(raster.width / shrink))
        # Nearest, the default, would read every pixel of the scene if no overview has exactly this size.
        yield raster.read(bands, out_shape=shape, masked=True, resampling=Resampling.average)
        return
    for top in _spread(raster.height):
        for left in _spread(raster.width):
            window = Window(left, top, min(_WINDOW, raster.width), min(_WINDOW, raster.height))
            yield raster.read(bands, window=window, masked=True)


def _spread(length: int) -> list[int]:
    """Offsets of windows, evenly over a side."""
    last = max(0, length - _WINDOW)
    return sorted({round(last * number / (_WINDOWS - 1)) for number in range(_WINDOWS)})


class Converter:
    """Makes 8-bit pixels of a scene's values, and says which of them are valid."""

    def __init__(self, scene: Scene, stretch: Stretch) -> None:
        self._scene, self._stretch = scene, stretch
        self._palette = np.frombuffer(scene.palette, np.uint8).reshape(256, 3) if scene.palette else None
        self._is_plain = scene.dtype == "uint8" and stretch.limits is None
        has_table = not self._is_plain and scene.dtype in _LUT_TYPES
        self._tables = [self._table(band) for band in range(len(scene.bands))] if has_table else None

    @property
    def depth(self) -> int:
        """Channels of the 8-bit pixels: 1 or 3."""
        return 3 if self._palette is not None else len(self._scene.bands)

    def pixels(self, values: np.ndarray, valid: np.ndarray | None, out: np.ndarray) -> None:
        """Write the 8-bit pixels of values (B, H, W) to `out` (H, W, depth); no-data becomes black."""
        if self._palette is not None:
            out[:] = self._palette[values[0]]
            if valid is not None:
                out[~valid] = 0
            return
        for band, each in enumerate(values):  # one by one: numpy copies a transposed array ten times slower
            grey = each if self._is_plain else self._converted(each, band)
            out[:, :, band] = grey if valid is None else grey * valid

    def valid(self, values: np.ndarray, mask: np.ndarray | None) -> np.ndarray | None:
        """Which pixels (H, W) hold data in any of the bands; None if all do.

        Args:
            mask: the scene's own mask (H, W), 0 where it says no-data.
        """
        if mask is not None:
            return np.asarray(mask != 0)
        if self._scene.mask != "values" and not any(self._stretch.constants):
            return None
        empty = np.ones(values.shape[1:], bool)
        for each, nodata, constants in zip(values, self._scene.nodata, self._stretch.constants, strict=True):
            unset = ~np.isfinite(each) if each.dtype.kind == "f" else np.zeros(each.shape, bool)
            for value in (nodata, *constants):
                if value is not None and not np.isnan(value):
                    unset |= each == value
            empty &= unset
        return ~empty

    def _converted(self, values: np.ndarray, band: int) -> np.ndarray:
        if self._tables is None:
            return self._ramp(values, band)
        return self._tables[band].take(values.view(np.uint16) if values.dtype == np.int16 else values)

    def _table(self, band: int) -> np.ndarray:
        """The 8-bit value of every value of the type, int16 by its bits."""
        kind = np.dtype(self._scene.dtype)
        every = np.arange(2 ** (8 * kind.itemsize), dtype=f"uint{8 * kind.itemsize}").view(kind)
        return self._ramp(every, band)

    def _ramp(self, values: np.ndarray, band: int) -> np.ndarray:
        low, high = self._stretch.limits[band] if self._stretch.limits else (0.0, 255.0)
        wide = values.astype(np.float64 if values.dtype.itemsize > 4 or values.dtype.kind in "ui" else np.float32)
        scaled = np.multiply(np.subtract(wide, low), 255 / (high - low))
        scaled = np.nan_to_num(np.clip(scaled, 0, 255))
        return np.asarray(scaled.astype(np.uint8))
