"""The sample world: its pictures, its truth, its texts and its files agree."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio.features import shapes

from lrs2m_builder.build import build
from lrs2m_builder.checks import split_words
from lrs2m_builder.checks.base import split_sentences
from lrs2m_builder.errors import UserError
from lrs2m_builder.manifest import load_manifest
from lrs2m_builder.prepare import BuildOptions
from lrs2m_builder.sample.evaluation import CELL
from lrs2m_builder.sample.evaluation import CELLS as MOSAIC_CELLS
from lrs2m_builder.sample.formats import FORMATS, visible, write_sample_source
from lrs2m_builder.sample.formats import Drawn as DrawnScene
from lrs2m_builder.sample.labels import MASK_OPTIONS, class_mask
from lrs2m_builder.sample.placing import CLASSES
from lrs2m_builder.sample.relations import relations
from lrs2m_builder.sample.scene import CELLS, Scene, draw_scene
from lrs2m_builder.sample.sketch import SCALE, SIDE
from lrs2m_builder.sample.texts import Texts, write_texts
from lrs2m_builder.sample.words import ALSO_CALLED, IN_CELL, NUMBERS
from lrs2m_builder.sources import open_source, read_samples
from tests.fake_engine import FakeModule
from tests.toy import ROOT, rows

NUM_SCENES = 120
BANDS = {"road", "river", "runway"}  # they cross the image and are cut by its edge
HASHES = """
import hashlib
from lrs2m_builder.sample.scene import draw_scene
from lrs2m_builder.sample.texts import write_texts
for index in reversed(range(30)):
    scene = draw_scene(5, index)
    print(index, hashlib.sha256(scene.image.tobytes()).hexdigest(), write_texts(scene), scene.objects)
"""


@cache
def world() -> tuple[tuple[Scene, Texts, NDArray[np.int32]], ...]:
    """Scenes with their texts and the object that each pixel shows."""
    scenes = [draw_scene(2, index) for index in range(NUM_SCENES)]
    return tuple((scene, write_texts(scene), scene.mask) for scene in scenes)


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


def test_long_texts_have_the_promised_length() -> None:
    for scene, texts, _ in world():
        assert 60 <= len(split_words(texts.long)) <= 110, (scene.index, texts.long)
        assert 3 <= len(split_sentences(texts.long)) <= 6, (scene.index, texts.long)


def nouns(name: str) -> str:
    """A pattern of the words for a class; a storage tank farm is no storage tank."""
    return rf"(?:{'|'.join(ALSO_CALLED.get(name, (name,)))})s?\b(?! farm)"


def counts_said(name: str, text: str) -> list[str]:
    """The number words and articles that stand before a class, a colour between them or not."""
    words = "|".join([*NUMBERS, "many", "several", "a", "an"])
    return [word.lower() for word in re.findall(rf"\b({words}) (?:\w+ )?{nouns(name)}", text, re.IGNORECASE)]


def holds(word: str, count: int) -> bool:
    if word in NUMBERS:
        return NUMBERS.index(word) == count
    return {"several": 3 <= count <= 7, "many": count >= 8}.get(word, count == 1)


def test_long_texts_name_every_class_with_its_count() -> None:
    for scene, texts, _ in world():
        for name, count in scene.counts.items():
            assert re.search(rf"\b{nouns(name)}", texts.long, re.IGNORECASE), (scene.index, name, texts.long)
            assert count == 1 or counts_said(name, texts.long), (scene.index, name, texts.long)


def test_no_text_gives_a_wrong_count() -> None:
    checked = 0
    for scene, texts, _ in world():
        for text in (texts.long, texts.short, *texts.captions):
            for name, count in scene.counts.items():
                for word in counts_said(name, text):
                    assert holds(word, count), (scene.index, word, name, text)
                    checked += 1
    assert checked > 10 * NUM_SCENES


def test_no_text_names_a_class_that_is_not_there() -> None:
    for scene, texts, _ in world():
        for text in (texts.long, texts.short, *texts.captions):
            for name in set(CLASSES) - set(scene.counts):
                assert not re.search(rf"\b{nouns(name)}", text, re.IGNORECASE), (scene.index, name, text)


def test_a_place_said_of_a_single_object_is_its_place() -> None:
    phrases, checked = "|".join(IN_CELL.values()), 0
    for scene, texts, _ in world():
        for name, count in scene.counts.items():
            pattern = rf"\b(?:one|the|a) (?:\w+ )?{name} (?:is|is seen|is visible|lies|stands) ({phrases})"
            for text in (texts.long, *texts.captions):
                for place in re.findall(pattern, text, re.IGNORECASE) if count == 1 else ():
                    assert IN_CELL[scene.of(name)[0].cell] == place, (scene.index, text)
                    checked += 1
    assert checked > NUM_SCENES


def test_there_are_five_different_captions_and_a_short_text_of_twenty_words() -> None:
    for scene, texts, _ in world():
        assert len(set(texts.captions)) == 5, scene.index
        assert 2 <= len(split_words(texts.short)) <= 20


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_is_read_by_its_adapter_with_the_same_truth(format_name: str, tmp_path: Path) -> None:
    manifest = load_manifest(str(write_sample_source(format_name, tmp_path, 19, seed=4)))
    samples = list(read_samples(open_source(manifest, tmp_path)))
    assert len(samples) == 19
    for index, sample in enumerate(samples):
        scene = draw_scene(4, index)
        texts = write_texts(scene)
        path = sample.image_path
        assert sample.problem is None and isinstance(path, Path)
        assert Image.open(path).tobytes() == scene.image.tobytes()
        reader, counts = FORMATS[format_name].reader, {anchor.name: anchor.count for anchor in sample.anchors}
        if reader == "vector_labels" and format_name != "mask":
            assert counts == scene.counts
        elif format_name == "mask":
            assert {name: count for name, count in counts.items() if count} == {
                name: n for name, n in scene.counts.items() if name in MASK_OPTIONS["countable"]
            }
        elif reader == "rs5m":
            assert sample.captions == (visible(DrawnScene("", scene, texts)),)
        elif reader == "vhm_json":
            assert sample.caption_long == texts.long
        else:
            assert len(sample.captions) == 5
            assert [text.rstrip(" .") for text in sample.captions] == [text.rstrip(".") for text in texts.captions]
        if format_name == "world":
            assert counts == scene.counts and sample.caption_long == texts.long and sample.label == scene.name


@pytest.fixture(scope="module")
def drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("recipe", ["short_to_long", "vector_anchored", "long_to_short", "merge"])
def test_every_recipe_builds_from_the_sample_source_and_truth_passes_its_checks(
    recipe: str, tmp_path: Path, drawn_once: None
) -> None:
    from lrs2m_builder.schema import Completion, Request

    def truth(request: Request) -> Completion:
        texts = write_texts(draw_scene(0, int(Path(request.sample_id.removeprefix("sample/")).stem)))
        return Completion(texts.long if request.role == "mllm" else texts.short, "stop")

    options = BuildOptions(
        recipe=recipe,
        source="sample",
        data_dir=None,
        out_dir=tmp_path / "out",
        engine="fake",
        model="truth",
        limit=40,
        max_attempts=1,
    )
    report = build(options, FakeModule(truth))
    assert (report.samples, report.records) == (40, 40), report.rejections
    assert all(row["caption_long"] and row["caption_short"] for row in rows(tmp_path / "out"))


def test_a_source_that_is_not_drawn_still_needs_its_folder(tmp_path: Path) -> None:
    options = BuildOptions(recipe="merge", source="millionaid", data_dir=None, out_dir=tmp_path)
    with pytest.raises(UserError, match="--data-dir: source millionaid needs its folder"):
        build(options, FakeModule())


def test_a_folder_with_images_is_not_drawn_into(tmp_path: Path) -> None:
    write_sample_source("world", tmp_path, 1)
    with pytest.raises(UserError, match="holds images already"):
        write_sample_source("world", tmp_path, 1)


def test_the_evaluation_format_has_queries_whose_regions_hold_the_objects_they_ask_for(tmp_path: Path) -> None:
    write_sample_source("evaluation", tmp_path, 32, seed=6)
    queries = json.loads((tmp_path / "mosaics" / "anno.json").read_text())
    assert queries and {query["jpg_name"] for query in queries} == {"0.png", "1.png"}
    for query in queries:
        with Image.open(tmp_path / "mosaics" / query["jpg_name"]) as mosaic:
            assert mosaic.size == (MOSAIC_CELLS * CELL, MOSAIC_CELLS * CELL)
        asked = query["caption"].removeprefix("there is a ").removeprefix("there is an ").removesuffix(".")
        for (left, top), _, (right, bottom), _ in query["points"]:
            column, row = int((left + right) / 2 / CELL), int((top + bottom) / 2 / CELL)
            scene = draw_scene(6, int(query["jpg_name"][0]) * MOSAIC_CELLS**2 + row * MOSAIC_CELLS + column)
            name = next((name for name, (said, *_) in ALSO_CALLED.items() if said == asked), asked)
            boxes = [thing.box for thing in scene.of(name)]
            assert boxes
            scale = CELL / scene.image.width
            assert [left, top] == pytest.approx(
                [min(b[0] for b in boxes) * scale + column * CELL, min(b[1] for b in boxes) * scale + row * CELL]
            )
            assert [right, bottom] == pytest.approx(
                [max(b[2] for b in boxes) * scale + column * CELL, max(b[3] for b in boxes) * scale + row * CELL]
            )


def test_the_images_of_the_evaluation_format_lie_in_a_folder_for_each_kind_of_scene(tmp_path: Path) -> None:
    write_sample_source("evaluation", tmp_path, 8, seed=6)
    for index in range(8):
        folder = draw_scene(6, index).name.replace(" ", "_")
        assert (tmp_path / "images" / folder / f"{index:05d}.png").is_file()
    images = json.loads((tmp_path / "dataset.json").read_text())["images"]
    assert [image["split"] for image in images] == ["test"] * 8 and all(len(i["sentences"]) == 5 for i in images)
