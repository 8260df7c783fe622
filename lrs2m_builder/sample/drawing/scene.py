"""A scene of the sample world: the image and the exact truth about it, drawn from (seed, index)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lrs2m_builder.sample.drawing import country, town
from lrs2m_builder.sample.drawing.sketch import (
    SCALE,
    SIDE,
    TALL,
    GridPoints,
    GroundPatch,
    Point,
    Shape,
    Sketch,
    clipped,
)
from lrs2m_builder.sample.drawing.textures import add_grain, cut

Box = tuple[float, float, float, float]
LAYOUTS = (*town.LAYOUTS, *country.LAYOUTS)
CELLS = (
    ("upper left", "top", "upper right"),
    ("left", "center", "right"),
    ("lower left", "bottom", "lower right"),
)
_BIG = SIDE * SCALE


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object and the truth about it, in pixels of the image.

    Attributes:
        name: its class.
        box: left, top, right, bottom of its drawn part inside the image.
        polygon: the oriented rectangle around it; for roads, rivers and ponds the outline, which may leave the image.
        length, width: of that rectangle; 0 without one.
    """

    name: str
    color: str
    box: Box
    polygon: tuple[Point, ...]
    length: float
    width: float

    @property
    def center(self) -> Point:
        """Middle of the box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def cell(self) -> str:
        """Its position: the cell of a 3 x 3 grid that contains the middle of its box."""
        x, y = (min(2, int(3 * value / SIDE)) for value in self.center)
        return CELLS[y][x]


@dataclass(frozen=True, slots=True)
class Scene:
    """An image and all objects in it.

    Attributes:
        name: the kind of scene, such as "airport".
        land_cover: the kinds of ground, the largest first.
        gsd: metres per pixel.
        sun: the shadow vector of an object one pixel high.
    """

    seed: int
    index: int
    name: str
    land_cover: tuple[str, ...]
    gsd: float
    sun: Point
    objects: tuple[SceneObject, ...]
    image: Image.Image
    sketch: Sketch

    @property
    def counts(self) -> dict[str, int]:
        """Number of objects per class, in layout order."""
        return dict(Counter(thing.name for thing in self.objects))

    def of(self, name: str) -> tuple[SceneObject, ...]:
        """The objects of a class."""
        return tuple(thing for thing in self.objects if thing.name == name)

    @property
    def mask(self) -> NDArray[np.int32]:
        """The object that each pixel shows (SIDE, SIDE): its number from 1, or 0."""
        big = Image.new("I", (_BIG, _BIG), 0)
        draw = ImageDraw.Draw(big)
        for region in self.sketch.regions:
            draw.polygon(region.points, fill=region.owner + 1)
        for shape in sorted(self.sketch.shapes, key=lambda shape: shape.layer):
            if shape.owner >= 0 or shape.layer >= TALL:
                draw.polygon(shape.points, fill=shape.owner + 1)
        return np.asarray(big, np.int32)[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]


def draw_scene(seed: int, index: int) -> Scene:
    """Draw the scene of that number: the same image and truth on every machine."""
    random_ = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    layout = LAYOUTS[int(random_.integers(len(LAYOUTS)))]
    turn, toward = float(random_.random()), float(random_.random()) * 2 * math.pi
    sketch = Sketch(
        random=random_,
        gsd=1.0,
        sun=(0.0, 0.0),
        turn=math.pi / 2 * int(random_.integers(4)) + (turn - 0.5) * 0.7,
        mirrored=bool(random_.integers(2)),
    )
    low = sketch.between(0.55, 1.1)
    sketch.sun = (low * math.cos(toward), low * math.sin(toward))
    layout(sketch)
    return Scene(
        seed=seed,
        index=index,
        name=sketch.scene,
        land_cover=tuple(dict.fromkeys(sketch.land_cover)),
        gsd=round(sketch.gsd, 3),
        sun=sketch.sun,
        objects=_objects(sketch),
        image=_paint(sketch),
        sketch=sketch,
    )


def _objects(sketch: Sketch) -> tuple[SceneObject, ...]:
    points: list[GridPoints] = [[] for _ in sketch.placed]
    drawn: tuple[GroundPatch | Shape, ...] = (*sketch.regions, *sketch.shapes)
    for owned in drawn:
        if owned.owner >= 0:
            points[owned.owner] += clipped(owned.points, 0, _BIG)
    objects = []
    for owner, placed in enumerate(sketch.placed):
        xs, ys = [x for x, _ in points[owner]], [y for _, y in points[owner]]
        edges = min(xs), min(ys), max(xs), max(ys)
        left, top, right, bottom = (edge / SCALE for edge in edges)
        box = (round(left, 2), round(top, 2), round(right, 2), round(bottom, 2))
        polygon = tuple((round(x, 2), round(y, 2)) for x, y in placed.polygon)
        size = round(placed.length, 2), round(placed.width, 2)
        objects.append(SceneObject(placed.name, placed.color, box, polygon, *size))
    return tuple(objects)


def _paint(sketch: Sketch) -> Image.Image:
    """Draw ground, flat objects, shadows, and upright objects; then add light and noise."""
    image = _draw(_paint_ground(sketch), [shape for shape in sketch.shapes if shape.layer < TALL])
    if sketch.shadows:  # at the small size, where mixing colours costs a ninth
        shadow = Image.new("L", (_BIG, _BIG), 0)
        shade = ImageDraw.Draw(shadow)
        for points in sketch.shadows:
            shade.polygon(points, fill=118)
        image.paste((14, 20, 34), mask=shadow.reduce(SCALE))
    standing = sorted((shape for shape in sketch.shapes if shape.layer >= TALL), key=lambda shape: shape.layer)
    return add_grain(_draw(image, standing).point(_light(sketch)), sketch.random)


def _draw(image: Image.Image, shapes: list[Shape]) -> Image.Image:
    """The image with polygons whose edges are smooth: drawn SCALE times larger, then shrunk."""
    big = image.resize((_BIG, _BIG), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(big)
    for shape in shapes:
        draw.polygon(shape.points, fill=shape.fill)
    return big.reduce(SCALE)


def _paint_ground(sketch: Sketch) -> Image.Image:
    first = sketch.land_cover[0]
    name = "dry grass" if first == "grass" and sketch.chance(0.35) else first
    base = cut(name, sketch.random, SIDE, sketch.chance(0.5))
    for region in sketch.regions:
        mask = Image.new("L", (_BIG, _BIG), 0)
        draw = ImageDraw.Draw(mask)
        if region.bank is not None:
            draw.polygon(region.points, fill=255, outline=255, width=2 * SCALE)
            draw.line([*region.points, region.points[0]], fill=255, width=4 * SCALE, joint="curve")
            base.paste(region.bank, mask=mask.reduce(SCALE))
            mask.paste(0, (0, 0, _BIG, _BIG))
        draw.polygon(region.points, fill=255)
        piece = cut(region.texture, sketch.random, SIDE, region.turned)
        base.paste(piece, mask=mask.reduce(SCALE))
    return base


def _light(sketch: Sketch) -> list[int]:
    """A table for each channel: the scene's brightness, contrast and tint."""
    bright, contrast = sketch.between(0.9, 1.08), sketch.between(0.94, 1.12)
    warm = sketch.between(-0.04, 0.04)
    values = np.arange(256)
    tables = [np.rint((values - 118) * contrast * tint + 118 * bright * tint) for tint in (1 + warm, 1.0, 1 - warm)]
    table: list[int] = np.clip(np.concatenate(tables), 0, 255).astype(int).tolist()
    return table
