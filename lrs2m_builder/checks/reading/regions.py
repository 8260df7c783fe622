"""Regions of an image that words name, and whether a box may be said to lie in one.

    left, right, top, bottom (also north, west, ...), with half, part or side   that half of the image
    two of them ("upper left", "southeast"), corner, third                      that third, along each axis
    two of them with quarter or quadrant                                        that half, along each axis
    center, middle                                                              the middle third, along each axis
    edge, border, margin                                                        the outer fifth

Where objects are told one by one, the places are told apart: beside "in the center", "on the left" is the left third;
beside "in the upper left" or "in the lower left" it is the middle third from top to bottom, too.

Readers differ near a border: a box may lie in a region if, along each axis, a quarter of it lies within the region or
closer to it than a sixteenth of the image's side.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.schema import Box

TOLERANCE = 1 / 16  # of the image's side
PART = 0.25  # of a box's width or height
HALF, THIRD, EDGE = 1 / 2, 1 / 3, 1 / 5
_EDGES = word_set("edge edges border borders margin margins boundary")
_QUARTERS = word_set("quarter quadrant half halves")
_THIRDS = word_set("corner corners third")
Span = tuple[float, float]
Axes = tuple[int, int]
_EVERYWHERE, _MIDDLE = (0.0, 1.0), (THIRD, 1 - THIRD)


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image: from where to where, in shares of its width and of its height."""

    across: Span
    down: Span

    def may_hold(self, box: Box, size: tuple[int, int]) -> bool:
        """Whether a careful reader may say that the box, in pixels of an image of this size, lies here."""
        left, top, right, bottom = box
        width, height = size
        return _is_near(self.across, left / width, right / width) and _is_near(self.down, top / height, bottom / height)


def region_of(axes: Axes, words: Collection[str], others: Collection[Axes] = ()) -> Region:
    """The region that a place phrase names.

    Args:
        axes: -1 left, 1 right; -1 bottom, 1 top; 0 if the words do not say.
        words: of the phrase, such as "half" or "corner".
        others: the axes of other places, from which this one is told apart.
    """
    x, y = axes
    if not x and not y:
        return Region(_MIDDLE, _MIDDLE)
    if not _EDGES.isdisjoint(words):
        depth = EDGE
    elif not _QUARTERS.isdisjoint(words):
        depth = HALF
    elif (x and y) or not _THIRDS.isdisjoint(words):
        depth = THIRD
    else:
        depth = THIRD if (0, 0) in others else HALF
        if any(other != axes and (other[0] == x != 0 or other[1] == y != 0) for other in others):
            return Region(_side(x, depth) if x else _MIDDLE, _side(-y, depth) if y else _MIDDLE)
    return Region(_side(x, depth), _side(-y, depth))


def _side(direction: int, depth: float) -> Span:
    return _EVERYWHERE if not direction else (0.0, depth) if direction < 0 else (1 - depth, 1.0)


def _is_near(span: Sequence[float], low: float, high: float) -> bool:
    inside = min(high, span[1] + TOLERANCE) - max(low, span[0] - TOLERANCE)
    return inside >= PART * (high - low) if high > low else inside >= 0


def can_hold_each(regions: Sequence[Region], boxes: Sequence[Box], size: tuple[int, int]) -> bool:
    """Whether every region may hold a box of its own: a matching, found by augmenting paths."""
    holder: dict[int, int] = {}  # region by box

    def give(region: int, tried: set[int]) -> bool:
        for number, box in enumerate(boxes):
            if number not in tried and regions[region].may_hold(box, size):
                tried.add(number)
                if number not in holder or give(holder[number], tried):
                    holder[number] = region
                    return True
        return False

    return all(give(region, set()) for region in range(len(regions)))
