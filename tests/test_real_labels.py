"""Anchors of real label files equal a count made here by another route, and vector_anchored is built from each."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from lrs2m_builder.build import Report, build
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion, Request
from lrs2m_builder.sources.vector_labels import read
from tests.fake_engine import FakeModule, good_text
from tests.test_vector_labels import Counts, counts, save_mask, shipped
from tests.toy import ROOT, rows

LOVEDA = {0: None, 1: None, 2: "building", 3: "road", 4: "water", 5: "barren land", 6: "forest", 7: "farmland"}
POTSDAM = ((0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))


def documented(heading: str) -> dict[str, Any]:
    """The keys of a manifest that docs/labels.md gives as an example."""
    section = (ROOT / "docs" / "labels.md").read_text().split(f"### {heading}")[1]
    return dict(yaml.safe_load(re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[0]))


def flood_fill(mask: np.ndarray) -> list[int]:
    """Pixels of each connected region, corners included: the slow way."""
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    areas = []
    while left:
        front, area = [left.pop()], 0
        while front:
            y, x = front.pop()
            area += 1
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            front += near
        areas.append(area)
    return areas


def expected_of_mask(path: Path, words: dict[int, str | None], countable: set[str]) -> dict[str, int | None]:
    """The anchors of a mask at the default limits, by plain counting."""
    pixels = np.asarray(Image.open(path))
    expected: dict[str, int | None] = {}
    for value, word in words.items():
        if word in countable and (num := sum(area >= 100 for area in flood_fill(pixels == value))):
            expected[word] = num
        elif word and word not in countable and 100 * int((pixels == value).sum()) >= pixels.size:
            expected[word] = None
    return expected


def dota_expected(folder: Path) -> Counts:
    """Counts of the lines that end in a class and a flag."""
    return {
        path.stem: dict(
            Counter(name.replace("-", " ") for name in re.findall(r" ([a-z-]+) \d+$", path.read_text(), re.M))
        )
        for path in folder.glob("*.txt")
    }


def test_real_dota_labels_are_counted_like_a_plain_count_of_their_lines(real_data: Path) -> None:
    folder = real_data / "dota" / "DOTA_devkit" / "labelTxt"
    found = counts(folder)
    assert found == dota_expected(folder)
    assert len(found) == 7 and found["P0706"] == {"ship": 531, "harbor": 5}
    clear = counts(folder, skip_difficult=True)
    num_clear = len(re.findall(r" 0$", (folder / "P0706.txt").read_text(), re.M))
    assert sum(n or 0 for n in clear["P0706"].values()) == num_clear == 530


def test_real_footprints_are_counted_like_their_features(real_data: Path) -> None:
    folder = real_data / "spacenet_solaris" / "tiles" / "vectortile_test_expected"
    found = counts(folder, **documented("SpaceNet")["options"])
    shares = {
        path.stem[6:]: [float(share) for share in re.findall(r'"partialDec": ([0-9.]+)', path.read_text())]
        for path in folder.glob("*.geojson")
    }
    expected: Counts = {}
    for name, parts in shares.items():
        seen = [share for share in parts if share >= 0.3]
        expected[name] = {"building": len(seen) if min(seen) >= 0.7 else None} if seen else {}
    assert found == expected
    assert len(found) == 30 and sum(map(len, shares.values())) > 10 and {"building": None} in found.values()


def test_real_footprints_and_roads_of_a_scene(real_data: Path, tmp_path: Path) -> None:
    for name in ("geotiff_labels.geojson", "empty.geojson", "sample_roads.geojson"):
        (tmp_path / name).write_bytes((real_data / "spacenet_solaris" / name).read_bytes())
    options = shipped()["options"] | {"class_name": "road"}
    found = counts(tmp_path, **options)
    assert found == {"geotiff_labels": {"building": None}, "empty": {}, "sample_roads": {"road": None}}
    text = (tmp_path / "geotiff_labels.geojson").read_text()
    shares = [float(share) for share in re.findall(r'"partialDec": ([0-9.]+)', text)]
    whole = {"building": sum(share >= 0.7 for share in shares)}
    assert counts(tmp_path, **options, min_inside=0.7)["geotiff_labels"] == whole and len(shares) == 43


def coco_expected(path: Path) -> Counts:
    content = json.loads(path.read_text())
    names = {c["id"]: c["name"].replace("_", " ") for c in content["categories"]}
    found = Counter((a["image_id"], names[a["category_id"]]) for a in content["annotations"])
    return {
        i["file_name"]: {name: n for (image, name), n in found.items() if image == i["id"]} for i in content["images"]
    }


def test_real_coco_annotations_are_counted_like_a_plain_count(real_data: Path) -> None:
    path = real_data / "nwpu_vhr10_coco" / "annotations.json"
    found = counts(path)
    assert found == coco_expected(path)
    assert len(found) == 650 and sum(n or 0 for anchors in found.values() for n in anchors.values()) == 3921


def test_real_coco_categories_named_by_numbers_get_words_from_the_manifest(real_data: Path) -> None:
    path = real_data / "spacenet_solaris" / "coco_sample_2.json"
    with pytest.raises(UserError, match=r"class '[01]\.0' is not a word"):
        list(read(path))
    assert counts(path, classes={"0.0": "building", "1.0": "building"}) == {"sample_geotiff.tif": {"building": 43}}


def test_real_loveda_masks_are_counted_like_their_pixels(real_data: Path) -> None:
    folder = real_data / "mmseg_loveda" / "ann_dir"
    options = documented("LoveDA")["options"]
    assert options["classes"] == LOVEDA
    found = counts(folder, **options)
    assert found == {p.stem: expected_of_mask(p, LOVEDA, {"building"}) for p in folder.glob("*.png")}
    assert found["1"] == {"building": 2, "farmland": None, "forest": None, "water": None}


def test_real_potsdam_masks_are_counted_alike_by_value_and_by_colour(real_data: Path, tmp_path: Path) -> None:
    (path,) = (real_data / "mmseg_potsdam" / "ann_dir").glob("*.png")
    options = documented("ISPRS Potsdam")["options"]
    words = {number: options["classes"]["#{:02x}{:02x}{:02x}".format(*c)] for number, c in enumerate(POTSDAM)}
    expected = expected_of_mask(path, words, {"building", "car"})
    assert counts(path.parent, classes=words, countable=["building", "car"]) == {path.stem: expected}
    save_mask(tmp_path / "5_label.png", np.array(POTSDAM)[np.asarray(Image.open(path))])
    assert counts(tmp_path, **options) == {"5": expected}
    assert expected["car"] == 4 and expected["building"] == 2


def answer(request: Request) -> Completion:
    """A good text that names what the prompt says is there."""
    if request.role == "llm":
        return Completion("Several things lie beside green fields.", "stop")
    names = re.findall(r"^- ([^:\n]+?)(?:: \d+)?$", request.parts[1], re.M)
    return Completion(f"The scene holds {'; '.join(names)}. {good_text(request.seed)}", "stop")


def build_labelled(folder: Path, keys: dict[str, Any]) -> tuple[Report, list[dict[str, Any]]]:
    """Build a folder whose manifest is the shipped one with other keys; returns the report and the rows."""
    (folder / "labels.yaml").write_text(yaml.safe_dump(shipped() | keys | {"name": "toy"}))
    options = BuildOptions(
        recipe="vector_anchored", source=str(folder / "labels.yaml"), data_dir=folder, out_dir=folder / "out"
    )
    report = build(options, FakeModule(answer))
    assert report.samples == report.records + sum(report.rejections.values())
    return report, rows(folder / "out")


def anchors_of(row: dict[str, Any]) -> dict[str, int | None]:
    return {anchor["class"]: anchor["count"] for anchor in row["anchors"]}


def link(folder: Path, **targets: Path) -> Path:
    for name, target in targets.items():
        (folder / name).symlink_to(target)
    return folder


def test_real_dota_images_with_labels_are_built(real_data: Path, tmp_path: Path) -> None:
    dota = real_data / "dota" / "DOTA_devkit"
    folder = link(tmp_path, images=dota / "images", labelTxt=dota / "labelTxt")
    report, built = build_labelled(folder, {})
    assert (report.samples, report.records, dict(report.rejections)) == (7, 2, {"image_missing": 5})
    expected = dota_expected(dota / "labelTxt")
    assert {row["sample_id"]: anchors_of(row) for row in built} == {f"toy/{n}": expected[n] for n in ("P0706", "P1888")}


def test_real_spacenet_tiles_with_footprints_are_built(real_data: Path, tmp_path: Path) -> None:
    tiles = real_data / "spacenet_solaris" / "tiles"
    link(tmp_path, vectortiles=tiles / "vectortile_test_expected", rastertiles=tiles / "rastertile_test_expected")
    report, built = build_labelled(tmp_path, documented("SpaceNet"))
    assert report.samples == 30 and set(report.rejections) <= {"no_anchors"}
    assert report.records == len(built) > 10
    assert all(set(anchors_of(row)) == {"building"} and row["width"] == 90 for row in built)


def test_real_coco_annotations_are_built_where_the_image_is_there(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "nwpu_vhr10_coco" / "annotations.json"
    link(tmp_path, **{"annotations.json": path})
    (tmp_path / "images").mkdir()
    for entry in json.loads(path.read_text())["images"][:30]:
        size = (entry["width"], entry["height"])
        Image.new("RGB", size, (90, 120, 60)).save(tmp_path / "images" / entry["file_name"])
    report, built = build_labelled(tmp_path, {})
    assert (report.samples, report.records, dict(report.rejections)) == (650, 30, {"image_missing": 620})
    expected = coco_expected(path)
    assert all(anchors_of(row) == expected[row["sample_id"].removeprefix("toy/")] for row in built)


def test_real_loveda_masks_are_built(real_data: Path, tmp_path: Path) -> None:
    loveda = real_data / "mmseg_loveda"
    link(tmp_path, img_dir=loveda / "img_dir", ann_dir=loveda / "ann_dir")
    report, built = build_labelled(tmp_path, documented("LoveDA"))
    assert (report.samples, report.records) == (2, 2)
    assert [anchors_of(row).get("building") for row in built] == [6, 2]
    assert [row["width"] for row in built] == [1024, 1024]


def test_real_potsdam_masks_in_colour_are_built(real_data: Path, tmp_path: Path) -> None:
    potsdam = real_data / "mmseg_potsdam"
    (mask,) = (potsdam / "ann_dir").glob("*.png")
    save_mask(tmp_path / "Labels" / f"{mask.stem}_label.png", np.array(POTSDAM)[np.asarray(Image.open(mask))])
    link(tmp_path, images=potsdam / "img_dir")
    report, (row,) = build_labelled(tmp_path, documented("ISPRS Potsdam"))
    assert (report.samples, report.records) == (1, 1)
    assert {"building": 2, "car": 4}.items() <= anchors_of(row).items()
