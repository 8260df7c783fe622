"""Labels of every form become anchors in words a caption can use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image

from lrs2m_builder.declared.shipped import find
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.part import ALL
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources.vector_labels import read

Counts = dict[str, dict[str, int | None]]


def anchors_of(row: SourceRow, image: Path | None = None) -> dict[str, int | None]:
    """The anchors of a row, laid over an image if there is one; none where they say why."""
    assert row.anchors_in is not None
    try:
        return {anchor.name: anchor.count for anchor in row.anchors_in(image, ALL)}
    except SampleError:
        return {}


def counts(path: Path, **options: Any) -> Counts:
    return {row.image_name: anchors_of(row) for row in read(path, **options)}


def shipped() -> dict[str, Any]:
    """The shipped manifest of vector labels."""
    return dict(yaml.safe_load(find("manifests", "openlandmap").read_text()))


def save_mask(path: Path, pixels: Any, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8), mode).save(path)
    return path.parent


# Each form


@pytest.mark.parametrize(("skip", "expected"), [(False, {"ship": 2, "large vehicle": 1}), (True, {"ship": 1})])
def test_difficult_objects_of_dota_count_unless_they_are_left_out(
    tmp_path: Path, skip: bool, expected: dict[str, int]
) -> None:
    lines = ["imagesource:GoogleEarth", "gsd:0.5", "0 0 1 0 1 1 0 1 ship", "0 0 1 0 1 1 0 1 ship 1"]
    (tmp_path / "P1.txt").write_text("\n".join([*lines, "0.0 0 1 0 1 1 0 1 large-vehicle 2", ""]))
    assert counts(tmp_path, skip_difficult=skip) == {"P1": expected}


def test_difficult_objects_of_voc_count_unless_they_are_left_out(tmp_path: Path) -> None:
    root = ElementTree.Element("annotation")
    for name, difficult in (("Expressway-Service-area", "0"), ("ship", "0"), ("ship", "1")):
        item = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(item, "name").text = name
        ElementTree.SubElement(item, "difficult").text = difficult
    ElementTree.ElementTree(root).write(tmp_path / "0001.xml")
    assert counts(tmp_path) == {"0001": {"expressway service area": 1, "ship": 2}}
    assert counts(tmp_path, skip_difficult=True)["0001"]["ship"] == 1


def test_geojson_counts_places_and_names_lines_without_a_number(tmp_path: Path) -> None:
    def feature(kind: str | None, **properties: str) -> dict[str, Any]:
        geometry = {"type": kind, "coordinates": [[0, 0], [1, 1]]} if kind else None
        return {"type": "Feature", "geometry": geometry, "properties": properties}

    features = [
        feature("MultiPolygon", building="yes"),
        feature("Polygon", building="residential"),
        feature("Polygon", building="no", landuse="Industrial_Land"),
        feature("LineString", highway="residential"),
        feature("LineString", highway="residential"),
        feature(None, building="yes"),
        feature("Polygon", name="nothing of interest"),
    ]
    (tmp_path / "1.geojson").write_text(json.dumps({"features": features}))
    found = counts(tmp_path, **shipped()["options"])
    assert found == {"1": {"building": 1, "residential building": 1, "industrial land": 1, "road": None}}


def test_coco_names_a_crowd_without_a_number_and_no_category_without_objects(tmp_path: Path) -> None:
    categories = [{"id": 3, "name": "SmallCar"}, {"id": 5, "name": "ship"}, {"id": 7, "name": "unused"}]
    annotations = [
        {"image_id": 1, "category_id": category, "iscrowd": crowd}
        for category, crowd in ((3, 0), (3, 0), (5, 0), (5, 1))
    ]
    images = [{"id": 1, "file_name": "a/1.jpg"}, {"id": 2, "file_name": "2.jpg"}]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    assert counts(path) == {"a/1.jpg": {"small car": 2, "ship": None}, "2.jpg": {}}


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_mask_values_become_the_words_of_the_manifest(tmp_path: Path, suffix: str) -> None:
    pixels = np.full((20, 20), 1)
    pixels[:10] = 3
    pixels[0, :3] = 2  # three of 400 pixels: below the least share
    folder = save_mask(tmp_path / "masks" / f"7{suffix}", pixels)
    classes = {1: "bare soil", 2: "road", 3: "grass"}
    assert counts(folder, classes=classes) == {"7": {"bare soil": None, "grass": None}}
    assert "road" in counts(folder, classes=classes, min_share=3 / 400)["7"]


def test_mask_colours_become_the_words_of_the_manifest_in_rgb_and_in_palettes(tmp_path: Path) -> None:
    pixels = np.zeros((10, 10, 3))
    pixels[:5] = (255, 195, 128)
    folder = save_mask(tmp_path / "masks" / "1.png", pixels)
    Image.open(folder / "1.png").quantize(8).save(folder / "2.png")
    found = counts(folder, classes={"#000000": None, "#FFC380": "farmland"})
    assert found == {"1": {"farmland": None}, "2": {"farmland": None}}


def test_objects_of_countable_classes_are_counted_and_need_no_share(tmp_path: Path) -> None:
    pixels = np.zeros((100, 100))
    pixels[2:5, 2:5] = pixels[5:8, 5:8] = 1  # touch at a corner: one object of 18 pixels
    pixels[20:23, 20:26] = 1
    pixels[60, 60:77] = 1  # 17 pixels: too small
    pixels[40:50, 40:50] = 2
    pixels[43:47, 43:47] = 0  # a courtyard is no part of its building
    folder = save_mask(tmp_path / "masks" / "1.png", pixels)
    options = {"classes": {0: None, 1: "car", 2: "building"}, "countable": ["car", "building"], "min_share": 0.5}
    assert counts(folder, **options, min_area=18) == {"1": {"car": 2, "building": 1}}
    assert counts(folder, **options, min_area=84) == {"1": {"building": 1}}
    assert counts(folder, **options, min_area=85) == {"1": {}}


def test_several_values_of_one_class_are_one_class(tmp_path: Path) -> None:
    folder = save_mask(tmp_path / "masks" / "1.png", [[1, 1, 2, 2], [0, 0, 0, 0]])
    options = {"classes": {0: None, 1: "tree", 2: "tree"}, "countable": ["tree"], "min_area": 4}
    assert counts(folder, **options) == {"1": {"tree": 1}}


def test_pictures_beside_label_files_are_not_taken_for_masks(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("0 0 1 0 1 1 0 1 ship 0\n")
    save_mask(tmp_path / "1.png", np.full((4, 4), 9))
    assert counts(tmp_path) == {"1": {"ship": 1}}


def test_prefix_and_suffix_choose_files_and_are_no_part_of_the_image_name(tmp_path: Path) -> None:
    for name in ("geoms_7_label", "geoms_8", "9_label"):
        (tmp_path / f"{name}.txt").write_text("0 0 1 0 1 1 0 1 ship 0\n")
    assert counts(tmp_path, prefix="geoms_", suffix="_label") == {"7": {"ship": 1}}


def test_the_manifest_has_the_last_word_on_a_class_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("0 0 1 0 1 1 0 1 plane 0\n" * 2 + "0 0 1 0 1 1 0 1 helicopter 0\n")
    (tmp_path / "labels.jsonl").write_text('{"image": "1", "anchors": [{"class": 1, "count": 2}, {"class": 2}]}\n')
    assert counts(tmp_path, classes={"plane": "aircraft", "helicopter": "aircraft"}) == {"1": {"aircraft": 3}}
    assert counts(tmp_path / "labels.jsonl", classes={1: "aircraft", 2: None}) == {"1": {"aircraft": 2}}


# Broken


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("1.txt", "gsd:1\n1 2 3 ship\n", r"1\.txt: line 2"),
        ("1.txt", "0 0 1 0 1 1 0 1 15 0\n", r"1\.txt: class '15' is not a word"),
        ("1.geojson", '{"type": "FeatureCollection"}', 'no list "features"'),
        ("1.geojson", '{"features": [3]}', r"features\[0\]: not a feature"),
        ("1.geojson", '{"features": [\n}', "line 2"),
        ("1.xml", "<annotation><object>", "not XML"),
        ("1.png", "not a picture", r"1\.png: not a readable mask"),
        ("readme.md", "", "no label file in it"),
    ],
)
def test_a_broken_label_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        list(read(tmp_path, classes={1: "road"}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a mask needs the option classes"),
        ({"classes": {1: "road"}}, r"1\.png: pixel value 0 is not in the option classes"),
        ({"classes": {"#000000": "road"}}, r"1\.png: colour #010101 is not in the option classes"),
        ({"classes": {0: None, "#010101": "road"}}, "not both"),
        ({"classes": {0: None, 1: ""}}, "1: words or null, not ''"),
        ({"classes": ["road"]}, "must map"),
        ({"classes": {0: None, 1: "road"}, "countable": ["car"]}, "'car' is not among the words"),
    ],
)
def test_a_table_of_classes_that_does_not_fit_the_masks_says_why(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    folder = save_mask(tmp_path / "1.png", [[0, 1]])
    with pytest.raises(UserError, match=message):
        list(read(folder, **options))


@pytest.mark.parametrize(
    "line", ['{"image": "2.png"}', '{"image": "2", "anchors": [{"class": "a", "count": 0}]}', "[]"]
)
def test_a_broken_line_of_labels_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(f'{{"image": "1.png", "anchors": []}}\n{line}\n')
    with pytest.raises(UserError, match="line 2"):
        list(read(path))
