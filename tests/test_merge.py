"""Paradigm 1: published long and short texts of the same image are joined, and RS5M's metadata are cut off."""

from __future__ import annotations

import csv
import json
import re
import statistics
from pathlib import Path

import pytest

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Anchor
from lrs2m_builder.sources._land_cover import NAMES
from lrs2m_builder.sources._survey import survey
from lrs2m_builder.sources.rs5m import read
from lrs2m_builder.tokenizer import count_tokens
from tests.fake_engine import FakeModule
from tests.test_long_to_short import LONG, entry, write_vhm
from tests.toy import rows

METADATA = re.compile(
    r"utm zone|o'clock|off-nadir|azimuth|ground sample distance|timestamp|\d% cloud|scan direction", re.I
)
# By hand, in the form of RS5M's: a metadata sentence or several, then what BLIP-2 saw.
FMOW = (
    "seen from Rome, Italy in Fall, a stadium fills the center blocks. the ground sample distance is 2.10m. it lies in "
    "utm zone 33T, at 10 o'clock, October 3, 2014. clouds 15%. off-nadir is 21.75?. a satellite image of a farm"
)
BEN = (
    "in Spring this image of 'sea and ocean, land principally occupied by agriculture, with significant areas of "
    "natural vegetation' is from utm zone 29N, timestamped 10 o'clock, May 15, 2018. light blue, a navy fabric"
)


def write_rs5m(path: Path, captions: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("name", "caption"), *captions.items()])
    return path


def millionaid(folder: Path, num_both: int, *, only_long: int = 0, only_short: int = 0) -> Path:
    """A folder with VHM's list, its images and RS5M's list, which agree in `num_both` images."""
    entries = [entry(f"P{n:07}.jpg", "MillionAID") for n in range(num_both + only_long)]
    write_vhm(folder, entries)
    names = [f"P{n:07}" for n in range(num_both)] + [f"P9{n:06}" for n in range(only_short)]
    write_rs5m(folder / "rs3_dump.csv", {f"millionaid_{name}.jpg": f"an aerial view {name}" for name in names})
    return folder


def merge(folder: Path, out: Path, module: FakeModule | None = None):  # type: ignore[no-untyped-def]
    options = BuildOptions(recipe="merge", source="millionaid", data_dir=folder, out_dir=out)
    return build(options, module or FakeModule())


def test_the_texts_of_the_same_image_meet_and_no_engine_starts(tmp_path: Path) -> None:
    module = FakeModule()
    report = merge(millionaid(tmp_path / "data", 5), tmp_path / "out", module)
    assert (report.samples, report.records) == (5, 5)
    assert not module.engines
    for number, row in enumerate(rows(tmp_path / "out")):
        assert row["sample_id"] == f"millionaid/MillionAID/P{number:07}.jpg"
        assert (row["caption_long"], row["caption_short"]) == (LONG, f"an aerial view P{number:07}")
        assert (row["long_source"], row["short_source"]) == ("VHM", "RS5M")
        assert (row["model"], row["engine"], row["attempts"], row["prompts"]) == ("", "", 0, [])


def test_an_image_without_a_short_text_is_a_rejection(tmp_path: Path) -> None:
    report = merge(millionaid(tmp_path / "data", 3, only_long=2), tmp_path / "out")
    assert (report.records, report.rejections) == (3, {"no_captions": 2})


def test_the_join_report_counts_both_sides_and_names_examples(tmp_path: Path) -> None:
    found = survey(load_manifest("millionaid"), millionaid(tmp_path, 4, only_long=2, only_short=3)).join
    assert found is not None and found["matched"] == 4
    assert found["only_in_first"] == {"count": 2, "examples": ["MillionAID/P0000004.jpg", "MillionAID/P0000005.jpg"]}
    assert found["only_in_second"]["count"] == 3 and "p9000000" in found["only_in_second"]["examples"]


@pytest.mark.parametrize("with_templates", [False, True])
def test_metadata_of_real_captions_are_cut_off(real_data: Path, with_templates: bool) -> None:
    path = real_data / "rs5m" / "rs3_dump.csv"
    templates = str(real_data / "rs5m" / "geometa_template.json") if with_templates else ""
    for prefix, num_rows in (("fmow_", 2776), ("ben_", 1361), ("millionaid_", 3863)):
        captions = [row.captions[0] for row in read(path, prefix, templates=templates)]
        assert len(captions) == num_rows
        assert not [caption for caption in captions if METADATA.search(caption) or not caption.strip()]
        assert statistics.median(map(count_tokens, captions)) <= 20


def test_millionaid_captions_have_no_metadata_and_stay_as_they_are(real_data: Path) -> None:
    path = real_data / "rs5m" / "rs3_dump.csv"
    with path.open(newline="") as file:
        expected = [line["caption"] for line in csv.DictReader(file) if line["name"].startswith("millionaid_")]
    assert [row.captions[0] for row in read(path, "millionaid_")] == expected


def test_kept_metadata_are_as_long_as_the_paper_says(real_data: Path) -> None:
    """The paper's short texts of BigEarthNet average 65.77 tokens (Table I): it kept them."""
    captions = [row.captions[0] for row in read(real_data / "rs5m" / "rs3_dump.csv", "ben_", metadata="keep")]
    assert statistics.mean(map(count_tokens, captions)) == pytest.approx(65.77, abs=3)


def test_the_classes_that_the_metadata_state_are_label_and_anchors(tmp_path: Path) -> None:
    path = write_rs5m(tmp_path / "rs3.csv", {"fmow_crop_field_12_3_rgb.jpg": FMOW, "ben_1.jpg": BEN})
    field, sea = read(path)
    assert (field.label, field.captions) == ("crop field", ("a satellite image of a farm",))
    farmland = "land principally occupied by agriculture, with significant areas of natural vegetation"
    assert sea.label == f"sea and ocean; {farmland}"
    assert sea.anchors == (Anchor("sea and ocean"), Anchor(farmland))
    assert sea.captions == ("light blue, a navy fabric",)


def test_every_real_row_of_fmow_has_its_class_and_of_bigearthnet_its_land_cover(real_data: Path) -> None:
    path = real_data / "rs5m" / "rs3_dump.csv"
    facilities = [row.label for row in read(path, "fmow_")]
    assert (len(facilities), facilities.count(""), len(set(facilities))) == (2776, 0, 62)
    assert not [name for name in facilities if "_" in name or "-" in name or name != name.lower()]
    covers = [[anchor.name for anchor in row.anchors] for row in read(path, "ben_")]
    assert (len(covers), covers.count([])) == (1361, 0)
    assert {name for names in covers for name in names} <= NAMES


def test_templates_are_read_from_the_users_copy(tmp_path: Path) -> None:
    """A template without a telling word in its last sentence can be cut off by the template alone."""
    template = "dated {timestamp}, zone {utm_zone}. it shows {class_label} well."
    (tmp_path / "templates.json").write_text(json.dumps({"own": [template]}))
    caption = "dated 10 o'clock, May 15, 2018, zone 29N. it shows a port well. a grey quay"
    path = write_rs5m(tmp_path / "rs3.csv", {"x_1.jpg": caption})
    assert [row.captions[0] for row in read(path)] == ["it shows a port well. a grey quay"]
    assert [row.captions[0] for row in read(path, templates=str(tmp_path / "templates.json"))] == ["a grey quay"]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("image,text\na,b\n", {}, "line 1: no columns name and caption"),
        ("name,caption\nonly_a_name\n", {}, "line 2"),
        ("name,caption\na.jpg,b\n", {"prefix": "millionaid_"}, "no name begins with"),
        ("name,caption\na.jpg,b\n", {"metadata": "drop"}, "strip or keep"),
        ("name,caption\na.jpg,b\n", {"templates": "none.json"}, "template file"),
    ],
)
def test_a_broken_list_is_one_line(tmp_path: Path, content: str, arguments: dict[str, str], message: str) -> None:
    path = tmp_path / "rs3.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        list(read(path, **arguments))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
