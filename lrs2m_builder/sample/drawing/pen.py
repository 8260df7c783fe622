"""Draws one object in its own coordinates: u along its length, v across, both from its centre, in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lrs2m_builder.sample.drawing.sketch import RGB, SCALE, Point, Shape, Sketch, band, on_grid


@dataclass(frozen=True, slots=True)
class Pen:
    """The position of an object, and the sketch that receives its polygons.

    Attributes:
        owner: index of the object, -1 for decoration such as driveways and wakes.
        rgb: its colour, a little off the palette's.
    """

    sketch: Sketch
    owner: int
    layer: int
    center: Point
    angle: float
    length: float
    width: float
    rgb: RGB

    def out(self, points: Sequence[Point]) -> list[Point]:
        """The object's coordinates as image coordinates."""
        (x, y), c, s = self.center, math.cos(self.angle), math.sin(self.angle)
        return [(x + u * c - v * s, y + u * s + v * c) for u, v in points]

    def poly(self, points: Sequence[Point], fill: RGB) -> None:
        """A filled polygon."""
        self.sketch.shapes.append(Shape(self.owner, self.layer, on_grid(self.out(points)), fill))

    def rect(self, u0: float, v0: float, u1: float, v1: float, fill: RGB) -> None:
        """A filled rectangle between two corners."""
        self.poly(((u0, v0), (u1, v0), (u1, v1), (u0, v1)), fill)

    def frame(self, u0: float, v0: float, u1: float, v1: float, width: float, fill: RGB) -> None:
        """The four sides of a rectangle."""
        h = width / 2
        self.rect(u0 - h, v0 - h, u1 + h, v0 + h, fill)
        self.rect(u0 - h, v1 - h, u1 + h, v1 + h, fill)
        self.rect(u0 - h, v0 - h, u0 + h, v1 + h, fill)
        self.rect(u1 - h, v0 - h, u1 + h, v1 + h, fill)

    def disc(self, u: float, v: float, radius: float, fill: RGB, radius_v: float = 0.0) -> None:
        """A filled circle or ellipse."""
        self.poly(oval(u, v, radius, radius_v or radius), fill)

    def line(self, points: Sequence[Point], width: float, fill: RGB) -> None:
        """A line with a width."""
        self.poly(band(points, width), fill)

    def arc(self, u: float, v: float, radius: float, start: float, end: float, width: float, fill: RGB) -> None:
        """An arc, angles in radians from u to v."""
        steps = max(4, round(abs(end - start) * 4))
        angles = [start + (end - start) * i / steps for i in range(steps + 1)]
        self.line([(u + radius * math.cos(a), v + radius * math.sin(a)) for a in angles], width, fill)

    def lit(self, u: float, v: float) -> float:
        """The brightness of a slope that faces (u, v): above 1 toward the sun, below 1 away from it."""
        sun_x, sun_y = self.sketch.sun
        c, s = math.cos(self.angle), math.sin(self.angle)
        toward = -((u * c - v * s) * sun_x + (u * s + v * c) * sun_y) / (math.hypot(u, v) * math.hypot(sun_x, sun_y))
        return 1 + 0.2 * toward

    def cast(self, points: Sequence[Point], height: float) -> None:
        """The shadow of a body with this height (pixels) and outline: the area swept along the sun's rays."""
        near = on_grid(self.out(points))
        dx, dy = round(self.sketch.sun[0] * height * SCALE), round(self.sketch.sun[1] * height * SCALE)
        far = [(x + dx, y + dy) for x, y in near]
        self.sketch.shadows += [near, far]
        for i in range(len(near)):
            self.sketch.shadows.append([near[i - 1], near[i], far[i], far[i - 1]])

    def cast_away(self, points: Sequence[Point], height: float) -> None:
        """The shadow of a thin object at that height: its outline, shifted."""
        dx, dy = round(self.sketch.sun[0] * height * SCALE), round(self.sketch.sun[1] * height * SCALE)
        self.sketch.shadows.append([(x + dx, y + dy) for x, y in on_grid(self.out(points))])


def oval(u: float, v: float, radius_u: float, radius_v: float, steps: int = 24) -> list[Point]:
    """Outline of an ellipse; small ones need fewer corners."""
    steps = max(8, min(steps, round(max(radius_u, radius_v) * 2.5)))
    angles = [2 * math.pi * i / steps for i in range(steps)]
    return [(u + radius_u * math.cos(a), v + radius_v * math.sin(a)) for a in angles]


def box(u0: float, v0: float, u1: float, v1: float) -> tuple[Point, ...]:
    """The corners of a rectangle."""
    return (u0, v0), (u1, v0), (u1, v1), (u0, v1)
