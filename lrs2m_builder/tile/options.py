"""The options of `lrs2m tile`, checked before anything is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError, not_among

FORMATS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
MIN_SIZE, MAX_SIZE = 16, 8192


@dataclass(frozen=True, slots=True)
class TileOptions:
    """What to cut, and how.

    Attributes:
        scenes: raster files, or folders of them.
        labels: vector layers: a path, or path:layer.
        classes: YAML file that gives label values their words; "osm" is the shipped one for OpenStreetMap.
        class_column: column with the class of an object, for values without a column of their own in `classes`.
        size, overlap: pixels of a tile's side, and how many of them it shares with the next tile.
        gsd: metres per pixel of the tiles; None keeps the scene's pixels.
        min_valid: share of a tile's pixels that must not be no-data.
        bands: red, green and blue (or one band), counted from 1; None is the first three, or the first.
        stretch: "scene" (percentiles of the scene; 8-bit stays as it is), "none", or "A:B".
        format: of the tiles: jpeg, png or webp (lossless).
        min_inside: share of an object that must be in a tile to be named there whatever its size.
        workers: processes; the result does not depend on it.
    """

    scenes: tuple[Path, ...]
    out: Path
    labels: tuple[str, ...] = ()
    classes: str | None = None
    class_column: str = "class"
    size: int = 512
    overlap: int = 0
    gsd: float | None = None
    min_valid: float = 0.9
    bands: tuple[int, ...] | None = None
    stretch: str = "scene"
    format: str = "jpeg"
    min_inside: float = 0.5
    workers: int = 1

    def __post_init__(self) -> None:
        """Raises:
        UserError: a value cannot be used.
        """
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise UserError(f"--size {self.size}: give {MIN_SIZE} to {MAX_SIZE} pixels")
        if not 0 <= self.overlap < self.size:
            raise UserError(f"--overlap {self.overlap}: give 0 to {self.size - 1}, less than --size")
        for name, share in (("min-valid", self.min_valid), ("min-inside", self.min_inside)):
            if not 0 <= share <= 1:
                raise UserError(f"--{name} {share}: give a share from 0 to 1")
        if self.gsd is not None and not (math.isfinite(self.gsd) and self.gsd > 0):
            raise UserError(f"--gsd {self.gsd}: give metres per pixel, such as 0.5")
        if self.format not in FORMATS:
            raise UserError(f"--format {self.format}{not_among(self.format, list(FORMATS))}")
        if self.bands is not None and (len(self.bands) not in {1, 3} or min(self.bands) < 1):
            raise UserError(f"--bands {','.join(map(str, self.bands))}: give one band or three, counted from 1")
        if self.classes and not self.labels:
            raise UserError("--classes gives words to --labels; give a layer, or leave it out")
        self.fixed_stretch  # noqa: B018 - checked here

    @property
    def fixed_stretch(self) -> tuple[float, float] | None:
        """The two values of `--stretch A:B`; None for scene and none."""
        if self.stretch in {"scene", "none"}:
            return None
        low, _, high = self.stretch.partition(":")
        try:
            ends = float(low), float(high)
        except ValueError as error:
            raise UserError(f"--stretch {self.stretch}: give scene, none, or A:B such as 0:3000") from error
        if not (all(map(math.isfinite, ends)) and ends[0] < ends[1]):
            raise UserError(f"--stretch {self.stretch}: the first number must be the smaller one")
        return ends

    @property
    def stride(self) -> int:
        """Pixels from one tile to the next."""
        return self.size - self.overlap

    def settings(self) -> dict[str, Any]:
        """The options on which the result depends, as stored and compared."""
        return {
            **{name: getattr(self, name) for name in ("size", "overlap", "gsd", "min_valid", "stretch", "format")},
            "bands": list(self.bands) if self.bands else None,
            **({"class_column": self.class_column, "min_inside": self.min_inside} if self.labels else {}),
        }


def parse_bands(text: str | None) -> tuple[int, ...] | None:
    """The numbers of "4,3,2".

    Raises:
        UserError: they are not numbers.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--bands {text}: give numbers such as 4,3,2") from error
