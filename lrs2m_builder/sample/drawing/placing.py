"""Puts objects into a sketch: one by one, scattered, as bands (roads) and as regions (ponds)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lrs2m_builder.sample.drawing import built, flats, movers
from lrs2m_builder.sample.drawing.pen import Pen
from lrs2m_builder.sample.drawing.sketch import (
    FLAT,
    RGB,
    SIDE,
    TALL,
    TOP,
    GroundPatch,
    Placed,
    Point,
    Shape,
    Sketch,
    band,
    on_grid,
    rectangle,
)


@dataclass(frozen=True, slots=True)
class DrawnClass:
    """How a class is drawn, its colours, and whether a caption would name the colour."""

    draw: Callable[[Pen], None]
    layer: int
    colors: tuple[str, ...]
    tells_color: bool = False


KINDS: dict[str, DrawnClass] = {
    "plane": DrawnClass(movers.plane, TOP, ("white", "white", "white", "gray"), True),
    "ship": DrawnClass(movers.ship, TOP, ("white", "red", "blue", "gray", "black"), True),
    "car": DrawnClass(movers.car, TOP, ("white", "red", "blue", "black", "gray", "yellow"), True),
    "truck": DrawnClass(movers.truck, TOP, ("white", "red", "blue", "orange"), True),
    "building": DrawnClass(built.building, TALL, ("gray", "white", "brown", "beige", "red"), True),
    "house": DrawnClass(built.house, TALL, ("red", "brown", "gray", "orange"), True),
    "greenhouse": DrawnClass(built.greenhouse, TALL, ("white",)),
    "storage tank": DrawnClass(built.storage_tank, TALL, ("white", "white", "gray", "beige"), True),
    "bridge": DrawnClass(built.bridge, TALL, ("gray",)),
    "pier": DrawnClass(built.pier, TALL, ("beige", "gray", "brown")),
    "tree": DrawnClass(built.tree, TALL, ("green",)),
    "wind turbine": DrawnClass(built.wind_turbine, TALL, ("white",)),
    "solar panel": DrawnClass(built.solar_panel, TALL, ("blue",)),
    "tennis court": DrawnClass(flats.tennis_court, FLAT, ("blue", "green", "red"), True),
    "basketball court": DrawnClass(flats.basketball_court, FLAT, ("orange", "blue", "red"), True),
    "soccer field": DrawnClass(flats.soccer_field, FLAT, ("green",)),
    "ground track field": DrawnClass(flats.ground_track_field, FLAT, ("red",)),
    "baseball diamond": DrawnClass(flats.baseball_diamond, FLAT, ("brown",)),
    "swimming pool": DrawnClass(flats.swimming_pool, FLAT, ("blue",)),
    "helipad": DrawnClass(flats.helipad, FLAT, ("gray", "green", "red")),
    "roundabout": DrawnClass(flats.roundabout, FLAT, ("gray",)),
    "parking lot": DrawnClass(flats.parking_lot, FLAT, ("gray",)),
    "runway": DrawnClass(flats.runway, FLAT, ("gray",)),
}
BANK = (128, 118, 84)  # of waters
BANDS = {"road": (104, 104, 108), "dirt road": (178, 152, 118)}
CLASSES = tuple(sorted({*KINDS, "road", "river", "pond"}))


def place(
    sketch: Sketch,
    name: str,
    point: Point,
    length: float,
    width: float,
    angle: float = 0.0,
    *,
    color: str = "",
    gap: float = 3.0,
    over: Sequence[str] = (),
) -> bool:
    """Put an object at a point of the layout, if it is inside the image and keeps its distance.

    Args:
        length, width: in pixels, along `angle` (of the layout) and across.
        gap: pixels to keep from others.
        over: classes it may overlap: a car on a road.
    """
    kind, center, heading = KINDS[name], sketch.at(point), sketch.heading(angle)
    corners = rectangle(center, length, width, heading)
    if not sketch.is_free(corners, center, gap, over):
        return False
    _put(sketch, Placed(name, color or sketch.choose(*kind.colors), corners, length, width, heading, center))
    return True


def across(sketch: Sketch, name: str, y: float, width: float) -> None:
    """Put a strip such as a runway across the whole image; unlike other objects it is cut by the image's edge."""
    center, heading, length = sketch.at((SIDE / 2, y)), sketch.heading(0.0), 2.0 * SIDE
    corners = rectangle(center, length, width, heading)
    _put(sketch, Placed(name, KINDS[name].colors[0], corners, length, width, heading, center))


def _put(sketch: Sketch, item: Placed) -> None:
    """Add an object to the sketch and draw it."""
    sketch.block(item.name, item.polygon)
    sketch.placed.append(item)
    owner, kind, rgb = len(sketch.placed) - 1, KINDS[item.name], sketch.vary(item.color)
    kind.draw(Pen(sketch, owner, kind.layer, item.center, item.angle, item.length, item.width, rgb))


def decorate(
    sketch: Sketch, draw: Callable[[Pen], None], point: Point, length: float, width: float, angle: float, rgb: RGB
) -> None:
    """Draw decoration, which is not an object of the scene, such as a wake or a driveway, flat on the ground."""
    draw(Pen(sketch, -1, FLAT, sketch.at(point), sketch.heading(angle), length, width, rgb))


def patch(pen: Pen) -> None:
    """A plain rectangle: a driveway, a berm, a walk."""
    pen.rect(-pen.length / 2, -pen.width / 2, pen.length / 2, pen.width / 2, pen.rgb)


def scatter(
    sketch: Sketch,
    name: str,
    count: int,
    size: tuple[float, float],
    aspect: float = 1.0,
    *,
    within: tuple[float, float, float, float] = (0, 0, SIDE, SIDE),
    angle: float | None = None,
    gap: float = 4.0,
    over: Sequence[str] = (),
) -> int:
    """Place up to `count` objects at random; returns the number placed.

    Args:
        size: lengths in metres, from and to.
        aspect: length over width.
        within: left, top, right, bottom of a part of the layout.
        angle: their heading; None turns each at random.
    """
    done = 0
    for _ in range(count * 6):
        if done == count:
            break
        length = sketch.px(sketch.between(*size))
        point = sketch.between(within[0], within[2]), sketch.between(within[1], within[3])
        heading = sketch.between(0, 2 * math.pi) if angle is None else angle
        done += place(sketch, name, point, length, length / aspect, heading, gap=gap, over=over)
    return done


def ground(sketch: Sketch, texture: str, points: Sequence[Point], *, bank: RGB | None = None) -> None:
    """A piece of other ground; points of the layout."""
    sketch.land_cover.append(texture)
    outline = [sketch.at(point) for point in points]
    sketch.regions.append(GroundPatch(-1, on_grid(outline), texture, sketch.chance(0.5), bank))


def road(sketch: Sketch, line: Sequence[Point], metres: float, *, dirt: bool = False) -> None:
    """A road along a line of the layout, with edge lines and dashes, or a dirt road with two ruts."""
    path, width = [sketch.at(point) for point in line], sketch.px(metres)
    owner = len(sketch.placed)
    outline = band(path, width)
    middle = path[len(path) // 2]
    sketch.placed.append(Placed("road", "brown" if dirt else "gray", tuple(outline), 0, width, 0, middle))

    def strip(points: Sequence[Point], wide: float, fill: RGB) -> None:
        sketch.shapes.append(Shape(owner, FLAT, on_grid(band(points, wide)), fill))

    if dirt:
        strip(path, width, BANDS["dirt road"])
        strip(path, width * 0.24, (156, 142, 98))
    else:
        strip(path, width, (176, 174, 168))
        strip(path, width * 0.86, BANDS["road"])
        for (x0, y0), (x1, y1) in pairwise(path):
            length = math.dist((x0, y0), (x1, y1))
            dx, dy = (x1 - x0) / length, (y1 - y0) / length
            for i in range(int(length / 10)):
                s, e = i * 10 + 1, i * 10 + 6
                strip(
                    [(x0 + dx * s, y0 + dy * s), (x0 + dx * e, y0 + dy * e)], max(0.9, width * 0.045), (232, 228, 206)
                )
    for i in range(len(path) - 1):
        sketch.block("road", band(path[i : i + 2], width))


def water_body(sketch: Sketch, name: str, points: Sequence[Point]) -> None:
    """A pond or a river as an object; its pieces block other objects."""
    outline = [sketch.at(point) for point in points]
    owner = len(sketch.placed)
    center = (sum(x for x, _ in outline) / len(outline), sum(y for _, y in outline) / len(outline))
    sketch.placed.append(Placed(name, "blue", tuple(outline), 0, 0, 0, center))
    sketch.regions.append(GroundPatch(owner, on_grid(outline), "water", sketch.chance(0.5), BANK))
    if name == "pond":
        sketch.block(name, outline)
    half = len(outline) // 2
    for i in range(half - 1 if name == "river" else 0):  # left bank, then right bank backwards
        sketch.block(name, (outline[i], outline[i + 1], outline[-i - 2], outline[-i - 1]))


def pond(sketch: Sketch, point: Point, radius: float) -> bool:
    """A pond with a wavy bank, if it fits."""
    squeeze, turn = sketch.between(0.6, 1.0), sketch.between(0, math.pi)
    waves = [1 + sketch.between(-0.09, 0.09) for _ in range(14)]
    outline = []
    for i, wave in enumerate(waves * 2):
        a = 2 * math.pi * i / 28
        nearby = (wave + waves[(i + 1) % 14]) / 2 if i % 2 else wave
        u, v = radius * nearby * math.cos(a), radius * nearby * squeeze * math.sin(a)
        outline.append(
            (point[0] + u * math.cos(turn) - v * math.sin(turn), point[1] + u * math.sin(turn) + v * math.cos(turn))
        )
    corners = [sketch.at(p) for p in outline]
    if not sketch.is_free(corners, sketch.at(point), 4, ()):
        return False
    water_body(sketch, "pond", outline)
    return True


def winding(sketch: Sketch, start: Point, end: Point, reach: float, steps: int = 12) -> list[Point]:
    """A line from one point to another that swings by up to `reach` pixels."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    norm = math.hypot(dx, dy)
    phase, waves = sketch.between(0, 2 * math.pi), sketch.between(0.7, 1.5)
    line = []
    for i in range(steps + 1):
        t = i / steps
        swing = reach * (math.sin(phase + waves * 2 * math.pi * t) - math.sin(phase + waves * math.pi))
        line.append((start[0] + dx * t - dy / norm * swing, start[1] + dy * t + dx / norm * swing))
    return line
