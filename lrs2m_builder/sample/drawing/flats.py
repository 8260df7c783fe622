"""Draws flat objects: courts, fields, pools, roads and the like. Each fills its length x width."""

from __future__ import annotations

import math

from lrs2m_builder.sample.drawing.pen import Pen, oval
from lrs2m_builder.sample.drawing.sketch import PALETTE, Point, shade

_LINE = (236, 236, 230)


def tennis_court(pen: Pen) -> None:
    """Outer and inner surface, the lines of singles and doubles, and a net."""
    a, b = pen.length / 2, pen.width / 2
    p, q = pen.length * 23.77 / 36 / 2, pen.width * 10.97 / 18 / 2
    around = "green" if pen.rgb[1] < pen.rgb[2] or pen.rgb[0] > pen.rgb[1] else "red"
    pen.rect(-a, -b, a, b, pen.sketch.vary(around))
    pen.rect(-p, -q, p, q, pen.rgb)
    pen.frame(-p, -q, p, q, 0.8, _LINE)
    for side in (-1, 1):
        pen.rect(-p, side * q * 0.75 - 0.3, p, side * q * 0.75 + 0.3, _LINE)
        pen.rect(side * p * 0.54 - 0.3, -q * 0.75, side * p * 0.54 + 0.3, q * 0.75, _LINE)
    pen.rect(-p * 0.54, -0.3, p * 0.54, 0.3, _LINE)
    pen.rect(-0.4, -q * 1.12, 0.4, q * 1.12, (40, 40, 44))


def basketball_court(pen: Pen) -> None:
    """Lines, keys, arcs and the centre circle; hoops at both ends."""
    a, b = pen.length / 2, pen.width / 2
    pen.rect(-a, -b, a, b, shade(pen.rgb, 0.72))
    p, q = a * 0.92, b * 0.88
    pen.rect(-p, -q, p, q, pen.rgb)
    key = shade(pen.rgb, 0.7)
    pen.frame(-p, -q, p, q, 0.8, _LINE)
    pen.rect(-0.4, -q, 0.4, q, _LINE)
    pen.disc(0, 0, q * 0.26, _LINE)
    pen.disc(0, 0, q * 0.26 - 0.9, key)
    for side in (-1, 1):
        u0, u1 = sorted((side * p, side * p * 0.58))
        pen.rect(u0, -q * 0.32, u1, q * 0.32, key)
        pen.frame(u0, -q * 0.32, u1, q * 0.32, 0.7, _LINE)
        start = math.pi / 2 if side > 0 else -math.pi / 2
        pen.arc(side * p * 0.9, 0, q * 0.82, start, start + math.pi, 0.8, _LINE)
        pen.disc(side * p * 0.92, 0, 1.1, PALETTE["orange"])


def soccer_field(pen: Pen) -> None:
    """Mown stripes, touch lines, centre circle, penalty areas and goals."""
    a, b = pen.length / 2, pen.width / 2
    stripes = 10
    for i in range(stripes):
        u = -a + pen.length * i / stripes
        pen.rect(u, -b, u + pen.length / stripes, b, shade(pen.rgb, 1.08 if i % 2 else 0.94))
    p, q = a * 0.94, b * 0.92
    pen.frame(-p, -q, p, q, 0.9, _LINE)
    pen.rect(-0.45, -q, 0.45, q, _LINE)
    pen.arc(0, 0, q * 0.27, 0, 2 * math.pi, 0.9, _LINE)
    pen.disc(0, 0, 0.9, _LINE)
    for side in (-1, 1):
        for depth, half in ((0.31, 0.6), (0.11, 0.28)):
            u0, u1 = sorted((side * p, side * p * (1 - depth)))
            pen.frame(u0, -q * half, u1, q * half, 0.8, _LINE)
        pen.rect(side * (p + 0.8) - 0.8, -q * 0.12, side * (p + 0.8) + 0.8, q * 0.12, (250, 250, 250))


def _stadium(a: float, b: float) -> list[Point]:
    """Two straights and two half circles."""
    right = [(a - b + b * math.cos(t), b * math.sin(t)) for t in [math.pi * (i / 14 - 0.5) for i in range(15)]]
    return right + [(-u, -v) for u, v in right]


def ground_track_field(pen: Pen) -> None:
    """A red oval of lanes around a green infield."""
    a, b = pen.length / 2, pen.width / 2
    lane = pen.width * 0.028
    pen.poly(_stadium(a, b), pen.rgb)
    for i in range(1, 6):
        pen.poly(_stadium(a - i * lane, b - i * lane), shade(_LINE, 0.86))
        pen.poly(_stadium(a - i * lane - 0.4, b - i * lane - 0.4), pen.rgb)
    inner = (a - 6 * lane, b - 6 * lane)
    pen.poly(_stadium(*inner), _LINE)
    green = pen.sketch.vary("green")
    pen.poly(_stadium(inner[0] - 0.7, inner[1] - 0.7), green)
    p, q = a - b, inner[1] * 0.84
    for i in range(8):
        u = -p + 2 * p * i / 8
        pen.rect(u, -q, u + 2 * p / 8, q, shade(green, 1.1 if i % 2 else 0.95))
    pen.rect(p + 2, -q * 0.5, p + 2 + b * 0.28, q * 0.5, shade(pen.rgb, 0.94))


def baseball_diamond(pen: Pen) -> None:
    """The fan of grass, the brown infield around a square of grass, bases and the mound; home plate in a corner."""
    a = pen.length / 2
    home, reach = -a * 0.96, pen.length * 0.94
    quarter = [math.pi / 2 * i / 16 for i in range(17)]

    def fan(r: float) -> list[Point]:
        return [(home, home), *((home + r * math.cos(t), home + r * math.sin(t)) for t in quarter)]

    dirt, grass = (178, 128, 84), pen.sketch.vary("green")
    pen.poly(fan(reach), dirt)
    pen.poly(fan(reach * 0.93), shade(grass, 1.06))
    pen.poly(fan(reach * 0.52), dirt)
    side, d = reach * 0.3, reach * 0.045
    pen.rect(home + d, home + d, home + d + side, home + d + side, shade(grass, 1.1))
    pen.disc(home + d + side * 0.5, home + d + side * 0.5, reach * 0.035, dirt)
    pen.disc(home + d * 0.9, home + d * 0.9, reach * 0.055, dirt)
    bases = ((0.0, 0.0), (side + d, 0.0), (0.0, side + d), (side + d, side + d))
    for u, v in bases:
        pen.rect(
            home + d * 0.6 + u - 0.8,
            home + d * 0.6 + v - 0.8,
            home + d * 0.6 + u + 0.8,
            home + d * 0.6 + v + 0.8,
            _LINE,
        )
    pen.rect(home, home - 0.35, home + reach, home + 0.35, _LINE)
    pen.rect(home - 0.35, home, home + 0.35, home + reach, _LINE)


def swimming_pool(pen: Pen) -> None:
    """Bright water in a pale deck, darker at the deep end; long ones have lanes."""
    a, b = pen.length / 2, pen.width / 2
    pen.rect(-a, -b, a, b, (212, 204, 190))
    p, q = a - max(1.4, b * 0.26), b - max(1.4, b * 0.26)
    water = (64, 178, 206)
    if pen.length < 24:
        pen.poly(oval(0, 0, p, q, 16) if pen.sketch.chance(0.4) else ((-p, -q), (p, -q), (p, q), (-p, q)), water)
        pen.disc(p * 0.35, 0, p * 0.5, shade(water, 0.86), q * 0.62)
        return
    pen.rect(-p, -q, p, q, water)
    pen.rect(p * 0.3, -q, p, q, shade(water, 0.92))
    for i in range(1, 6):
        v = -q + 2 * q * i / 6
        pen.rect(-p, v - 0.25, p, v + 0.25, (226, 240, 242))


def helipad(pen: Pen) -> None:
    """A disc with a ring and a large H."""
    r = pen.length / 2
    pen.disc(0, 0, r, pen.rgb)
    pen.disc(0, 0, r * 0.88, _LINE)
    pen.disc(0, 0, r * 0.78, pen.rgb)
    for side in (-1, 1):
        pen.rect(side * r * 0.3 - r * 0.09, -r * 0.45, side * r * 0.3 + r * 0.09, r * 0.45, _LINE)
    pen.rect(-r * 0.3, -r * 0.08, r * 0.3, r * 0.08, _LINE)


def roundabout(pen: Pen) -> None:
    """A ring of asphalt around a green island with bushes."""
    r = pen.length / 2
    pen.disc(0, 0, r, (204, 200, 190))
    pen.disc(0, 0, r * 0.965, (108, 108, 112))
    pen.arc(0, 0, r * 0.72, 0, 2 * math.pi, 0.5, (206, 204, 196))
    pen.disc(0, 0, r * 0.48, (206, 202, 192))
    pen.disc(0, 0, r * 0.44, (104, 140, 74))
    pen.disc(0, 0, r * 0.24, (176, 138, 98))
    pen.disc(0, 0, r * 0.16, (66, 104, 58))


def parking_lot(pen: Pen) -> None:
    """Asphalt with a pale edge; the layout draws the stalls."""
    a, b = pen.length / 2, pen.width / 2
    pen.rect(-a, -b, a, b, (186, 184, 178))
    pen.rect(-a + 1, -b + 1, a - 1, b - 1, (92, 92, 96))


def runway(pen: Pen) -> None:
    """A dark strip with edge lines, centre dashes and threshold bars at intervals."""
    a, b = pen.length / 2, pen.width / 2
    pen.rect(-a, -b, a, b, (84, 84, 88))
    for side in (-1, 1):
        pen.rect(-a, side * b * 0.88 - 0.4, a, side * b * 0.88 + 0.4, _LINE)
    for i in range(round(pen.length / 14)):
        pen.rect(-a + i * 14 + 3, -0.6, -a + i * 14 + 10, 0.6, _LINE)
    for i in range(8):
        v = -b * 0.7 + b * 1.4 * i / 7
        pen.rect(-pen.length * 0.17 - 6, v - 0.5, -pen.length * 0.17 + 6, v + 0.5, _LINE)
