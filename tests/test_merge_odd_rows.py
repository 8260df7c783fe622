"""Odd rows of published texts among ordinary ones: how each ends, and that a build of them can be resumed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build import Report, build
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.errors import UserError
from tests.fake_engine import FakeModule
from tests.test_long_to_short import entry, write_vhm
from tests.test_merge import millionaid, write_rs5m
from tests.toy import file_bytes, rows

PLAIN = "Two planes and four cars stand near the terminal, and a road leads to it."
# What a row may be that is not ordinary: long text, short text (None: none, a tuple: several).
ODD: list[tuple[str, Any]] = [
    ("", "a harbor"),
    ("   ", "a harbor"),
    (PLAIN, None),
    (PLAIN, ""),
    (PLAIN, ("a harbor with ships", "many ships", "a harbor with ships")),
    (PLAIN, "many  ships\tin a\nharbor "),
    ("The river&apos;s bank &amp; a road.", "cafÃ© roof, the riverâ€™s bank"),
    ("A “curly” quote – and a dash.", "<start_of_text> a marker"),
    ("Is it a road? It is a road.", "C:\\path\\x41"),
    ("Trees and trees. " * 12, "the road the road the road the road the road"),
    (" ".join(f"Tree number {n} is green." for n in range(80)), " ".join(f"tree {n}" for n in range(60))),
    ("中文 only", "bell\x07 null"),
]


def write_source(folder: Path, num_plain: int = 60) -> Path:
    """A folder with VHM's list and RS5M's in which odd rows stand among ordinary ones, one image named twice."""
    folder = millionaid(folder, num_plain)
    entries = json.loads((folder / "list_pretrain.json").read_text())
    lines = (folder / "rs3_dump.csv").read_text().splitlines()
    captions = [tuple(line.split(",", 1)) for line in lines[1:]]
    for number, (long, short) in enumerate(ODD):
        name = f"odd_{number}.jpg"
        entries.insert(5 * number, entry(name, "MillionAID", long))
        of_image = (short,) if isinstance(short, str) else short or ()
        captions += [(f"millionaid_{name}", text) for text in of_image]
    entries += [entries[1], entries[1], entry("../../outside.jpg", "MillionAID"), entry("other.jpg", "fMoW")]
    write_vhm(folder, [each for each in entries if ".." not in each["image"]])
    (folder / "list_pretrain.json").write_text(json.dumps(entries))
    (folder / "MillionAID" / "P0000007.jpg").unlink()
    captions += [("fmow_stadium_3_1_rgb.jpg", "a stadium"), ("millionaid_nowhere.jpg", "an image that is nowhere")]
    write_rs5m(folder / "rs3_dump.csv", {})
    with (folder / "rs3_dump.csv").open("a", newline="") as file:
        csv.writer(file).writerows(captions)
    return folder


def merge(folder: Path, out: Path, **changes: Any) -> Report:
    options = BuildOptions(
        recipe="merge", source="millionaid", data_dir=folder, out_dir=out, **{"images": "reference", **changes}
    )
    return build(options, FakeModule())


def test_every_odd_row_ends_as_it_should(tmp_path: Path) -> None:
    report = merge(write_source(tmp_path / "data"), tmp_path / "out")
    assert report.rejections == {"duplicate_row": 2, "image_missing": 2, "no_caption_long": 2, "no_captions": 2}
    assert report.samples == report.records + 8 == 60 + len(ODD) + 3
    found = {row["image"]["path"].rpartition("/")[2]: row for row in rows(tmp_path / "out")}
    assert found["odd_4.jpg"]["caption_short"] == "a harbor with ships"
    assert found["odd_5.jpg"]["caption_short"] == "many ships in a harbor"
    assert found["odd_6.jpg"]["caption_short"] == "café roof, the river's bank"
    assert found["odd_9.jpg"]["warnings"] == ["repetition: The answer repeated itself. Say each thing once."]
    assert found["odd_10.jpg"]["warnings"][0].startswith("clip_budget: ")


def test_shards_that_are_lost_are_written_again_to_the_byte(tmp_path: Path) -> None:
    folder, out = write_source(tmp_path / "data"), tmp_path / "out"
    merge(folder, out, shard_size=10)
    whole = file_bytes(out)
    for path in list(out.rglob("data/*/train-0000[35].parquet")):
        path.unlink()
    merge(folder, out, shard_size=10)
    assert file_bytes(out) == whole
    assert merge(folder, out, shard_size=10, retry_rejected=True).samples == 60 + len(ODD) + 3


def test_a_list_that_leads_nowhere_is_said_in_a_line(tmp_path: Path) -> None:
    path = millionaid(tmp_path / "data", 5) / "rs3_dump.csv"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"rs3_dump.csv: cannot be read: No such file"):
        merge(tmp_path / "data", tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("list_pretrain.json", '[{"image": 1}]', "entry 0"),
        ("list_pretrain.json", "[{", "near byte"),
        ("rs3_dump.csv", "name,text\na,b\n", "no columns name and caption"),
        ("rs3_dump.csv", "name,caption\nmillionaid_P0000001.jpg\n", "line 2"),
        ("rs3_dump.csv", "name,caption\nben_1.jpg,text\n", "no name begins with 'millionaid_'"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, file: str, text: str, said: str) -> None:
    folder = millionaid(tmp_path / "data", 20)
    (folder / file).write_text(text)
    with pytest.raises(UserError, match=said):
        merge(folder, tmp_path / "out")
