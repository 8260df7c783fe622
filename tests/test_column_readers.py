"""Files read by the column have the rows they have by the row, or are left to the reader by the row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lrs2m_builder.columns.table import _keys
from lrs2m_builder.errors import UserError
from lrs2m_builder.sources import join_key, rs5m, vhm_json
from lrs2m_builder.sources.base import NotColumnarError
from lrs2m_builder.sources.resolve import ImageFinder
from tests.test_long_to_short import entry
from tests.test_merge import METADATA


@pytest.mark.parametrize(
    "names",
    [
        ["a/P1.jpg", "a/P2.jpg"],
        ["a/P1.JPG", "a/b/P1.jpg", "P1"],
        ["a.b/c.d.tif", "x.", "a b/.hidden.png", ".hidden", "..x.jpg"],
        ["P1.jpg", ".jpg"],
        ["a/P1.jpg", "a/b/P1.jpg"],
        ["P1", "P2.tar.gz"],
    ],
)
def test_keys_by_the_column_are_those_of_names(names: list[str]) -> None:
    assert _keys(pa.chunked_array([names])).to_pylist() == list(map(join_key, names))


@pytest.mark.parametrize(
    "layout", ["{filename}", "images/{filename}", "*/{basename}", "{basename}", "one.jpg", "images/{stem}.png"]
)
def test_images_are_found_alike_one_by_one_and_together(tmp_path: Path, layout: str) -> None:
    for name in (
        "images/a/P1.jpg",
        "images/P2.jpg",
        "a/P1.jpg",
        "P3.JPG",
        "images/P4.tif",
        "b/P5.jpg",
        "c/P5.jpg",
        "one.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    finder = ImageFinder(layout, tmp_path, None)
    names = [
        "a/P1.jpg",
        "P1.jpg",
        "P2.jpg",
        "p3.jpg",
        "P3.jpg",
        "P4.jpg",
        "P5.jpg",
        "b/P5.jpg",
        "/P1.jpg",
        "../P2.jpg",
        "no.jpg",
    ]
    assert finder.find_each(names) == [finder.find(name) is not None for name in names]


@pytest.mark.parametrize("layout", ["{stem}/{basename}", "{stem}/{filename}", "x_{basename}", "{stem}/x_{basename}"])
def test_images_are_found_alike_where_their_names_are_part_of_others(tmp_path: Path, layout: str) -> None:
    for name in ("P1/P1.jpg", "P1/P2.jpg", "P2/P1.jpg", "x_P1.jpg", "P2.jpg", "P1/x_P1.jpg", "P1/x_P2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    finder, names = ImageFinder(layout, tmp_path, None), ["P1.jpg", "P2.jpg", "P3.jpg", "x_P1.jpg", "x_P2.jpg"]
    assert finder.find_each(names) == [finder.find(name) is not None for name in names]


CSVS = [
    'name,caption\nmillionaid_a.jpg,plain\n\nmillionaid_b.jpg,"a, b"\nben_1.jpg,no\n',
    'caption,extra,name\r\nshort,1,millionaid_a.jpg\r\n"of ""two""\nlines",2,millionaid_b.jpg\r\n',
    'name,caption\nmillionaid_a.jpg,a 5" pipe\nmillionaid_b.jpg,he said "no"\nmillionaid_c.jpg,"quoted" and on\n',
    "\ufeffname,caption\nmillionaid_a.jpg,NULL\nmillionaid_b.jpg,\nmillionaid_c.jpg,nan\nmillionaid_d.jpg, 12 \n",
    'name,caption\nmillionaid_a.jpg,café ’ 中\n"millionaid_b.jpg",""\n',
]


@pytest.mark.parametrize("text", CSVS)
def test_a_csv_by_the_column_has_the_rows_it_has_by_the_row(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rs3.csv"
    path.write_bytes(text.encode())
    by_row = [(row.image_name, row.captions[0]) for row in rs5m.read(path, prefix="millionaid_")]
    assert by_row and columns(rs5m.read_columns(path, prefix="millionaid_")) == by_row


BROKEN_CSVS = {
    "a text over the limit": b"name,caption\na.jpg," + b"a " * 70_000,
    "another text over the limit": b"name,caption,more\na.jpg,hi," + b"a " * 70_000,
    "no UTF-8": b"name,caption\na.jpg,caf\xe9\n",
    "no UTF-8 in another column": b"name,caption,more\na.jpg,hi,caf\xe9\n",
    "no UTF-8 in the header": b"name,caption,caf\xe9\na.jpg,hi,no\n",
    "blank line before the header": b"\nname,caption\na.jpg,hi\n",
    "packed": gzip.compress(b"name,caption\na.jpg,hi\n"),
}


@pytest.mark.parametrize("name", BROKEN_CSVS)
def test_a_csv_that_is_broken_by_the_row_is_not_read_by_the_column(tmp_path: Path, name: str) -> None:
    path = tmp_path / ("rs3.csv.gz" if name == "packed" else "rs3.csv")
    path.write_bytes(BROKEN_CSVS[name])
    with pytest.raises(UserError) as by_row:
        list(rs5m.read(path))
    with pytest.raises((NotColumnarError, UserError)) as by_column:
        list(rs5m.read_columns(path))
    assert isinstance(by_column.value, NotColumnarError) or str(by_column.value) == str(by_row.value)


def test_metadata_are_told_by_the_letters_that_python_takes_for_others(tmp_path: Path) -> None:
    path = tmp_path / "rs3.csv"
    path.write_text("name,caption\na.jpg,The az\u0131muth is 3. A road.\nb.jpg,A caf\u00e9.\n")
    assert columns(rs5m.read_columns(path)) == [("a.jpg", "A road."), ("b.jpg", "A caf\u00e9.")]


def columns(batches: Any) -> list[tuple[str, str]]:
    return [pair for each in batches for pair in zip(each.image_names.to_pylist(), each.texts.to_pylist(), strict=True)]


def test_metadata_are_cut_off_by_the_column_too(real_data: Path) -> None:
    path = real_data / "rs5m" / "rs3_dump.csv"
    found = columns(rs5m.read_columns(path))
    assert found == [(row.image_name, row.captions[0]) for row in rs5m.read(path)]
    assert not any(METADATA.search(caption) for name, caption in found if not name.startswith("millionaid"))
    kept = columns(rs5m.read_columns(path, metadata="keep"))
    assert kept == [(row.image_name, row.captions[0]) for row in rs5m.read(path, metadata="keep")]


def vhm(path: Path, entries: Any) -> Path:
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return path


def test_a_list_by_the_column_has_the_entries_it_has_by_the_row(tmp_path: Path) -> None:
    turn = {"from": "gpt", "value": "a second answer"}
    entries = [
        entry(f"P{n}.jpg", ("MillionAID", "million-aid", "fMoW")[n % 3], f'text {n} "q" \\ ü 🚢') for n in range(9)
    ]
    entries[1]["conversations"].append(turn)
    entries[3]["conversations"].insert(0, turn)
    entries[4]["conversations"] = [{"from": "human", "value": "no answer"}]
    entries[6]["conversations"] = []
    entries[7]["more"] = {"nested": [1, None]}
    entries[8]["conversations"].insert(0, {"from": None, "value": "nobody"})
    path = vhm(tmp_path / "list.json", entries)
    for wanted in ((), ("MillionAID",), ("fmow", "nothing")):
        by_row = [(row.image_name, row.caption_long) for row in vhm_json.read(path, wanted)]
        assert columns(vhm_json.read_columns(path, wanted)) == by_row


@pytest.mark.parametrize("folder", ["all[12]", "all*", "source_dataset=fMoW"])
def test_a_list_is_read_from_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    for name in ("all1", "all2", folder):
        (tmp_path / name).mkdir()
        vhm(tmp_path / name / "list.json", [entry(f"{name}.jpg", "MillionAID", "a text")])
    path = tmp_path / folder / "list.json"
    assert columns(vhm_json.read_columns(path)) == [(f"MillionAID/{folder}.jpg", "a text")]


GOOD = entry("P1.jpg", "MillionAID", "a text")
ODD_LISTS = {
    "number as image": [GOOD, {**GOOD, "image": 5}],
    "no image": [GOOD, {**GOOD, "image": ""}],
    "no data set": [GOOD, {key: value for key, value in GOOD.items() if key != "source_dataset"}],
    "empty data set": [{**GOOD, "source_dataset": ""}],
    "no turns": [GOOD, {**GOOD, "conversations": None}],
    "turn is text": [GOOD, {**GOOD, "conversations": ["hello"]}],
    "number as text": [GOOD, entry("P2.jpg", "MillionAID", 12.5)],  # type: ignore[arg-type]
    "truth as text": [GOOD, entry("P2.jpg", "MillionAID", True)],  # type: ignore[arg-type]
    "object as text": [GOOD, entry("P2.jpg", "MillionAID", {"a": 1})],  # type: ignore[arg-type]
    "entry is text": [GOOD, "hello"],
    "an object": {"image": "P1.jpg"},
    "cut off": json.dumps([GOOD, GOOD])[:-9],
    "cut off between entries": json.dumps([GOOD, GOOD]).rpartition("{")[0].rpartition("{")[0].rpartition("{")[0],
    "no text": "",
    "two lists": json.dumps([GOOD]) * 2,
    "letters before the list": 'é[{"image": "P1.jpg"}{"image": 5}]',
    "half a pair": json.dumps([GOOD]).replace("a text", "\\ud83d"),
}


@pytest.mark.parametrize("name", ODD_LISTS)
def test_an_odd_list_is_left_to_the_reader_by_the_row(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotColumnarError):
        list(vhm_json.read_columns(vhm(tmp_path / "list.json", ODD_LISTS[name])))
