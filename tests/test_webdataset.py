"""Tars as img2dataset, webdataset and our own export write them are read; another one says what it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.export._base import Options
from lrs2m_builder.dataset.export._run import export
from lrs2m_builder.dataset.selection import Filters
from lrs2m_builder.errors import UserError
from lrs2m_builder.images.files import read_image
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import open_source, read_samples
from tests.test_archives import jpeg, write_tar
from tests.test_sources import toy_manifest
from tests.toy import build_toy, make_source, rows


def read(folder: Path, members: list[tuple[str, bytes]], kind: str = "webdataset", **options: str) -> list[Sample]:
    write_tar(folder / "00000.tar", members)
    manifest = toy_manifest(format=kind, files={"annotations": ["*.tar"]}, options=options)
    return list(read_samples(open_source(manifest, folder)))


def told(sample: Sample) -> tuple[str, tuple[str, ...], str, str]:
    return sample.image_name, sample.captions, sample.caption_long, sample.problem[0] if sample.problem else ""


def test_a_tar_of_img2dataset_is_read(tmp_path: Path) -> None:
    members = []
    for number in range(3):
        record = {"key": f"{number:09d}", "caption": f"field {number}", "status": "success", "width": 40}
        members += [(f"{number:09d}.jpg", jpeg(number)), (f"{number:09d}.txt", f"field {number}".encode())]
        members += [(f"{number:09d}.json", json.dumps(record).encode())]
    found = read(tmp_path, members)
    assert [told(sample) for sample in found] == [
        (f"00000/{number:09d}", (f"field {number}",), "", "") for number in range(3)
    ]
    assert [read_image(sample.image_path) for sample in found] == [jpeg(n) for n in range(3)]  # type: ignore[arg-type]


def test_captions_are_found_in_the_json_or_in_the_table_beside_the_tar(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ["a", "b", "c"], "caption": ["x", "a port", None]}), tmp_path / "00000.parquet")
    members = [(f"{key}.jpg", jpeg(0)) for key in "abc"]
    members += [("a.json", b'{"caption": "a road", "caption_long": "A long road.", "label": "road"}')]
    first, second, third = read(tmp_path, members)
    assert told(first) == ("00000/a", ("a road",), "A long road.", "") and first.label == "road"
    assert told(second) == ("00000/b", ("a port",), "", "")
    assert told(third) == ("00000/c", (), "", "")


@pytest.mark.parametrize(
    "names",
    [
        ("set/a.jpg", "set/b.jpg", "set/a.txt", "set/b.txt"),
        ("v1.5/a.jpg", "v1.5/a.txt", "v1.5/b.jpg", "v1.5/b.txt"),
        ("tile.v1.0.jpg", "tile.v1.0.txt", "tile.v1.5.jpg", "tile.v1.5.txt"),
        ("./a.JPG", "./a.TXT", "./b.jpeg", "./b.caption"),
        ("a.jpg", "a.txt", "._a.jpg", "b.webp", "b.txt"),
    ],
)
def test_keys_with_folders_dots_capitals_and_others_between_them_are_two_samples(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    found = read(tmp_path, [(name, jpeg(0) if "p" in name[-3:].lower() else b"a road") for name in names])
    assert [(sample.captions, sample.problem) for sample in found] == [(("a road",), None)] * 2


def test_what_is_wrong_with_one_sample_is_its_rejection(tmp_path: Path) -> None:
    members = [("a.jpg", jpeg(0)), ("a.txt", b"\xff"), ("b.jpg", jpeg(1)), ("b.json", b"{"), ("c.txt", b"c")]
    members += [("d.jpg", jpeg(0)), ("d.jpg", jpeg(1)), ("d.txt", b"d"), ("e.jpg", jpeg(2)), ("e.txt", b"e")]
    members += [("f.jpg", jpeg(0)), ("f.json", b'{"caption": 3}')]
    found = {sample.image_name[-1]: sample.problem and sample.problem[0] for sample in read(tmp_path, members)}
    assert found == {
        **{"a": "text_unreadable", "b": "text_unreadable", "c": "image_missing", "d": "image_unsupported", "e": None},
        "f": "not_text",
    }


def test_a_class_that_is_a_number_is_no_label(tmp_path: Path) -> None:
    members = [
        ("a.jpg", jpeg(0)),
        ("a.cls", b"17"),
        ("a.txt", b"a"),
        ("b.jpg", jpeg(0)),
        ("b.cls", b"farm"),
        ("b.txt", b"b"),
    ]
    assert [sample.label for sample in read(tmp_path, members)] == ["", "farm"]


def test_a_txt_may_be_the_long_text_and_a_key_of_the_json_the_short_one(tmp_path: Path) -> None:
    members = [("a.jpg", jpeg(0)), ("a.txt", b"A long road."), ("a.json", b'{"blip": "a road", "caption": "x"}')]
    assert told(read(tmp_path, members, txt="long", caption_key="blip")[0])[1:3] == (("a road",), "A long road.")


@pytest.mark.parametrize(
    ("kind", "members", "message"),
    [
        ("rs5m", [("1.jpg", jpeg(0)), ("1.txt", b"a"), ("1.json", b"{}")], "only jpg, json, txt; .*webdataset"),
        ("webdataset", [("1.npy", b"x"), ("1.txt", b"a")], "no image in it; its members end in npy, txt"),
        ("webdataset", [], "none of the 0 images"),
    ],
)
def test_a_tar_that_is_another_one_says_what_it_holds(
    tmp_path: Path, kind: str, members: list[tuple[str, bytes]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, members, kind)


def test_our_own_export_is_read_back(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 3), tmp_path / "out", checks={"all": "off"})
    export(tmp_path / "out", "webdataset", tmp_path / "tars", Filters(), Options())
    manifest = toy_manifest(format="webdataset", files={"annotations": ["**/*.tar"]})
    found = list(read_samples(open_source(manifest, tmp_path / "tars")))
    written = rows(tmp_path / "out")
    assert [sample.captions for sample in found] == [(row["caption_short"],) for row in written]
    assert [sample.caption_long for sample in found] == [row["caption_long"] for row in written]
