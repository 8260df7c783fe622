"""Masks: images whose pixels state the class, by value (LoveDA, mmseg's layout) or by colour (ISPRS Potsdam)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.load import opened
from lrs2m_builder.images.pixels import bounded
from lrs2m_builder.sources.vector_labels.shapes import ImageLabels, LabelledObject

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")  # not JPEG, which changes pixel values
_FORMATS = ("PNG", "TIFF", "BMP", "GIF")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class Masks:
    """How masks are read.

    Attributes:
        classes: words, or None to drop the class, by pixel value ("3") or by colour ("#ff0000"), not mixed.
        min_share: the share of the image's pixels that an uncounted class must cover.
        countable: words of the classes whose connected regions are counted.
        min_area: pixels of the smallest region that counts.
    """

    classes: Mapping[str, str | None]
    min_share: float
    countable: tuple[str, ...]
    min_area: int

    def find(self, path: Path) -> ImageLabels:
        """The classes that are large enough, counted or not, each named by one of its keys.

        Raises:
            UserError: not a mask, or a pixel value that is not in the option classes.
        """
        keys, in_colours = self._numbers(path)
        pixels = _load_pixels(path, in_colours)
        values, areas = np.unique(pixels, return_counts=True)
        things = []
        for words, numbers in self._named(path, keys, values, in_colours).items():
            count = self._count(pixels, numbers) if words in self.countable else None
            share = areas[np.isin(values, numbers)].sum() / pixels.size
            if count or (count is None and share >= self.min_share):
                things.append(LabelledObject(keys[numbers[0]], count))
        height, width = pixels.shape
        return ImageLabels(path, tuple(things), (width, height), note="no class with words is large enough")

    def _numbers(self, path: Path) -> tuple[dict[int, str], bool]:
        """The keys of `classes` by pixel number, and whether they are colours."""
        if not self.classes:
            raise UserError(f"{path}: a mask needs the option classes: the words of its pixel values or colours")
        if unknown := sorted(set(self.countable) - set(self.classes.values())):
            raise UserError(f"option countable: {unknown[0]!r} is not among the words of the option classes")
        if all(key.isdecimal() for key in self.classes):
            return {int(key): key for key in self.classes}, False
        if all(_COLOUR.fullmatch(key) for key in self.classes):
            return {int(key[1:], 16): key for key in self.classes}, True
        raise UserError('option classes: keys for masks are pixel values (3) or colours ("#ff0000"), not both')

    def _named(self, path: Path, keys: Mapping[int, str], values: np.ndarray, in_colours: bool) -> dict[str, list[int]]:
        """The pixel numbers of each class in the mask that is not dropped."""
        numbers: dict[str, list[int]] = {}
        for value in map(int, values):
            if value not in keys:
                shown = f"colour #{value:06x}" if in_colours else f"pixel value {value}"
                raise UserError(f"{path}: {shown} is not in the option classes; give it words, or null to drop it")
            if words := self.classes[keys[value]]:
                numbers.setdefault(words, []).append(value)
        return numbers

    def _count(self, pixels: np.ndarray, numbers: list[int]) -> int:
        """Connected regions of at least `min_area` pixels; pixels that touch at a corner are connected."""
        from rasterio.features import shapes

        mask = np.isin(pixels, numbers)
        regions = shapes(mask.astype(np.uint8), mask=mask, connectivity=8)
        return sum(_area(geometry["coordinates"]) >= self.min_area for geometry, _ in regions)


def _load_pixels(path: Path, in_colours: bool) -> np.ndarray:
    """One number per pixel, (H, W): the value, or the colour as 0xrrggbb."""
    try:
        with opened(path) as image:
            if image is None or image.format not in _FORMATS:
                raise UserError(f"{path}: not a readable mask; write {', '.join(_FORMATS)}")
            with bounded(path, *image.size):
                pixels = np.asarray(image.convert("RGB") if in_colours else image)
    except SampleError as error:
        raise UserError(f"{error.detail}; not a readable mask") from error
    if in_colours:
        return pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    if pixels.ndim == 3 and (pixels[..., :3] != pixels[..., :1]).any():
        raise UserError(f'{path}: a mask in colours; give its classes by colour ("#ff0000")')
    if pixels.dtype.kind not in "bui":
        raise UserError(f"{path}: pixels of type {pixels.dtype}; a mask needs whole numbers")
    # A grey image saved in colour repeats its value in three channels.
    return (pixels if pixels.ndim == 2 else pixels[..., 0]).astype(np.int64)


def _area(rings: list[list[tuple[Any, Any]]]) -> float:
    """Pixels inside the first ring and outside the others (the shoelace formula is exact on pixel corners)."""
    areas = []
    for ring in rings:
        x, y = np.array(ring).T
        areas.append(abs(float(x[:-1] @ y[1:] - x[1:] @ y[:-1])) / 2)
    return areas[0] - sum(areas[1:])
