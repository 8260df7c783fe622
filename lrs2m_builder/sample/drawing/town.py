"""Layouts of built-up areas. Each puts ground and objects into a sketch, in a square of 224 pixels."""

from __future__ import annotations

import math

from lrs2m_builder.sample.drawing.movers import wake
from lrs2m_builder.sample.drawing.placing import across, decorate, ground, patch, place, road, scatter
from lrs2m_builder.sample.drawing.sketch import HIGH, LOW, MID, QUARTER, Sketch


def airport(sketch: Sketch) -> None:
    """Planes side by side at a terminal, nose in; a runway beyond the grass."""
    sketch.scene, sketch.gsd = "airport", sketch.between(0.85, 1.4)
    sketch.land_cover = ["grass"]
    top = sketch.between(30, 44)
    ground(sketch, "concrete", [(LOW, LOW), (HIGH, LOW), (HIGH, 146), (LOW, 146)])
    place(
        sketch,
        "building",
        (MID, top),
        sketch.between(120, 160),
        sketch.between(20, 26),
        color=sketch.choose("gray", "white"),
    )
    length = sketch.px(sketch.between(34, 46))
    count = sketch.pick(1, 7)
    step = max(length * 1.1, 150 / count)
    for i in range(count):
        x = MID + (i - (count - 1) / 2) * step
        place(sketch, "plane", (x, top + 21 + length * 0.55), length, length * 0.95, -QUARTER, gap=2)
    across(sketch, "runway", 188, sketch.px(sketch.between(28, 36)))
    scatter(sketch, "truck", sketch.pick(0, 3), (11, 14), 3.0, within=(30, 120, 194, 142), angle=0.0)
    if sketch.chance(0.4):
        place(sketch, "helipad", (sketch.between(40, 184), 126), sketch.px(24), sketch.px(24))


def harbor(sketch: Sketch) -> None:
    """Piers from a quay, ships moored along them, sheds on the quay."""
    sketch.scene, sketch.gsd = "harbor", sketch.between(0.9, 1.5)
    sketch.land_cover = ["water"]
    quay = sketch.between(58, 74)
    ground(sketch, "concrete", [(LOW, LOW), (HIGH, LOW), (HIGH, quay), (LOW, quay)], bank=(120, 116, 108))
    scatter(sketch, "building", sketch.pick(1, 3), (34, 60), 2.0, within=(30, 22, 194, quay - 16), angle=0.0)
    scatter(sketch, "truck", sketch.pick(0, 4), (12, 15), 3.0, within=(30, 30, 194, quay - 6), angle=0.0)
    piers = sketch.pick(1, 3)
    color = sketch.choose("beige", "gray", "brown")
    for i in range(piers):
        x = MID + (i - (piers - 1) / 2) * sketch.between(62, 66)
        reach = sketch.between(84, 108)
        if not place(sketch, "pier", (x, quay + 1 + reach / 2), reach, 8, QUARTER, color=color):
            continue
        for side in (-1, 1):
            y = quay + 8
            while y < quay + reach - 16 and sketch.chance(0.75):
                length = sketch.between(20, 46)
                wide = length * sketch.between(0.2, 0.26)
                head = QUARTER if sketch.chance(0.5) else -QUARTER
                place(sketch, "ship", (x + side * (6 + wide / 2), y + length / 2), length, wide, head, gap=1.5)
                y += length + sketch.between(5, 9)
    if len([p for p in sketch.placed if p.name == "ship"]) == 0 or sketch.chance(0.3):
        _ship_under_way(sketch, sketch.between(60, 164), 196, sketch.between(24, 44))


def _ship_under_way(sketch: Sketch, x: float, y: float, length: float) -> bool:
    angle = sketch.between(0, 2 * math.pi)
    done = place(sketch, "ship", (x, y), length, length * sketch.between(0.18, 0.24), angle, gap=length * 0.5)
    if done:
        decorate(sketch, wake, (x, y), length, length * 0.2, angle, (0, 0, 0))
    return done


def open_water(sketch: Sketch) -> None:
    """Moving ships on open water."""
    sketch.scene, sketch.gsd = "open water", sketch.between(1.2, 2.4)
    sketch.land_cover = ["water"]
    count = sketch.pick(1, 6)
    for _ in range(40):
        if sum(p.name == "ship" for p in sketch.placed) == count:
            break
        _ship_under_way(sketch, sketch.between(20, 204), sketch.between(20, 204), sketch.between(22, 64))


def tank_farm(sketch: Sketch) -> None:
    """Storage tanks in a grid, a road beside them, sometimes a control building."""
    sketch.scene, sketch.gsd = "storage tank farm", sketch.between(0.8, 1.3)
    sketch.land_cover = [sketch.choose("gravel", "bare soil", "concrete")]
    rows, columns = sketch.pick(1, 3), sketch.pick(2, 4)
    pitch = min(176 / columns, 156 / rows, sketch.between(44, 62))
    size = pitch * sketch.between(0.62, 0.78)
    color = sketch.choose("white", "white", "gray", "beige")
    for row in range(rows):
        for column in range(columns):
            x, y = MID + (column - (columns - 1) / 2) * pitch, 96 + (row - (rows - 1) / 2) * pitch
            if not sketch.placed or sketch.chance(0.9):
                tank_color = color if sketch.chance(0.8) else sketch.choose("white", "gray", "beige")
                place(sketch, "storage tank", (x, y), size, size, color=tank_color)
    edge = 96 + rows * pitch / 2 + 14
    road(sketch, [(LOW, edge), (HIGH, edge)], 9)
    scatter(sketch, "building", sketch.pick(0, 2), (22, 36), 1.6, within=(40, edge + 16, 184, 200), angle=0.0)
    scatter(sketch, "truck", sketch.pick(0, 3), (12, 15), 3.2, within=(30, edge, 194, edge), angle=0.0, over=("road",))


def residential(sketch: Sketch) -> None:
    """Houses along one or two streets, drives to the road, cars, pools behind some houses, trees."""
    sketch.scene, sketch.gsd = "residential area", sketch.between(0.36, 0.5)
    sketch.land_cover = ["grass"]
    streets = [MID] if sketch.chance(0.6) else [44.0, 180.0]
    wide = sketch.px(7.5)
    for y in streets:
        road(sketch, [(LOW, y), (HIGH, y)], 7.5)
    for y in streets:
        for side in (-1, 1):
            x = sketch.between(18, 34)
            while x < 206:
                length, depth = sketch.px(sketch.between(13, 17)), sketch.px(sketch.between(9.5, 12))
                back = wide / 2 + depth / 2 + sketch.px(sketch.between(4, 6))
                if sketch.chance(0.88) and place(sketch, "house", (x, y + side * back), length, depth, gap=6):
                    drive = back - wide / 2
                    decorate(
                        sketch,
                        patch,
                        (x + length * 0.3, y + side * (wide / 2 + drive / 2)),
                        6.5,
                        drive,
                        0.0,
                        (186, 182, 174),
                    )
                    if sketch.chance(0.22):
                        far = back + depth / 2 + sketch.px(6)
                        place(sketch, "swimming pool", (x, y + side * far), sketch.px(8.5), sketch.px(5), gap=3)
                x += length + sketch.px(sketch.between(5, 9))
        for lane, head in ((0.25, 0.0), (-0.25, math.pi)):
            lane_y = y + lane * wide
            within = (12.0, lane_y, 212.0, lane_y)
            scatter(sketch, "car", sketch.pick(0, 3), (4.4, 4.9), 2.3, within=within, angle=head, over=("road",))
    scatter(sketch, "tree", sketch.pick(1, 10), (5, 8), gap=2)


def car_park(sketch: Sketch) -> None:
    """Rows of stalls, many of them occupied; a large building and trees beside the lot."""
    sketch.scene, sketch.gsd = "parking lot", sketch.between(0.38, 0.46)
    sketch.land_cover = ["grass"]
    length, height = 186.0, 118.0
    left, top = MID - length / 2, 84.0
    turn_back = sketch.turn - round(sketch.turn / QUARTER) * QUARTER
    sketch.turn -= turn_back * 0.8  # a lot as large as this must not be cut by the edge
    if not place(sketch, "parking lot", (MID, top + height / 2), length, height):
        sketch.turn = round(sketch.turn / QUARTER) * QUARTER
        place(sketch, "parking lot", (MID, top + height / 2), length, height)
    stall, deep, share = sketch.px(2.9), sketch.px(5.4), sketch.between(0.1, 0.7)
    for y, head in ((top + 4, 1), (top + height / 2 - deep, 1), (top + height / 2, -1), (top + height - 4 - deep, -1)):
        stalls = int((length - 12) / stall)
        for i in range(stalls + 1):
            x = left + 6 + i * stall
            decorate(sketch, patch, (x, y + deep / 2), 0.8, deep, 0.0, (220, 220, 214))
            if i < stalls and sketch.chance(share):
                angle = head * QUARTER
                point = (x + stall / 2, y + deep / 2)
                place(sketch, "car", point, sketch.px(4.5), sketch.px(1.9), angle, gap=1.0, over=("parking lot",))
    if sketch.chance(0.7):
        place(sketch, "building", (MID, 44), sketch.between(90, 150), sketch.between(34, 44))
    scatter(sketch, "tree", sketch.pick(0, 8), (5, 8), gap=3)


def industrial(sketch: Sketch) -> None:
    """Large halls on concrete with trucks at their sides and a road; sometimes a helipad or tanks."""
    sketch.scene, sketch.gsd = "industrial area", sketch.between(0.6, 0.8)
    sketch.land_cover = ["concrete"]
    road_y = sketch.between(158, 176)
    ground(sketch, "grass", [(LOW, road_y - 14), (HIGH, road_y - 14), (HIGH, HIGH), (LOW, HIGH)])
    road(sketch, [(LOW, road_y), (HIGH, road_y)], 10)
    columns = sketch.pick(1, 3)
    for i in range(columns):
        x = MID + (i - (columns - 1) / 2) * 172 / columns
        wide = min(112.0, 172 / columns - sketch.between(16, 24))
        place(sketch, "building", (x, sketch.between(60, 70)), wide, sketch.between(48, 70))
        for k in range(sketch.pick(0, 4)):
            place(sketch, "truck", (x - wide / 2 + 8 + k * 10, 122), sketch.px(13), sketch.px(3.4), QUARTER, gap=2)
    for lane, head in ((0.22, 0.0), (-0.22, math.pi)):
        y = road_y + lane * sketch.px(10)
        scatter(sketch, "truck", sketch.pick(0, 2), (12, 15), 3.6, within=(20, y, 204, y), angle=head, over=("road",))
    if sketch.chance(0.35):
        place(sketch, "helipad", (sketch.between(60, 164), 200), sketch.px(17), sketch.px(17))
    scatter(sketch, "tree", sketch.pick(0, 8), (8, 11), within=(20, road_y + 12, 204, 214), gap=3)


def crossing(sketch: Sketch) -> None:
    """A roundabout where four roads meet, cars on them, buildings or trees in the corners."""
    sketch.scene, sketch.gsd = "roundabout", sketch.between(0.48, 0.62)
    sketch.land_cover = ["grass"]
    across, wide = sketch.px(40), 9.0
    arms = sketch.pick(3, 4)
    x, y = sketch.between(100, 124), sketch.between(100, 124)
    for arm in range(arms):
        a = QUARTER * arm
        start = (x + math.cos(a) * across * 0.47, y + math.sin(a) * across * 0.47)
        road(sketch, [start, (x + math.cos(a) * 300, y + math.sin(a) * 300)], wide)
    place(sketch, "roundabout", (x, y), across, across, over=("road",))
    for arm in range(arms):
        a = QUARTER * arm
        for side in (-1, 1):
            out, lane = sketch.between(across * 0.5 + 14, 92), side * sketch.px(wide) * 0.22
            point = (x + math.cos(a) * out - math.sin(a) * lane, y + math.sin(a) * out + math.cos(a) * lane)
            if sketch.chance(0.55):
                head = a if side > 0 else a + math.pi
                place(sketch, "car", point, sketch.px(5.2), sketch.px(2.4), head, over=("road",), gap=2)
    homes = sketch.chance(0.6)
    for dx in (-1, 1):
        for dy in (-1, 1):
            if homes and sketch.chance(0.75):
                size = sketch.between(26, 36)
                place(
                    sketch,
                    "building",
                    (x + dx * sketch.between(62, 68), y + dy * sketch.between(62, 68)),
                    size * 1.2,
                    size,
                )
    scatter(sketch, "tree", sketch.pick(2, 11), (7, 10), gap=3)


def school(sketch: Sketch) -> None:
    """A running track, school buildings and basketball courts."""
    sketch.scene, sketch.gsd = "school", sketch.between(1.05, 1.25)
    sketch.land_cover = ["grass"]
    length = sketch.px(sketch.between(168, 180))
    y = sketch.between(74, 80)
    place(sketch, "ground track field", (MID, y), length, length * 0.53)
    edge = y + length * 0.265 + 8
    ground(sketch, "concrete", [(34, edge), (190, edge), (190, edge + 68), (34, edge + 68)])
    courts = sketch.pick(0, 3)
    for i in range(courts):
        place(sketch, "basketball court", (48 + i * 19, edge + 24), sketch.px(34), sketch.px(18), QUARTER, gap=1.5)
    x = 52 + courts * 19
    place(sketch, "building", ((x + 184) / 2, edge + 16), 184 - x, sketch.between(18, 22), gap=2)
    if sketch.chance(0.6):
        place(sketch, "building", ((x + 184) / 2, edge + 48), (184 - x) * sketch.between(0.6, 0.95), 20, gap=2)
    scatter(sketch, "tree", sketch.pick(1, 10), (10, 14), gap=3)


LAYOUTS = (airport, harbor, open_water, tank_farm, residential, car_park, industrial, crossing, school)
