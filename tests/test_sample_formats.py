"""The sample world in every format that is read: the same truth, and builds of every recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.commands.sample import FORMAT_NAMES
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import UserError
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.evaluation import CELL
from lrs2m_builder.sample.evaluation import CELLS as MOSAIC_CELLS
from lrs2m_builder.sample.formats import FORMATS, visible, write_sample_source
from lrs2m_builder.sample.formats import Drawn as DrawnScene
from lrs2m_builder.sample.labels import MASK_OPTIONS
from lrs2m_builder.sample.texts import write_texts
from lrs2m_builder.sample.words import ALSO_CALLED
from lrs2m_builder.sample.world import drawn_world
from lrs2m_builder.sources import open_source, read_samples
from tests.fake_engine import FakeModule
from tests.toy import rows


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
    from lrs2m_builder.exchange import Completion, Request

    def truth(request: Request) -> Completion:
        texts = write_texts(draw_scene(0, int(Path(request.sample_id.removeprefix("sample/")).stem)))
        return Completion(texts.long if request.role == "mllm" else texts.short, "stop")

    options = BuildOptions(
        recipe=recipe,
        source="sample",
        data_dir=drawn_world(),
        out_dir=tmp_path / "out",
        engine="fake",
        model="truth",
        limit=40,
        max_attempts=1,
    )
    report = build(options, FakeModule(truth))
    assert (report.samples, report.records) == (40, 40), report.rejections
    assert all(row["caption_long"] and row["caption_short"] for row in rows(tmp_path / "out"))


def test_the_help_names_every_format() -> None:
    assert FORMAT_NAMES.split(", ") == list(FORMATS)


def test_a_source_that_is_not_drawn_still_needs_its_folder(tmp_path: Path) -> None:
    options = BuildOptions(recipe="merge", source="millionaid", data_dir=None, out_dir=tmp_path)
    with pytest.raises(UserError, match="--data-dir: source millionaid needs its folder"):
        build(options, FakeModule())


def test_a_folder_with_images_is_not_drawn_into(tmp_path: Path) -> None:
    write_sample_source("world", tmp_path, 1)
    with pytest.raises(UserError, match="already exists; give a new folder or remove it"):
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
