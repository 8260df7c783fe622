"""Draws vehicles: planes, ships, cars and trucks. Each points along +u and fills its length x width."""

from __future__ import annotations

from lrs2m_builder.sample.drawing.pen import Pen, box
from lrs2m_builder.sample.drawing.sketch import PALETTE, Point, shade

_GLASS = (48, 58, 72)


def plane(pen: Pen) -> None:
    """A jet seen from above: fuselage, swept wings, tailplane, engines and a coloured fin."""
    a, b = pen.length / 2, pen.width / 2
    r = pen.length * 0.055
    body: list[Point] = [(a, 0), (a - r, r * 0.7), (a - 3 * r, r), (-a * 0.55, r), (-a, r * 0.3)]
    body += [(u, -v) for u, v in body[:0:-1]]
    wings: list[Point] = [(a * 0.26, r * 0.8), (-a * 0.34, b), (-a * 0.5, b), (-a * 0.16, r * 0.8)]
    wings += [(u, -v) for u, v in wings[::-1]]
    tail: list[Point] = [(-a * 0.7, r * 0.5), (-a * 0.92, b * 0.38), (-a, b * 0.38), (-a * 0.9, r * 0.3)]
    tail += [(u, -v) for u, v in tail[::-1]]
    for part in (body, wings, tail):
        pen.cast_away(part, pen.length * 0.09)
    pen.poly(wings, shade(pen.rgb, 0.9))
    pen.poly(tail, shade(pen.rgb, 0.88))
    for side in (-1, 1):
        pen.rect(-a * 0.02, side * b * 0.36 - r * 0.4, a * 0.2, side * b * 0.36 + r * 0.4, shade(pen.rgb, 0.68))
    pen.poly(body, pen.rgb)
    pen.rect(-a * 0.5, -r * 0.22, a * 0.8, r * 0.22, shade(pen.rgb, 1.12))
    pen.rect(-a * 0.98, -r * 0.28, -a * 0.66, r * 0.28, pen.sketch.vary(pen.sketch.choose("red", "blue", "orange")))
    pen.rect(a - 1.7 * r, -r * 0.5, a - 1.1 * r, r * 0.5, _GLASS)


def _hull(a: float, b: float) -> list[Point]:
    side: list[Point] = [(a * 0.82, b * 0.62), (a * 0.55, b), (-a * 0.88, b), (-a, b * 0.7)]
    return [(a, 0), *side, *((u, -v) for u, v in side[::-1])]


def ship(pen: Pen) -> None:
    """A hull in its colour, a deck, and depending on size a cabin, hatches or rows of containers."""
    a, b = pen.length / 2, pen.width / 2
    pen.cast(_hull(a, b), pen.width * 0.35)
    pen.poly(_hull(a, b), shade(pen.rgb, 0.82))
    pen.poly(_hull(a * 0.94, b * 0.78), shade(pen.rgb, 1.08))
    if pen.length < 26:  # a boat
        pen.rect(-a * 0.55, -b * 0.5, a * 0.2, b * 0.5, shade(pen.rgb, 0.62))
        pen.rect(a * 0.02, -b * 0.45, a * 0.2, b * 0.45, _GLASS)
        return
    hold, cargo = (-a * 0.55, a * 0.62), pen.sketch.chance(0.6)
    count = max(4, round((hold[1] - hold[0]) / (pen.width * 0.5)))
    step = (hold[1] - hold[0]) / count
    for i in range(count):
        color = pen.sketch.choose("red", "blue", "green", "orange", "beige", "gray") if cargo else "brown"
        u = hold[0] + i * step
        pen.rect(u + step * 0.08, -b * 0.62, u + step * 0.88, b * 0.62, shade(PALETTE[color], 0.92))
    pen.rect(-a * 0.86, -b * 0.8, -a * 0.62, b * 0.8, (226, 226, 222))
    pen.rect(-a * 0.68, -b * 0.7, -a * 0.64, b * 0.7, _GLASS)
    pen.disc(-a * 0.78, 0, b * 0.24, (70, 66, 64))


def wake(pen: Pen) -> None:
    """The foam behind a moving ship; not part of the ship."""
    a, b = pen.length / 2, pen.width / 2
    foam = (150, 174, 184)
    pen.poly([(-a * 0.9, b * 0.6), (-a * 2.6, b * 1.5), (-a * 2.5, b * 0.8), (-a * 1.2, 0)], foam)
    pen.poly([(-a * 0.9, -b * 0.6), (-a * 2.6, -b * 1.5), (-a * 2.5, -b * 0.8), (-a * 1.2, 0)], foam)
    pen.poly([(-a * 0.95, b * 0.5), (-a * 1.9, b * 0.3), (-a * 1.9, -b * 0.3), (-a * 0.95, -b * 0.5)], (178, 198, 204))


def car(pen: Pen) -> None:
    """A body with cut corners, windows and roof."""
    a, b = pen.length / 2, pen.width / 2
    outline = [(a, b * 0.6), (a * 0.85, b), (-a * 0.9, b), (-a, b * 0.7)]
    outline += [(u, -v) for u, v in outline[::-1]]
    pen.cast(outline, pen.width * 0.4)
    pen.poly(outline, pen.rgb)
    pen.rect(a * 0.1, -b * 0.72, a * 0.42, b * 0.72, _GLASS)
    pen.rect(-a * 0.8, -b * 0.68, -a * 0.55, b * 0.68, _GLASS)
    pen.rect(-a * 0.5, -b * 0.7, a * 0.1, b * 0.7, shade(pen.rgb, 1.15))


def truck(pen: Pen) -> None:
    """A cab and a long box."""
    a, b = pen.length / 2, pen.width / 2
    pen.cast(box(-a, -b, a, b), pen.width * 0.9)
    pen.rect(a * 0.5, -b * 0.3, a * 0.7, b * 0.3, (62, 62, 64))
    pen.rect(a * 0.62, -b * 0.92, a, b * 0.92, shade(pen.rgb, 0.82))
    pen.rect(a * 0.8, -b * 0.8, a * 0.92, b * 0.8, _GLASS)
    pen.rect(-a, -b, a * 0.54, b, pen.rgb)
    pen.rect(-a, -b * 0.12, a * 0.54, b * 0.12, shade(pen.rgb, 1.1))
