"""A scene during layout: polygons in painter's order, each with the object it belongs to.

Everything is drawn as a polygon on a grid of thirds of a pixel. Rounding to that grid hides the last bits in which
machines differ in a sine, so a scene has the same bytes everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

SIDE = 224
MID, LOW, HIGH = SIDE / 2, -110.0, SIDE + 110.0  # HIGH and LOW are outside in every rotation of the scene
QUARTER = math.pi / 2
SCALE = 3  # factor by which scenes are drawn larger before they are shrunk
MARGIN = 3  # pixels between an object and the image's edge
FLAT, TALL, TOP = 0, 1, 2  # layers; shadows fall between FLAT and TALL

RGB = tuple[int, int, int]
Point = tuple[float, float]
GridPoints = list[tuple[int, int]]

PALETTE: dict[str, RGB] = {
    "white": (232, 232, 228),
    "gray": (150, 151, 154),
    "black": (40, 40, 44),
    "red": (170, 62, 52),
    "blue": (62, 96, 156),
    "green": (80, 132, 78),
    "yellow": (216, 184, 74),
    "orange": (206, 124, 62),
    "brown": (124, 86, 60),
    "beige": (206, 190, 158),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled polygon on the grid of thirds; `owner` is the index of its object, -1 for decoration."""

    owner: int
    layer: int
    points: GridPoints
    fill: RGB


@dataclass(frozen=True, slots=True)
class GroundPatch:
    """A piece of ground with a texture; `bank` is the colour of its edge."""

    owner: int
    points: GridPoints
    texture: str
    turned: bool
    bank: RGB | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A placed object: the truth about it, in pixels.

    Attributes:
        polygon: the oriented rectangle around it, or the outline of a band or a region.
        angle: of its length axis, in radians, from the x axis toward the y axis (down).
    """

    name: str
    color: str
    polygon: tuple[Point, ...]
    length: float
    width: float
    angle: float
    center: Point


def shade(color: RGB, factor: float) -> RGB:
    """The colour, lighter (factor above 1) or darker."""
    return (
        min(255, round(color[0] * factor)),
        min(255, round(color[1] * factor)),
        min(255, round(color[2] * factor)),
    )


def on_grid(points: Iterable[Point]) -> GridPoints:
    """Points in pixels, rounded to the drawing grid."""
    return [(round(x * SCALE), round(y * SCALE)) for x, y in points]


def rectangle(center: Point, length: float, width: float, angle: float) -> tuple[Point, ...]:
    """The four corners of an oriented rectangle."""
    u, v = (math.cos(angle) * length / 2, math.sin(angle) * length / 2), (width / 2, angle)
    w = (-math.sin(angle) * v[0], math.cos(angle) * v[0])
    x, y = center
    return (
        (x - u[0] - w[0], y - u[1] - w[1]),
        (x + u[0] - w[0], y + u[1] - w[1]),
        (x + u[0] + w[0], y + u[1] + w[1]),
        (x - u[0] + w[0], y - u[1] + w[1]),
    )


def band(line: Sequence[Point], width: float) -> list[Point]:
    """The outline of a line drawn `width` wide, its joints mitred."""
    left, right = [], []
    for i, (x, y) in enumerate(line):
        before, after = line[max(i - 1, 0)], line[min(i + 1, len(line) - 1)]
        dx, dy = after[0] - before[0], after[1] - before[1]
        norm = math.hypot(dx, dy) or 1.0
        nx, ny = -dy / norm * width / 2, dx / norm * width / 2
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return left + right[::-1]


def apart(a: Sequence[Point], b: Sequence[Point]) -> float:
    """The distance of two convex polygons along the best of their edge normals; negative if they overlap."""
    best = -math.inf
    for polygon in (a, b):
        for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
            norm = math.hypot(x1 - x0, y1 - y0)
            if norm == 0:
                continue
            nx, ny = (y1 - y0) / norm, (x0 - x1) / norm
            on_a, on_b = [x * nx + y * ny for x, y in a], [x * nx + y * ny for x, y in b]
            best = max(best, min(on_b) - max(on_a), min(on_a) - max(on_b))
    return best


def clipped(points: GridPoints, low: int, high: int) -> GridPoints:
    """The part of a polygon with low <= x, y <= high (Sutherland and Hodgman)."""
    if min(map(min, points)) >= low and max(map(max, points)) <= high:
        return points  # nearly all polygons
    for axis in (0, 1):
        for limit, sign in ((low, 1), (high, -1)):
            if all((point[axis] - limit) * sign >= 0 for point in points):
                continue
            inside: GridPoints = []
            for i, end in enumerate(points):
                start = points[i - 1]
                from_, to = (start[axis] - limit) * sign, (end[axis] - limit) * sign
                if (from_ < 0) != (to < 0):
                    other = start[1 - axis] + (end[1 - axis] - start[1 - axis]) * from_ / (from_ - to)
                    inside.append((limit, round(other)) if axis == 0 else (round(other), limit))
                if to >= 0:
                    inside.append(end)
            points = inside
    return points


@dataclass
class Sketch:
    """Collects the objects of a layout.

    Layouts use a square of SIDE pixels whose y axis points down; `turn` and `mirrored` rotate and mirror all of it
    about its centre, so that no direction is special.

    Attributes:
        gsd: metres a pixel.
        sun: the vector by which a thing of one pixel's height throws its shadow.
        blocked: convex footprints that other objects must not overlap, with the object's class.
    """

    random: np.random.Generator
    gsd: float
    sun: Point
    turn: float
    mirrored: bool
    scene: str = ""
    land_cover: list[str] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    regions: list[GroundPatch] = field(default_factory=list)
    shadows: list[GridPoints] = field(default_factory=list)
    blocked: list[tuple[str, Point, float, tuple[Point, ...]]] = field(default_factory=list)

    def px(self, metres: float) -> float:
        """Metres in pixels."""
        return metres / self.gsd

    def pick(self, low: int, high: int) -> int:
        """A random whole number, including both ends."""
        return int(self.random.integers(low, high + 1))

    def between(self, low: float, high: float) -> float:
        """A random number."""
        return low + (high - low) * float(self.random.random())

    def choose(self, *names: str) -> str:
        """One of the names."""
        return names[self.pick(0, len(names) - 1)]

    def chance(self, share: float) -> bool:
        """True with that probability."""
        return float(self.random.random()) < share

    def vary(self, color: str) -> RGB:
        """A colour of the palette, slightly varied."""
        r, g, b = PALETTE[color]
        d, e = self.pick(-7, 7), self.pick(-4, 3)
        return max(0, min(255, r + d)), max(0, min(255, g + d)), max(0, min(255, b + d + e))

    def at(self, point: Point) -> Point:
        """The image coordinates of a layout point."""
        x, y = point[0] - SIDE / 2, point[1] - SIDE / 2
        if self.mirrored:
            x = -x
        c, s = math.cos(self.turn), math.sin(self.turn)
        return x * c - y * s + SIDE / 2, x * s + y * c + SIDE / 2

    def heading(self, angle: float) -> float:
        """The image angle of a layout angle."""
        return (math.pi - angle if self.mirrored else angle) + self.turn

    def is_free(self, corners: Sequence[Point], center: Point, gap: float, over: Sequence[str]) -> bool:
        """Whether a footprint is inside the image and keeps `gap` pixels from all others except those of `over`."""
        if any(not (MARGIN <= x <= SIDE - MARGIN and MARGIN <= y <= SIDE - MARGIN) for x, y in corners):
            return False
        radius = max(math.dist(center, corner) for corner in corners)
        for name, other, other_radius, polygon in self.blocked:
            if name in over or math.dist(center, other) > radius + other_radius + gap:
                continue
            if apart(corners, polygon) < gap:
                return False
        return True

    def block(self, name: str, corners: Sequence[Point]) -> None:
        """Block a convex footprint for other objects."""
        center = (sum(x for x, _ in corners) / len(corners), sum(y for _, y in corners) / len(corners))
        radius = max(math.dist(center, corner) for corner in corners)
        self.blocked.append((name, center, radius, tuple(corners)))
