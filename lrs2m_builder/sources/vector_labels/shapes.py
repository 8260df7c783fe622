"""The objects of label files, and the geometry of their outlines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

Vertex = tuple[float, float]
Ring = tuple[Vertex, ...]
_YES = frozenset(["1", "true", "yes"])


@dataclass(frozen=True, slots=True)
class LabelledObject:
    """One object of a label file (or, without a shape, `count` objects of a class).

    Attributes:
        name: its class.
        count: None if the labels do not give the number of objects: a crowd, a line, a region of a mask.
        kind: whether `parts` are outlines, lines or points; an object without parts has no known position.
        holes: outlines of holes in the parts.
        truncated: the file says that the image shows only part of the object.
        inside: the share of the object in the image, if the file gives it.
        area: in pixels, for an object without parts.
    """

    name: str
    count: int | None = 1
    kind: Literal["area", "line", "point"] = "area"
    parts: tuple[Ring, ...] = ()
    holes: tuple[Ring, ...] = ()
    truncated: bool = False
    inside: float | None = None
    area: float | None = None


@dataclass(frozen=True, slots=True)
class ImageLabels:
    """The labels of one image.

    Attributes:
        size: width and height of the image that the labels were made for, if the file gives them.
        on_earth: the coordinates may be map coordinates (GeoJSON); otherwise they are pixels.
        crs: the coordinate system that the file names; "" without one.
        note: the reason if `things` is empty.
    """

    file: Path
    things: tuple[LabelledObject, ...]
    size: tuple[float, float] | None = None
    on_earth: bool = False
    crs: str = ""
    note: str = "no objects in it"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Unusable labels of an image: a reason and its detail."""

    reason: str
    detail: str


def box(left: float, top: float, right: float, bottom: float) -> Ring:
    """The outline of an axis-aligned box."""
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def rotated_box(x: float, y: float, width: float, height: float, angle: float) -> Ring:
    """The outline of a box around a centre, turned by an angle in radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    sides = ((-width / 2, -height / 2), (width / 2, -height / 2), (width / 2, height / 2), (-width / 2, height / 2))
    return tuple((x + dx * cos - dy * sin, y + dx * sin + dy * cos) for dx, dy in sides)


def pairs(numbers: Sequence[float]) -> Ring:
    """x, y, x, y ... as points."""
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def number(value: Any) -> float:
    """A finite number, also one written as text.

    Raises:
        ValueError: it is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a number")
    try:
        parsed = float(value)
    except (ValueError, OverflowError) as error:  # a whole number may have any number of digits
        raise ValueError(f"{str(value)[:60]!r} is not a number") from error
    if not math.isfinite(parsed):
        raise ValueError(f"{value!r} is not a finite number")
    return parsed


def flag(value: Any) -> bool:
    """Whether a mark such as difficult or iscrowd is set: 1, true or yes, as text or not."""
    return str(value).strip().lower() in _YES


def cut_share(value: Any) -> tuple[bool, float | None]:
    """The meaning of a mark `truncated`: whether the object is cut off and, for a share as in KITTI, what remains."""
    text = str(value).strip().lower()
    try:
        share = float(text)
    except ValueError:
        return text in _YES, None
    return (True, 1 - share) if 0 < share < 1 else (share == 1, None)


def area(ring: Ring) -> float:
    """The area inside an outline, by the shoelace formula."""
    if len(ring) < 3:
        return 0.0
    following = (*ring[1:], ring[0])
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(ring, following, strict=True))) / 2


def clip(ring: Ring, width: float, height: float) -> Ring:
    """The part of an outline inside an image (Sutherland and Hodgman)."""
    for axis, bound, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        clipped: list[Vertex] = []
        for before, point in zip((*ring[-1:], *ring[:-1]), ring, strict=True):
            was_in, is_in = sign * (before[axis] - bound) >= 0, sign * (point[axis] - bound) >= 0
            if was_in != is_in:
                along = (bound - before[axis]) / (point[axis] - before[axis])
                other = before[1 - axis] + along * (point[1 - axis] - before[1 - axis])
                clipped.append((bound, other) if axis == 0 else (other, bound))
            if is_in:
                clipped.append(point)
        ring = tuple(clipped)
    return ring


def length_inside(line: Ring, width: float, height: float) -> float:
    """The length of a line inside an image (Liang and Barsky, segment by segment)."""
    total = 0.0
    for (x1, y1), (x2, y2) in pairwise(line):
        begin, end = 0.0, 1.0
        for start, step, bound in ((x1, x2 - x1, width), (y1, y2 - y1, height)):
            if step:
                low, high = sorted((-start / step, (bound - start) / step))
                begin, end = max(begin, low), min(end, high)
            elif not 0 <= start <= bound:
                end = -1.0
        total += max(0.0, end - begin) * math.hypot(x2 - x1, y2 - y1)
    return total


def points_of(things: Iterable[LabelledObject]) -> list[Vertex]:
    """All points of all objects."""
    return [point for thing in things for ring in (*thing.parts, *thing.holes) for point in ring]


def lower_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping whose keys are read in any letter case."""
    return {str(key).lower(): value for key, value in values.items()}
