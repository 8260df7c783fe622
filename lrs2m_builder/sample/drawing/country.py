"""Layouts of parks, sports grounds, fields, rivers and empty land."""

from __future__ import annotations

import math
from itertools import pairwise

from lrs2m_builder.sample.drawing.movers import wake
from lrs2m_builder.sample.drawing.placing import decorate, ground, place, pond, road, scatter, water_body, winding
from lrs2m_builder.sample.drawing.sketch import HIGH, LOW, MID, QUARTER, Sketch, band


def courts(sketch: Sketch) -> None:
    """Tennis courts in a row, basketball courts or a pool beside them, trees around."""
    sketch.scene, sketch.gsd = "sports park", sketch.between(0.42, 0.56)
    sketch.land_cover = ["grass"]
    length, wide = sketch.px(36), sketch.px(18)
    count, color = sketch.pick(1, 4), sketch.choose("blue", "green", "red")
    y = sketch.between(62, 74)
    for i in range(count):
        x = MID + (i - (count - 1) / 2) * (wide + 5)
        place(sketch, "tennis court", (x, y), length, wide, QUARTER, color=color, gap=2.5)
    below = y + length / 2 + 34
    if sketch.chance(0.4):
        place(sketch, "swimming pool", (sketch.between(70, 154), below), sketch.px(30), sketch.px(17))
    else:
        color = sketch.choose("orange", "blue", "red")
        for i in range(sketch.pick(0, 2)):
            place(sketch, "basketball court", (86 + i * 66, below), sketch.px(29), sketch.px(16), color=color)
    if sketch.chance(0.5):
        road(sketch, [(LOW, 200), (HIGH, 200)], 8)
    scatter(sketch, "tree", sketch.pick(3, 16), (6, 10), gap=3)


def soccer(sketch: Sketch) -> None:
    """One, two or three soccer fields among trees."""
    sketch.scene, sketch.gsd = "soccer ground", sketch.between(0.74, 1.05)
    sketch.land_cover = ["grass"]
    count = sketch.pick(1, 3) if sketch.gsd > 0.92 else 1
    length, wide = sketch.px(105), sketch.px(66)
    pitch, turned = wide + 8, count < 3
    for i in range(count):
        offset = (i - (count - 1) / 2) * pitch
        shrink = 1.0 if turned else 0.84
        place(sketch, "soccer field", (MID + offset * shrink, 100), length * shrink, wide * shrink, QUARTER)
    if sketch.chance(0.4):
        place(sketch, "building", (MID, 186), sketch.between(40, 60), 18)
    scatter(sketch, "tree", sketch.pick(2, 16), (9, 14), gap=3)


def baseball(sketch: Sketch) -> None:
    """One to four baseball diamonds, home plates toward the middle; a parking lot in some."""
    sketch.scene, sketch.gsd = "baseball park", sketch.between(0.85, 1.0)
    sketch.land_cover = ["grass"]
    count = sketch.pick(1, 4)
    size = 108.0 if count == 1 else 72.0
    for i in range(count):
        if count == 1:
            spot, head = (MID, 96.0), sketch.between(0, 2 * math.pi)
        else:
            dx, dy = ((1, 1), (-1, 1), (-1, -1), (1, -1))[i]
            spot, head = (MID + dx * 41, MID - 8 + dy * 41), QUARTER * i
        if sketch.mirrored:  # a mirrored corner points along its other axis
            head += QUARTER
        place(sketch, "baseball diamond", spot, size, size, head, gap=2)
    if count < 3 and sketch.chance(0.6):
        place(sketch, "parking lot", (MID, 190), 84, 30)
        for i in range(13):
            if sketch.chance(0.5):
                place(sketch, "car", (76 + i * 6, 183), 6.2, 2.9, QUARTER, gap=1, over=("parking lot",))
    scatter(sketch, "tree", sketch.pick(2, 14), (9, 13), gap=3)


def park(sketch: Sketch) -> None:
    """Ponds and trees on grass, a path between them."""
    sketch.scene, sketch.gsd = "park", sketch.between(0.5, 0.8)
    sketch.land_cover = ["grass"]
    if sketch.chance(0.6):
        y = sketch.between(150, 190)
        road(sketch, winding(sketch, (LOW, y), (HIGH, y), 14), 4, dirt=True)
    for _ in range(sketch.pick(1, 2)):
        pond(sketch, (sketch.between(60, 164), sketch.between(56, 130)), sketch.between(26, 46))
    scatter(sketch, "tree", sketch.pick(4, 18), (7, 13), gap=2.5)


def farmland(sketch: Sketch) -> None:
    """Fields side by side with furrows, a dirt road, in some a pond, greenhouses or a farm building."""
    sketch.scene, sketch.gsd = "farmland", sketch.between(0.9, 1.4)
    sketch.land_cover = ["crops"]
    xs = [LOW, sketch.between(50, 90), sketch.between(130, 176), HIGH]
    split = sketch.between(84, 140)
    for left, right in pairwise(xs):
        for top, bottom in ((LOW, split), (split, HIGH)):
            kind = sketch.choose("crops", "ploughed", "stubble", "crops", "grass")
            ground(
                sketch,
                kind,
                [(left + 1, top + 1), (right - 1, top + 1), (right - 1, bottom - 1), (left + 1, bottom - 1)],
            )
    road(sketch, winding(sketch, (LOW, split), (HIGH, split), sketch.between(0, 5)), 8, dirt=True)
    if sketch.chance(0.5):
        for i in range(sketch.pick(2, 6)):
            place(sketch, "greenhouse", (MID + 4, split + 16 + i * 14), 76, 10, gap=2.5)
    elif sketch.chance(0.6):
        pond(sketch, (sketch.between(50, 174), split + 46), sketch.between(16, 26))
    scatter(sketch, "building", sketch.pick(0, 2), (22, 34), 1.7, within=(40, split - 60, 184, split - 16), angle=0.0)
    scatter(sketch, "tree", sketch.pick(0, 8), (9, 13), gap=3)


def solar_farm(sketch: Sketch) -> None:
    """Rows of solar panels on grass or bare soil."""
    sketch.scene, sketch.gsd = "solar farm", sketch.between(0.4, 0.6)
    sketch.land_cover = [sketch.choose("grass", "bare soil", "sand")]
    rows, columns = sketch.pick(2, 6), sketch.pick(1, 4)
    wide, deep = min(80.0, 176 / columns - 7), sketch.between(13, 17)
    pitch = deep + sketch.between(9, 13)
    for row in range(rows):
        for column in range(columns):
            x, y = MID + (column - (columns - 1) / 2) * (wide + 7), 94 + (row - (rows - 1) / 2) * pitch
            if not sketch.placed or sketch.chance(0.94):
                place(sketch, "solar panel", (x, y), wide, deep)
    edge = 94 + rows * pitch / 2 + 14
    if edge < 186:
        road(sketch, [(LOW, edge), (HIGH, edge)], 4.5, dirt=True)
    scatter(sketch, "building", sketch.pick(0, 1), (11, 16), 1.5, within=(40, 150, 184, 205), angle=0.0)


def wind_farm(sketch: Sketch) -> None:
    """Wind turbines that throw long shadows, dirt roads between them."""
    sketch.scene, sketch.gsd = "wind farm", sketch.between(1.5, 2.0)
    sketch.land_cover = [sketch.choose("grass", "stubble", "sand", "bare soil")]
    line = winding(sketch, (LOW, MID), (HIGH, MID), sketch.between(8, 24))
    road(sketch, line, 9, dirt=True)
    count = sketch.pick(1, 5)
    scatter(sketch, "wind turbine", count, (84, 100), gap=4)
    if sketch.land_cover[0] != "sand":
        scatter(sketch, "tree", sketch.pick(0, 5), (12, 18), gap=6)


def river_bridge(sketch: Sketch) -> None:
    """A river, a road that crosses it on a bridge, cars, trees on the banks, perhaps a ship."""
    sketch.scene, sketch.gsd = "river", sketch.between(0.6, 0.85)
    sketch.land_cover = [sketch.choose("grass", "grass", "crops", "forest")]
    wide = sketch.between(40, 54)
    x = sketch.between(100, 124)
    path = winding(sketch, (x, LOW), (x, HIGH), sketch.between(4, 12), 14)
    water_body(sketch, "river", band(path, wide))
    y = sketch.between(90, 134)
    road(sketch, [(LOW, y), (HIGH, y)], 10)
    middle = min(path, key=lambda point: abs(point[1] - y))[0]
    place(sketch, "bridge", (middle, y), wide + 18, sketch.px(12), over=("road", "river"), gap=1)
    for lane, head in ((0.2, 0.0), (-0.2, math.pi)):
        at = y + lane * sketch.px(10)
        free = ("road", "bridge", "river")
        scatter(sketch, "car", sketch.pick(0, 3), (5.4, 6), 2.1, within=(16, at, 208, at), angle=head, over=free, gap=3)
    if sketch.chance(0.5):
        away = y + (56 if y < MID else -56)
        spot = min(path, key=lambda point: abs(point[1] - away))
        length = sketch.between(24, 40)
        head = QUARTER if sketch.chance(0.5) else -QUARTER
        if place(sketch, "ship", spot, length, length * 0.24, head, over=("river",)):
            decorate(sketch, wake, spot, length, length * 0.24, head, (0, 0, 0))
    if sketch.land_cover[0] != "forest":
        scatter(sketch, "tree", sketch.pick(2, 14), (8, 13), gap=3)


def woodland(sketch: Sketch) -> None:
    """Forest with a road through it and a pond or a clearing with a house."""
    sketch.scene, sketch.gsd = "forest", sketch.between(0.6, 0.9)
    sketch.land_cover = ["forest"]
    y = sketch.between(150, 186)
    road(sketch, winding(sketch, (LOW, y), (HIGH, y), sketch.between(4, 20)), 9, dirt=sketch.chance(0.5))
    spot = (sketch.between(80, 144), sketch.between(70, 90))
    if sketch.chance(0.6):
        pond(sketch, spot, sketch.between(28, 44))
        return
    radius = sketch.between(34, 46)
    rim = [radius * sketch.between(0.86, 1.14) for _ in range(16)]
    clearing = [(spot[0] + r * math.cos(i * 0.3927), spot[1] + r * math.sin(i * 0.3927)) for i, r in enumerate(rim)]
    ground(sketch, "grass", clearing)
    for i in range(sketch.pick(1, 2)):
        place(
            sketch, "house", (spot[0], spot[1] - 14 + i * 28), sketch.px(19), sketch.px(13), sketch.between(-0.4, 0.4)
        )


def desert(sketch: Sketch) -> None:
    """Sand with a road, a few cars or trucks, perhaps a lone building."""
    sketch.scene, sketch.gsd = "desert", sketch.between(0.6, 0.9)
    sketch.land_cover = ["sand"]
    y, wide = sketch.between(96, 128), 9
    road(sketch, [(LOW, y), (HIGH, y)], wide)
    for lane, head in ((0.22, 0.0), (-0.22, math.pi)):
        at = y + lane * sketch.px(wide)
        for name, size, aspect in (("car", (5.4, 6.0), 2.1), ("truck", (14.0, 16.0), 4.2)):
            count = sketch.pick(0, 2)
            scatter(sketch, name, count, size, aspect, within=(20, at, 204, at), angle=head, over=("road",), gap=4)
    scatter(sketch, "building", sketch.pick(0, 2), (20, 32), 1.5, within=(40, 30, 184, 200))
    if sketch.chance(0.25):
        place(sketch, "helipad", (sketch.between(60, 164), 176), sketch.px(20), sketch.px(20))


LAYOUTS = (courts, soccer, baseball, park, farmland, solar_farm, wind_farm, river_bridge, woodland, desert)
