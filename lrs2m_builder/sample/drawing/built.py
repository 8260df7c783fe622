"""Draws upright objects: buildings, tanks, bridges, trees and the like. Each fills its length x width."""

from __future__ import annotations

import math

from lrs2m_builder.sample.drawing.pen import Pen, box, oval
from lrs2m_builder.sample.drawing.sketch import PALETTE, Point, shade


def building(pen: Pen) -> None:
    """A large flat roof with a parapet and machines on it; some have a wing and a court."""
    a, b = pen.length / 2, pen.width / 2
    outline: list[Point] = list(box(-a, -b, a, b))
    if pen.sketch.chance(0.35) and b > 9:
        outline = [(-a, -b), (a, -b), (a, b), (a * 0.3, b), (a * 0.3, -b * 0.1), (-a, -b * 0.1)]
    pen.cast(outline, min(9.0, 4 + pen.width * 0.12))
    pen.poly(outline, shade(pen.rgb, 0.78))
    inner = [(u - math.copysign(1.2, u), v - math.copysign(1.2, v)) for u, v in outline]
    if len(outline) == 6:  # the inner corner moves into the roof
        inner[3:5] = [(a * 0.3 + 1.2, b - 1.2), (a * 0.3 + 1.2, -b * 0.1 - 1.2)]
        inner[5] = (-a + 1.2, -b * 0.1 - 1.2)
    pen.poly(inner, pen.rgb)
    if len(outline) == 4 and pen.sketch.chance(0.5):  # a low gable
        pen.rect(-a + 1.2, 0, a - 1.2, b - 1.2, shade(pen.rgb, pen.lit(0, 1) * 0.98))
    for i in range(max(2, round(a / 6))):
        u = -a * 0.8 + 1.6 * a * (i + 0.4) / max(2, round(a / 6))
        size = 1.3 + pen.sketch.between(0, 1.2)
        pen.rect(u - size, -b * 0.55 - size, u + size, -b * 0.55 + size, shade(pen.rgb, 0.62))
        pen.rect(u - size, -b * 0.55 - size, u + size * 0.5, -b * 0.55 + size * 0.5, (206, 208, 210))


def house(pen: Pen) -> None:
    """A hip roof: four slopes, shaded by their angle to the sun, a ridge and a chimney."""
    a, b = pen.length / 2, pen.width / 2
    hip = min(a * 0.85, b * (0.9 if pen.sketch.chance(0.7) else 0.0))
    pen.cast(box(-a, -b, a, b), 5.0)
    ridge = (a - hip, 0.0), (-a + hip, 0.0)
    pen.poly([(-a, -b), (a, -b), *ridge], shade(pen.rgb, pen.lit(0, -1) ** 1.5))
    pen.poly([(a, b), (-a, b), ridge[1], ridge[0]], shade(pen.rgb, pen.lit(0, 1) ** 1.5))
    if hip:
        pen.poly([(a, -b), (a, b), ridge[0]], shade(pen.rgb, pen.lit(1, 0) ** 1.5))
        pen.poly([(-a, b), (-a, -b), ridge[1]], shade(pen.rgb, pen.lit(-1, 0) ** 1.5))
    pen.line(ridge, 0.7, shade(pen.rgb, 0.7))
    pen.rect(a * 0.3, -b * 0.5, a * 0.3 + 2, -b * 0.5 + 2, (150, 92, 78))


def greenhouse(pen: Pen) -> None:
    """A long pale hall of glass with ribs."""
    a, b = pen.length / 2, pen.width / 2
    pen.cast(box(-a, -b, a, b), 3.0)
    glass = (214, 226, 228)
    pen.rect(-a, -b, a, 0, shade(glass, pen.lit(0, -1)))
    pen.rect(-a, 0, a, b, shade(glass, pen.lit(0, 1)))
    for i in range(1, round(pen.length / 5)):
        u = -a + i * 5
        pen.rect(u - 0.35, -b, u + 0.35, b, (168, 186, 192))
    pen.rect(-a, -0.4, a, 0.4, (246, 248, 248))


def storage_tank(pen: Pen) -> None:
    """A round tank: rim, roof with seams, and the crescent shaded by its wall."""
    r = pen.length / 2
    pen.cast(oval(0, 0, r, r), r * 0.42)
    pen.disc(0, 0, r, shade(pen.rgb, 0.72))
    pen.disc(0, 0, r * 0.95, shade(pen.rgb, 1.06))
    sun_x, sun_y = pen.sketch.sun
    norm, c, s = math.hypot(sun_x, sun_y), math.cos(pen.angle), math.sin(pen.angle)
    u, v = (sun_x * c + sun_y * s) / norm, (-sun_x * s + sun_y * c) / norm
    pen.disc(0, 0, r * 0.89, shade(pen.rgb, 0.76))
    pen.disc(u * r * 0.08, v * r * 0.08, r * 0.81, shade(pen.rgb, 1.02))
    for i in range(6):
        a = math.pi * i / 3
        spoke = [(r * 0.12 * math.cos(a), r * 0.12 * math.sin(a)), (r * 0.85 * math.cos(a), r * 0.85 * math.sin(a))]
        pen.line(spoke, 0.45, shade(pen.rgb, 0.85))
    pen.disc(0, 0, r * 0.14, shade(pen.rgb, 0.76))
    pen.rect(r * 0.72, -r * 0.1, r * 0.97, r * 0.1, shade(pen.rgb, 0.5))


def bridge(pen: Pen) -> None:
    """A deck with kerbs and lane marks, higher than the water below it."""
    a, b = pen.length / 2, pen.width / 2
    pen.cast(box(-a, -b, a, b), 6.0)
    pen.rect(-a, -b, a, b, (226, 222, 212))
    pen.rect(-a, -b * 0.74, a, b * 0.74, (146, 144, 142))
    for i in range(round(pen.length / 7)):
        pen.rect(-a + i * 7 + 1, -0.5, -a + i * 7 + 4.5, 0.5, (228, 226, 214))
    for side in (-1, 1):
        for i in range(round(pen.length / 9) + 1):
            u = min(a - 1, -a + i * 9 + 1)
            pen.rect(u - 0.8, side * b * 0.96 - 0.8 * side, u + 0.8, side * b, (132, 128, 122))


def pier(pen: Pen) -> None:
    """A deck of planks or concrete on piles, out into the water."""
    a, b = pen.length / 2, pen.width / 2
    pen.cast(box(-a, -b, a, b), 3.0)
    pen.rect(-a, -b, a, b, shade(pen.rgb, 0.78))
    pen.rect(-a, -b * 0.78, a, b * 0.78, pen.rgb)
    for i in range(1, round(pen.length / 4)):
        pen.rect(-a + i * 4 - 0.25, -b * 0.78, -a + i * 4 + 0.25, b * 0.78, shade(pen.rgb, 0.84))


def tree(pen: Pen) -> None:
    """A crown of three greens, lighter toward the sun."""
    r, leaves = pen.length / 2, (pen.rgb[0] + 4, pen.rgb[1] - 8, pen.rgb[2] - 22)
    sun_x, sun_y = pen.sketch.sun
    norm = math.hypot(sun_x, sun_y)
    lumps = [r * (0.8 + 0.2 * float(x)) for x in pen.sketch.random.random(10)]
    crown = [(q * math.cos(0.6283 * i), q * math.sin(0.6283 * i)) for i, q in enumerate(lumps)]
    pen.cast_away(crown, r * 0.9)
    pen.poly(crown, shade(leaves, 0.66))
    c, s = math.cos(pen.angle), math.sin(pen.angle)
    u, v = -(sun_x * c + sun_y * s) / norm, -(-sun_x * s + sun_y * c) / norm
    pen.poly([(x * 0.74 + u * r * 0.16, y * 0.74 + v * r * 0.16) for x, y in crown], shade(leaves, 0.9))
    pen.poly([(x * 0.4 + u * r * 0.32, y * 0.4 + v * r * 0.32) for x, y in crown[::2]], shade(leaves, 1.16))


def wind_turbine(pen: Pen) -> None:
    """Three blades around a hub on a round pad; tower and blades throw a long shadow."""
    r, white = pen.length / 2, PALETTE["white"]
    height, c, s = pen.length * 0.95, math.cos(pen.angle), math.sin(pen.angle)
    sun_x, sun_y = pen.sketch.sun
    far = ((sun_x * c + sun_y * s) * height, (-sun_x * s + sun_y * c) * height)
    pen.cast_away([(0.9, 0.9), (0.9, -0.9), (-0.9, -0.9), (-0.9, 0.9)], 0)
    norm = math.hypot(*far)
    n = (-far[1] / norm * 0.8, far[0] / norm * 0.8)
    pen.cast_away([n, (far[0] + n[0], far[1] + n[1]), (far[0] - n[0], far[1] - n[1]), (-n[0], -n[1])], 0)
    pen.disc(0, 0, r * 0.24, (170, 164, 152))
    for i in range(3):
        a = 2 * math.pi * i / 3
        blade = [(-0.6, 0), (r * 0.2, r * 0.075), (r, 0.5), (r, -0.5), (r * 0.2, -r * 0.05)]
        turned = [(x * math.cos(a) - y * math.sin(a), x * math.sin(a) + y * math.cos(a)) for x, y in blade]
        pen.cast_away([(far[0] + x, far[1] + y) for x, y in turned], 0)
        pen.poly(turned, white)
    pen.disc(0, 0, 1.6, shade(white, 0.86))


def solar_panel(pen: Pen) -> None:
    """A tilted table of dark blue cells between pale frames."""
    a, b = pen.length / 2, pen.width / 2
    pen.cast(box(-a, -b, a, b), 1.8)
    pen.rect(-a, -b, a, b, (188, 196, 206))
    columns, rows = max(3, round(pen.length / 5)), max(2, round(pen.width / 4))
    step_u, step_v = pen.length / columns, pen.width / rows
    for i in range(columns):
        for j in range(rows):
            u, v = -a + i * step_u, -b + j * step_v
            pen.rect(u + 0.4, v + 0.4, u + step_u - 0.4, v + step_v - 0.4, shade(pen.rgb, 0.62 if (i + j) % 2 else 0.7))
