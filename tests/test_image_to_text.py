"""Texts from images alone: no text is needed, a class is a hint, and the short text comes from the long one."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lrs2m_builder.build.prepare import prepare
from lrs2m_builder.build.preview import dry_run
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion, Request
from tests.fake_engine import FakeModule, good_text
from tests.test_odd_sources import write_manifest
from tests.toy import build_toy, rows, toy_options

SHORT = "Green fields lie at a narrow road."


def answer(request: Request) -> Completion:
    return Completion(SHORT if request.role == "llm" else good_text(request.seed), "stop", 5, 9)


def folder_of_classes(folder: Path) -> Path:
    """Two images of a class and one of none, all without any text; returns the manifest."""
    for name in ("farmland/a.png", "farmland/b.png", "c.png"):
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (90, 120, len(name))).save(folder / "images" / name)
    return write_manifest(folder, format="image_folder", files={"annotations": ["images"]})


def test_images_without_any_text_get_both_texts(tmp_path: Path) -> None:
    module = FakeModule(answer)
    report = build_toy(folder_of_classes(tmp_path), tmp_path / "out", module, recipe="image_to_text")
    assert (report.samples, report.records) == (3, 3)
    built = rows(tmp_path / "out")
    assert {row["label"] for row in built} == {"farmland", ""}
    assert all(row["caption_short"] == SHORT and row["caption_long"] for row in built)
    assert {row["long_source"] for row in built} == {row["short_source"] for row in built} == {"toy-model"}


def test_the_class_is_a_hint_where_there_is_one(tmp_path: Path) -> None:
    module = FakeModule(answer)
    build_toy(folder_of_classes(tmp_path), tmp_path / "out", module, recipe="image_to_text")
    ends = {request.sample_id: request.parts[1] for request in module.requests if request.step == 0}
    assert "- its class: farmland" in ends["toy/farmland/a.png"]
    assert ends["toy/c.png"].strip() == "Describe this image."


def test_the_short_text_is_asked_from_the_long_one_without_the_image(tmp_path: Path) -> None:
    module = FakeModule(answer)
    build_toy(folder_of_classes(tmp_path), tmp_path / "out", module, recipe="image_to_text")
    second = [request for request in module.requests if request.step == 1]
    long_texts = {row["sample_id"]: row["caption_long"] for row in rows(tmp_path / "out")}
    assert len(second) == 3 and all(len(request.parts) == 1 and request.role == "llm" for request in second)
    assert all(long_texts[request.sample_id] in request.parts[0] for request in second)


def test_a_recipe_that_reads_texts_says_which_the_image_lacks(tmp_path: Path) -> None:
    source = folder_of_classes(tmp_path)
    for recipe, reason in (
        ("short_to_long", "no_captions"),
        ("long_to_short", "no_caption_long"),
        ("vector_anchored", "no_anchors"),
    ):
        with pytest.raises(UserError, match=f"unusable 3 {reason}"):
            build_toy(source, tmp_path / recipe, FakeModule(answer), recipe=recipe)


def test_a_label_file_that_does_not_fit_hinders_no_recipe_that_reads_no_labels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "images" / "1.png")
    (tmp_path / "labels" / "1.txt").write_text("90 90 99 90 99 99 90 99 ship 0\n")
    files = {"annotations": ["labels"], "images": ["images/{filename}.*"]}
    source = write_manifest(tmp_path, format="vector_labels", files=files)
    assert build_toy(source, tmp_path / "a", FakeModule(answer), recipe="image_to_text").records == 1
    with pytest.raises(
        UserError, match=r"unusable 1 labels_outside \(such as: .*none of its 1 objects lies in the image"
    ):
        build_toy(source, tmp_path / "b", FakeModule(answer), recipe="vector_anchored")


def test_the_dry_run_counts_what_a_recipe_cannot_use(tmp_path: Path) -> None:
    source = folder_of_classes(tmp_path)
    (tmp_path / "images" / "c.txt").write_text("A field.")
    options = toy_options(source, tmp_path / "out", recipe="short_to_long")
    assert dry_run(prepare(options, FakeModule(answer)))["unusable"] == {"no_captions": 2}
