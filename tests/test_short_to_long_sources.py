"""Paradigm 3 over its sources: RemoteCLIP's lists, BigEarthNet by RS5M, and the two benchmarks of long texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lrs2m_builder.build import Report, build
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion
from lrs2m_builder.sources.remoteclip_csv import read
from tests.fake_engine import FakeModule, good_text
from tests.toy import ids, rows


def draw(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), (90, 120, 60)).save(path)


def build_long(source: str, folder: Path, out: Path) -> tuple[Report, FakeModule]:
    module = FakeModule(lambda request: Completion(good_text(request.seed), "stop"))
    options = BuildOptions(recipe="short_to_long", source=source, data_dir=folder, out_dir=out, model="toy-model")
    # The scripted answers say nothing of planes and ships.
    return build(replace(options, checks={"hint_missing": "off"}), module), module


@pytest.mark.parametrize(("source", "name"), [("det10", "det-10.csv"), ("seg4", "seg4.csv")])
def test_remoteclip_lists_give_one_row_an_image_with_all_its_texts(tmp_path: Path, source: str, name: str) -> None:
    lines = ["title\tfilename", "two planes .\ta.jpg", "a ship .\tb.jpg", "There are planes .\ta.jpg"]
    (tmp_path / name).write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    draw(tmp_path / "images" / "a.jpg", tmp_path / "images" / "b.jpg")
    report, module = build_long(source, tmp_path, tmp_path / "out")
    assert (report.samples, report.records) == (2, 2)
    assert ids(tmp_path / "out") == [f"{source}/a.jpg", f"{source}/b.jpg"]
    assert rows(tmp_path / "out")[0]["caption_short"] == "two planes ."
    hints = next(request.parts[1] for request in module.requests if request.sample_id.endswith("a.jpg"))
    assert "- two planes .\n- There are planes ." in hints


def test_no_prompt_of_a_source_with_drone_images_says_satellite(tmp_path: Path) -> None:
    (tmp_path / "det-10.csv").write_text("title\tfilename\ncars on a road .\ta.jpg\n")
    draw(tmp_path / "a.jpg")
    _, module = build_long("det10", tmp_path, tmp_path / "out")
    assert "satellite" not in "".join(module.requests[0].parts)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("filepath,title\na.jpg,planes\n", "line 1: no column 'filename'; found: filepath, title"),
        ("title\tfilename\nplanes\n", "line 2: no title or no filename"),
        ("", "line 1: no column 'filename'; found: none"),
    ],
)
def test_a_broken_list_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        list(read(path))


def test_columns_of_other_lists_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text('filepath,title\na.jpg,"planes, parked"\n')
    (row,) = read(path, image_column="filepath")
    assert (row.image_name, row.captions) == ("a.jpg", ("planes, parked",))


def test_bigearthnet_tells_the_model_the_land_cover_and_not_the_utm_zone(tmp_path: Path) -> None:
    caption = (
        "in Summer this image of 'sea and ocean' is from utm zone 29N, timestamped 11 o'clock, July 18. a navy fabric"
    )
    (tmp_path / "rs3_dump.csv").write_text(f'name,caption\nben_7.jpg,"{caption}"\nmillionaid_P1.jpg,a field\n')
    draw(tmp_path / "ben_7.jpg")
    report, module = build_long("bigearthnet", tmp_path, tmp_path / "out")
    assert report.samples == 1
    assert "a navy fabric\nIts labels are: sea and ocean." in module.requests[0].parts[1]
    assert "29N" not in "".join(module.requests[0].parts)
    assert rows(tmp_path / "out")[0]["label"] == "sea and ocean"


@pytest.mark.parametrize(("source", "name"), [("rsicd", "dataset_rsicd.json"), ("rsitmd", "dataset_RSITMD.json")])
def test_a_benchmark_has_the_test_split_and_five_captions_as_the_hint(tmp_path: Path, source: str, name: str) -> None:
    images = [
        {"filename": f"{n}.tif", "split": split, "sentences": [{"raw": f"caption {n} {i} ."} for i in range(5)]}
        for n, split in enumerate(["train", "test", "val", "test"])
    ]
    (tmp_path / name).write_text(json.dumps({"images": images}))
    draw(*(tmp_path / "images" / f"{n}.tif" for n in range(4)))
    report, module = build_long(source, tmp_path, tmp_path / "out")
    assert ids(tmp_path / "out") == [f"{source}/1.tif", f"{source}/3.tif"]
    request = next(request for request in module.requests if request.sample_id == f"{source}/1.tif")
    assert all(f"- caption 1 {i} ." in request.parts[1] for i in range(5))
    assert report.records == 2
