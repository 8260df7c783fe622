"""Places of a text are held against the boxes of the labels, and the prompt says where labelled objects are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrs2m_builder import places_in_words
from lrs2m_builder.build.plan_file import Origin, write_plan
from lrs2m_builder.checks import ANCHOR_PLACE, Answer, Level
from lrs2m_builder.checks.reading.regions import can_hold_each, region_of
from lrs2m_builder.checks.reading.vocabulary import plural_of
from lrs2m_builder.dataset.audit.consistency import check_records
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.prompt import load_prompt
from lrs2m_builder.exchange import Completion, Request
from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.false_texts import write_false_texts
from lrs2m_builder.sample.formats import write_sample_source
from lrs2m_builder.sample.texts import write_texts
from lrs2m_builder.schema import Anchor, Box, Sample
from lrs2m_builder.sources import open_source, read_samples
from tests.fake_engine import FakeModule, good_text
from tests.toy import build_toy, rows

SIZE = (90, 90)


def sample_of(size: tuple[int, int] | None = SIZE, **boxes: list[Box]) -> Sample:
    anchors = tuple(Anchor(name, len(each), tuple(each)) for name, each in boxes.items())
    return Sample("toy/1", "toy", "1.png", None, anchors=anchors, image_size=size)


def drawn(scene: Scene) -> Sample:
    return sample_of((SIDE, SIDE), **{name: [thing.box for thing in scene.of(name)] for name in scene.counts})


def finding(text: str, sample: Sample) -> str | None:
    return ANCHOR_PLACE.find(Answer(text, text, "stop", 50, sample))


def around(x: float, y: float, half: float = 3) -> Box:
    return x - half, y - half, x + half, y + half


def test_no_true_text_of_the_sample_world_is_refused() -> None:
    for index in range(60):
        scene = draw_scene(31, index)
        texts = write_texts(scene)
        for text in (texts.long, texts.short, *texts.captions):
            assert finding(text, drawn(scene)) is None, text


def test_most_texts_with_a_planted_wrong_place_are_refused() -> None:
    random, hits, planted = np.random.default_rng(1), 0, 0
    for index in range(150):
        scene = draw_scene(32, index)
        false = write_false_texts(scene, random)
        if false is not None and false.error == "place":
            planted += 1
            hits += finding(false.texts.long, drawn(scene)) is not None
    assert planted > 20 and hits / planted > 0.6


def test_what_the_prompt_says_of_places_passes_the_check() -> None:
    said = 0
    for index in range(60):
        sample = drawn(draw_scene(33, index))
        for name, words in places_in_words(sample).items():
            (anchor,) = (each for each in sample.anchors if each.name == name)
            subject = f"The {name} is" if anchor.count == 1 else f"The {plural_of(name)} are"
            assert finding(f"{subject} {words}.", sample) is None
            said += 1
    assert said > 60


@pytest.mark.parametrize(
    ("centers", "words"),
    [
        ([(10, 10)], "in the upper left"),
        ([(10, 10), (15, 14), (80, 45)], "two in the upper left, one on the right"),
        ([(45, 45), (44, 40)], "in the center"),
        ([(31, 20), (10, 70)], "in the left half of the image"),  # the first is on the border of two thirds
        ([(10, 10), (45, 10), (80, 10), (80, 80)], ""),
        ([(44, 10), (31, 80)], ""),
    ],
)
def test_places_are_said_by_thirds_where_they_are_certain(centers: list[tuple[int, int]], words: str) -> None:
    assert places_in_words(sample_of(ship=[around(*center) for center in centers])).get("ship", "") == words


def test_a_class_with_cut_objects_has_places_without_numbers() -> None:
    anchor = Anchor("ship", None, (around(10, 10), around(80, 45)))
    sample = Sample("toy/1", "toy", "1.png", None, anchors=(anchor,), image_size=SIZE)
    assert places_in_words(sample) == {"ship": "in the upper left and on the right"}


def test_without_the_size_of_the_image_nothing_is_said_and_nothing_found() -> None:
    unknown = sample_of(None, ship=[around(10, 10)])
    assert places_in_words(unknown) == {} and finding("A ship lies on the right.", unknown) is None
    assert finding("A ship lies on the right.", sample_of(ship=[around(10, 10)]))


@pytest.mark.parametrize(
    ("words", "inside", "outside"),
    [
        ("on the left", (51, 80), (56, 45)),  # a twelfth of the image beyond the middle is tolerated
        ("in the upper left", (36, 36), (45, 20)),
        ("in the center", (24, 66), (10, 45)),
        ("along the top edge", (45, 24), (45, 40)),
        ("in the lower right corner", (54, 85), (45, 85)),
        ("in the upper right quadrant", (45, 40), (30, 40)),
        ("in the bottom third", (10, 54), (10, 45)),
    ],
)
def test_a_place_is_where_the_page_says(words: str, inside: tuple[int, int], outside: tuple[int, int]) -> None:
    for center, is_found in ((inside, False), (outside, True)):
        text = f"A ship can be seen {words} of the image."
        assert bool(finding(text, sample_of(ship=[around(*center)]))) is is_found


def test_objects_that_are_told_one_by_one_need_a_place_each() -> None:
    """Each of both places may hold the ship in the middle, but not both at once."""
    left, right = region_of((-1, 0), ()), region_of((1, 0), ())
    middle, far = around(45, 10), around(10, 80)
    assert can_hold_each([left, right], [middle, far], SIZE)
    assert not can_hold_each([right, right], [middle, far], SIZE)


def test_numbers_of_any_size_are_read() -> None:
    crowd = sample_of(car=[around(10 + number % 20, 10 + number % 7, 1) for number in range(2000)])
    assert finding("Cars are parked here, 99,999,999 on the left and two thousand at the top.", crowd) is None
    assert finding("Cars are parked here, one thousand on the left and one thousand on the right.", crowd)


def test_the_prompt_with_places_is_that_of_vector_anchored_for_labels_without_boxes() -> None:
    facts = {"view": "image", "min_words": 60, "max_words": 160, "anchors": (Anchor("car", 2), Anchor("road"))}
    old, new = load_prompt("vector_anchored.v1"), load_prompt("vector_anchored_places.v1")
    for problem in ("", "The answer was empty."):
        assert old.render({**facts, "problem": problem}) == new.render({**facts, "problem": problem, "places": {}})


def test_the_size_of_an_image_with_boxes_is_read_and_kept_by_the_plan(tmp_path: Path) -> None:
    manifest = load_manifest(str(write_sample_source("dota", tmp_path / "dota", 5)))
    samples = list(read_samples(source := open_source(manifest, tmp_path / "dota")))
    assert [sample.image_size for sample in samples] == [(SIDE, SIDE)] * 5
    plan = write_plan(Origin(manifest, tmp_path / "dota", None, 2), source, tmp_path, with_hash=True)
    assert list(plan.file.pick(range(5))) == samples
    assert [sample.anchors[0].boxes for sample in plan.file.pick(range(5))] == [s.anchors[0].boxes for s in samples]


def test_other_boxes_are_another_source(tmp_path: Path) -> None:
    hashes = []
    for x in (10, 50):
        folder = tmp_path / str(x)
        (folder / "images").mkdir(parents=True)
        Image.new("RGB", SIZE).save(folder / "images" / "1.png")
        (folder / "labels").mkdir()
        (folder / "labels" / "1.txt").write_text(f"{x} 10 {x + 9} 10 {x + 9} 20 {x} 20 ship 0\n")
        manifest = load_manifest("openlandmap")
        origin = Origin(manifest, folder, None, 2)
        hashes.append(write_plan(origin, open_source(manifest, folder), folder, with_hash=True).file.samples["sha256"])
    assert hashes[0] != hashes[1]


def one_ship(folder: Path) -> Path:
    """A source of one image with a ship in its upper left; returns its manifest."""
    Image.new("RGB", SIZE, (20, 60, 90)).save(folder / "1.png")
    (folder / "labels").mkdir()
    (folder / "labels" / "1.txt").write_text("5 5 20 5 20 20 5 20 ship 0\n")
    (folder / "m.yaml").write_text(
        "name: m\ntitle: M\nformat: vector_labels\nfiles: {annotations: [labels], images: ['{stem}.*']}\n"
        "license: x\nhomepage: none\ncitation: none\nget: none\ntexts_from: labels\n"
    )
    return folder / "m.yaml"


def answer(request: Request) -> Completion:
    """A long text that is wrong the first time."""
    if request.role == "llm":
        return Completion("A ship on calm dark water.", "stop", 5, 9)
    where = "in the lower right" if request.attempt == 1 else "in the upper left"
    return Completion(f"A ship lies {where} of the image. {good_text(1)}", "stop", 5, 9)


def test_at_error_a_text_that_puts_an_object_elsewhere_is_asked_again(tmp_path: Path) -> None:
    module = FakeModule(answer)
    levels: dict[str, Level] = {"anchor_place": "error"}
    build_toy(
        one_ship(tmp_path),
        tmp_path / "out",
        module,
        recipe="vector_anchored_places",
        data_dir=tmp_path,
        checks=levels,
    )
    first, second = (request.parts[1] for request in module.requests if request.step == 0)
    assert "- ship: 1\n" in first and first.endswith("- ship: in the upper left")
    assert 'The answer put "ship" in the lower right of the image' in second
    assert "upper left" in rows(tmp_path / "out")[0]["caption_long"]


def test_an_audit_finds_it_in_a_finished_data_set(tmp_path: Path) -> None:
    levels: dict[str, Level] = {"anchor_place": "off"}
    build_toy(
        one_ship(tmp_path),
        tmp_path / "out",
        FakeModule(answer),
        recipe="vector_anchored",
        data_dir=tmp_path,
        checks=levels,
    )
    (found,) = (each for each in check_records(list((tmp_path / "out" / "data").rglob("*.parquet"))) if each.records)
    assert (found.check, found.column, found.records) == ("anchor_place", "caption_long", 1)


def test_on_captions_written_blind_its_precision_and_recall_are_what_the_page_says() -> None:
    cases = [json.loads(line) for line in (Path(__file__).parent / "places_unseen" / "anchor_place.jsonl").open()]
    found = [finding(case["text"], sample_of(tuple(case["size"]), **case["boxes"])) is not None for case in cases]
    hits = sum(case["bad"] for case, is_found in zip(cases, found, strict=True) if is_found)
    assert len(cases) == 160 and hits / sum(found) >= 0.83 and hits / 50 >= 0.8
