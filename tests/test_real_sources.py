"""Real captions of the published sets, with whichever of their images are there, through the real pipeline.

The images of RS5M's rows are not part of the real data: they are drawn, and put into tars as RS5M's are.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build import Report, build
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.exchange import Completion
from lrs2m_builder.sources._land_cover import NAMES
from lrs2m_builder.sources._survey import survey
from lrs2m_builder.sources.rs5m import read
from lrs2m_builder.tokenizer import count_tokens
from tests.fake_engine import FakeModule, good_text
from tests.test_archives import rs5m_members, write_tar
from tests.test_long_to_short import entry, write_vhm
from tests.toy import rows


def build_real(source: str, data_dir: Path, out_dir: Path, **changes: Any) -> tuple[Report, list[dict[str, Any]]]:
    """Build and check what holds of every build: nothing lost or doubled, columns that fit together."""
    module = FakeModule(lambda request: Completion(good_text(request.seed), "stop", 10, 20))
    settings = {"recipe": "short_to_long", "model": "toy-model", "shard_size": 500, **changes}
    if settings["recipe"] == "short_to_long":
        settings["checks"] = {"hint_missing": "off"}  # the scripted texts know nothing of the hints
    report = build(BuildOptions(source=source, data_dir=data_dir, out_dir=out_dir, **settings), module)
    records, rejected = rows(out_dir), rows(out_dir, "rejected")
    found = [row["sample_id"] for row in (*records, *rejected)]
    assert report.samples == report.records + sum(report.rejections.values()) == len(found) == len(set(found))
    for row in records:
        assert row["caption_short"] == row["caption_short"].strip() and row["caption_long"]
        assert row["num_tokens_short"] == count_tokens(row["caption_short"]) > 2
        assert row["width"] > 0 and row["height"] > 0 and len(row["image_sha256"]) == 64
        assert row["image"]["bytes"][:2] in {b"\xff\xd8", b"\x89P"}
    return report, records


@pytest.fixture(scope="module")
def rs5m_tars(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 8,000 real rows as four tars."""
    folder = tmp_path_factory.mktemp("rs5m")
    with (real_data / "rs5m" / "rs3_dump.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    for index in range(4):
        wanted = range(index * 2000, (index + 1) * 2000)
        members = (m for n in wanted for m in rs5m_members(n, lines[n]["name"], lines[n]["caption"]))
        write_tar(folder / f"rs3-val-{index:04d}.tar", members)
    return folder


def test_real_rows_of_bigearthnet_build_from_tars(rs5m_tars: Path, tmp_path: Path) -> None:
    report, records = build_real("bigearthnet", rs5m_tars, tmp_path / "out")
    assert (report.samples, report.records) == (1361, 1361)
    for row in records:
        anchors = [anchor["class"] for anchor in row["anchors"]]
        assert anchors and set(anchors) <= NAMES and row["label"] == "; ".join(anchors)
        assert "utm zone" not in row["caption_short"]
    assert statistics.median(row["num_tokens_short"] for row in records) <= 20


def test_real_rows_of_millionaid_join_from_tars_and_both_sides_are_reported(rs5m_tars: Path, tmp_path: Path) -> None:
    with_short = [f"P{n:07}.jpg" for n in range(100_000)]
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    for tar in rs5m_tars.iterdir():
        (data_dir / tar.name).symlink_to(tar)
    there = [row.image_name for tar in sorted(rs5m_tars.iterdir()) for row in read(tar, "millionaid_")]
    assert len(there) == 3863
    absent = [name for name in with_short if name not in set(there)][:20]
    write_vhm(data_dir, [entry(name, "MillionAID") for name in (*there[:300], *absent)])
    report, _ = build_real("millionaid", data_dir, tmp_path / "out", recipe="merge", model=None)
    assert (report.records, report.rejections) == (300, {"no_captions": 20})
    join = survey(load_manifest("millionaid"), data_dir).join
    assert join is not None
    counts = (join["matched"], join["only_in_first"]["count"], join["only_in_second"]["count"])
    assert counts == (300, 20, 3563)


def write_karpathy(path: Path, captions: dict[str, list[str]]) -> None:
    images = [
        {"filename": name, "split": "test", "sentences": [{"raw": text} for text in texts]}
        for name, texts in captions.items()
    ]
    path.write_text(json.dumps({"images": images}))


def test_real_captions_of_rsicd_build_with_the_images_of_aid(real_data: Path, tmp_path: Path) -> None:
    """RSICD's images of the class-named kind are those of AID under the same names."""
    coco = json.loads((real_data / "rsicd" / "coco_format" / "rsicd_test_coco_format.json").read_text())
    texts = defaultdict(list)
    for annotation in coco["annotations"]:
        texts[annotation["image_id"]].append(annotation["caption"])
    captions = {image["file_name"]: texts[image["id"]] for image in coco["images"]}
    write_karpathy(tmp_path / "dataset_rsicd.json", captions)
    images = tmp_path / "RSICD_images"
    images.mkdir()
    for path in (real_data / "aid_150").rglob("*.jpg"):
        (images / path.name).symlink_to(path.resolve())
    there = {path.name for path in images.iterdir()} & captions.keys()
    report, records = build_real("rsicd", tmp_path, tmp_path / "out")
    assert len(there) > 100
    assert (report.samples, report.records) == (len(captions), len(there))
    assert report.rejections == {"image_missing": len(captions) - len(there)}
    assert all(row["image"]["path"] == row["sample_id"].removeprefix("rsicd/") for row in records)


def test_real_captions_of_rsitmd_build_with_the_one_image_there_is(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "rsitmd"
    names = (folder / "rsitmd_precomp" / "train_filename.txt").read_text().split()
    lines = (folder / "rsitmd_precomp" / "train_caps.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5 * len(names)
    captions = {name: lines[5 * number : 5 * number + 5] for number, name in enumerate(names)}
    image = folder / "sparseresidential_3814.tif"
    captions.setdefault(image.name, ["houses stand among trees ."])
    write_karpathy(tmp_path / "dataset_RSITMD.json", captions)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / image.name).symlink_to(image.resolve())
    report, records = build_real("rsitmd", tmp_path, tmp_path / "out")
    assert (report.samples, report.rejections) == (len(captions), {"image_missing": len(captions) - 1})
    assert [row["sample_id"] for row in records] == [f"rsitmd/{image.name}"]
    assert records[0]["image"]["path"].endswith(".png"), "a browser shows no TIFF"


@pytest.mark.parametrize(("name", "samples", "records"), [("sydney", 2559, 35), ("ucmerced", 2000, 2000)])
def test_real_caption_sets_build(real_data: Path, tmp_path: Path, name: str, samples: int, records: int) -> None:
    report, found = build_real(name, real_data, tmp_path / "out", limit=samples)
    assert (report.samples, report.records) == (samples, records)
    assert set(report.rejections) <= {"image_missing"}
    assert len({(row["image_sha256"], row["caption_short"]) for row in found}) >= 0.98 * len(found)
    assert all(bool(row["label"]) == (name == "ucmerced") for row in found)
