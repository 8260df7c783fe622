"""The sample world: its pictures and its truth agree."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio.features import shapes

from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import CELLS, Scene, draw_scene
from lrs2m_builder.sample.drawing.sketch import SCALE, SIDE
from lrs2m_builder.sample.labels import MASK_OPTIONS, class_mask
from lrs2m_builder.sample.relations import relations
from lrs2m_builder.sample.texts import write_texts
from tests.sample_scenes import world
from tests.toy import ROOT

BANDS = {"road", "river", "runway"}  # they cross the image and are cut by its edge
HASHES = """
import hashlib
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.texts import write_texts
for index in reversed(range(30)):
    scene = draw_scene(5, index)
    print(index, hashlib.sha256(scene.image.tobytes()).hexdigest(), write_texts(scene), scene.objects)
"""


def drawn_alone(scene: Scene, owner: int) -> NDArray[np.uint8]:
    """The pixels of one object as if nothing else were there."""
    big = Image.new("L", (SIDE * SCALE, SIDE * SCALE), 0)
    draw = ImageDraw.Draw(big)
    for owned in (*scene.sketch.regions, *scene.sketch.shapes):
        if owned.owner == owner:
            draw.polygon(owned.points, fill=1)
    return np.asarray(big)[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]


def seen_box(mask: NDArray[np.int32], number: int) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask == number)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def test_another_process_draws_and_says_the_same_in_any_order() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    run = subprocess.run([sys.executable, "-c", HASHES], cwd=ROOT, env=environment, capture_output=True, check=True)
    scenes = [draw_scene(5, index) for index in range(30)]
    here = [
        f"{i} {hashlib.sha256(s.image.tobytes()).hexdigest()} {write_texts(s)} {s.objects}"
        for i, s in enumerate(scenes)
    ]
    assert run.stdout.decode().splitlines() == here[::-1]


def test_scenes_differ_by_index_and_by_seed() -> None:
    pictures = {draw_scene(seed, index).image.tobytes() for seed in range(3) for index in range(20)}
    assert len(pictures) == 60


def test_every_class_and_every_scene_occurs() -> None:
    assert {name for scene, *_ in world() for name in scene.counts} == set(CLASSES)
    assert len({scene.name for scene, *_ in world()}) == 19


def test_every_object_shows_at_least_three_fifths_of_itself() -> None:
    for scene, _, mask in world():
        for number, thing in enumerate(scene.objects, start=1):
            whole, seen = int(drawn_alone(scene, number - 1).sum()), int((mask == number).sum())
            assert seen >= max(8, 0.6 * whole), (scene.index, thing)


def test_boxes_are_those_of_the_pixels_drawn() -> None:
    for scene, _, mask in world():
        for number, thing in enumerate(scene.objects, start=1):
            if thing.name not in BANDS:  # others may cover their ends
                gaps = [abs(a - b) for a, b in zip(seen_box(mask, number), thing.box, strict=True)]
                assert max(gaps) <= 2.5, (scene.index, thing)


def test_counts_are_those_of_the_connected_regions() -> None:
    """Objects of one class never touch, so a recount of the mask's regions finds the same number."""
    for scene, *_ in world():
        mask = np.asarray(class_mask(scene))
        for name in MASK_OPTIONS["countable"]:
            here = mask == CLASSES.index(name) + 1
            regions = sum(1 for _ in shapes(here.astype(np.uint8), mask=here, connectivity=8))
            assert regions == scene.counts.get(name, 0), (scene.index, name)


def test_nothing_that_is_counted_is_cut_by_the_edge() -> None:
    for scene, *_ in world():
        for thing in scene.objects:
            if thing.name not in BANDS:
                assert min(thing.box) >= 2 and max(thing.box) <= SIDE - 2, (scene.index, thing)


def test_an_object_is_where_the_middle_of_its_pixels_box_is() -> None:
    for scene, _, mask in world():
        for number, thing in enumerate(scene.objects, start=1):
            left, top, right, bottom = seen_box(mask, number)
            x, y = (left + right) / 2, (top + bottom) / 2
            near_a_line = min(abs(value - SIDE * k / 3) for value in (x, y) for k in (1, 2)) < 3
            if thing.name not in BANDS and not near_a_line:
                assert thing.cell == CELLS[int(3 * y / SIDE)][int(3 * x / SIDE)]


def test_relations_hold_for_the_pixels() -> None:
    kinds = Counter()
    for scene, _, mask in world():
        names = ["", *(thing.name for thing in scene.objects)]
        for relation in relations(scene):
            kinds[relation.name] += 1
            a, b = (
                np.nonzero(np.isin(mask, [i for i, name in enumerate(names) if name == which]))
                for which in (relation.first, relation.second)
            )
            holds = {
                "left of": a[1].max() < b[1].min(),
                "right of": a[1].min() > b[1].max(),
                "above": a[0].max() < b[0].min(),
                "below": a[0].min() > b[0].max(),
            }
            assert holds.get(relation.name, True), (scene.index, relation)
    assert kinds.keys() == {"left of", "right of", "above", "below", "next to", "on", "along"}
