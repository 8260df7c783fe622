"""Spatial relations of objects, from the geometry of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lrs2m_builder.sample.drawing.scene import Box, Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE, Point

BANDS = frozenset({"road", "river", "runway"})  # they cross the image and have no side
DRIVES = frozenset({"car", "truck"})
STANDS = frozenset({"house", "building", "storage tank", "tree"})
NEAR = 14.0  # pixels between two boxes that are next to each other
ALONG = 46.0  # pixels from the edge of a road to the middle of an object along it


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that all objects of the first class have to all of the second."""

    first: str
    name: str
    second: str


def relations(scene: Scene) -> list[Relation]:
    """The true relations, in the order of the classes.

    "left of" etc.: the box around all of the first class ends before the one around all of the second begins.
    "next to": one object each, their boxes less than NEAR pixels apart. "on": the middle of every one of the
    vehicles is inside a road's outline; "along": the middle of every object is within ALONG pixels of a road.
    """
    names = [name for name in scene.counts if name not in BANDS]
    true_relations = [
        Relation(a, name, b)
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if (name := _between(scene.of(a), scene.of(b)))
    ]
    roads = scene.of("road")
    for name in names:
        if roads and name in STANDS | DRIVES:
            away = [min(distance(thing.center, road.polygon) for road in roads) for thing in scene.of(name)]
            if name in DRIVES and max(away) <= 0:
                true_relations.append(Relation(name, "on", "road"))
            if name in STANDS and min(away) > 0 and max(away) <= ALONG:
                true_relations.append(Relation(name, "along", "road"))
    return true_relations


def _between(a: Sequence[SceneObject], b: Sequence[SceneObject]) -> str:
    box_a, box_b = around(a), around(b)
    gaps = {
        "left of": box_b[0] - box_a[2],
        "right of": box_a[0] - box_b[2],
        "above": box_b[1] - box_a[3],
        "below": box_a[1] - box_b[3],
    }
    name, gap = max(gaps.items(), key=lambda item: item[1])
    if len(a) == len(b) == 1 and NEAR > gap >= -2:
        return "next to"
    return name if gap > 2 else ""


def around(things: Sequence[SceneObject]) -> Box:
    """The box around all of them."""
    boxes = [thing.box for thing in things]
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def distance(point: Point, polygon: Sequence[Point]) -> float:
    """Distance from a point to a polygon's edge in pixels; 0 inside."""
    x, y = point
    inside, best = False, float(4 * SIDE)
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
        dx, dy = x1 - x0, y1 - y0
        norm = dx * dx + dy * dy
        t = max(0.0, min(1.0, ((x - x0) * dx + (y - y0) * dy) / norm)) if norm else 0.0
        best = min(best, ((x0 + t * dx - x) ** 2 + (y0 + t * dy - y) ** 2) ** 0.5)
    return 0.0 if inside else best
