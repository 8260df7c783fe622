"""Cells and halves of an image, and how many things are certainly or possibly in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioner_training.texts import NEAR
from lrs2m_builder.sample.drawing.scene import CELLS, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.words import IN_CELL

HALVES = {"left": (0, -1), "right": (0, 1), "upper": (1, -1), "lower": (1, 1)}


@dataclass(frozen=True, slots=True)
class Region:
    """A cell of the grid of three by three, or a half of the image."""

    name: str

    @property
    def is_half(self) -> bool:
        """Whether it is a half."""
        return self.name.endswith("half")

    def depth(self, thing: SceneObject) -> float:
        """How far inside the middle of a thing is, in pixels; below 0 outside."""
        if self.is_half:
            axis, sign = HALVES[self.name.removesuffix(" half")]
            return sign * (thing.center[axis] - SIDE / 2)
        row = next(row for row in range(3) if self.name in CELLS[row])
        at = (CELLS[row].index(self.name), row)
        third, outer = SIDE / 3, 4.0 * SIDE
        return min(
            min(
                value - third * n if n else outer,
                third * (n + 1) - value if n < 2 else outer,
            )
            for value, n in zip(thing.center, at, strict=True)
        )

    def words(self, random: np.random.Generator) -> str:
        """As texts say it."""
        if self.is_half:
            return f"in the {self.name} of the image"
        ends = ["", "", " of the image", " of the image", " of the image"]
        ends += [" corner", " corner of the image"] if " " in self.name else []
        ends += [" side of the image"] if self.name in {"left", "right"} else []
        return f"{IN_CELL[self.name]}{ends[int(random.integers(len(ends)))]}"


@dataclass(frozen=True, slots=True)
class Where:
    """The regions of a kind of claims."""

    kind: str
    regions: tuple[Region, ...]


CELL = Where("place", tuple(Region(name) for row in CELLS for name in row))
HALF = Where("half", tuple(Region(f"{half} half") for half in HALVES))


def counted(things: Sequence[SceneObject], region: Region | None) -> tuple[int, int, int]:
    """How many are certainly in the region, are by their middle, and may be said to be."""
    if region is None:
        return (len(things),) * 3
    depths = [region.depth(thing) for thing in things]
    return sum(d >= NEAR for d in depths), sum(d >= 0 for d in depths), sum(d > -NEAR for d in depths)
