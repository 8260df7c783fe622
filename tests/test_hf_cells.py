"""Columns of the Hub's tables hold text and images in many types: each is read as what it is, or one line says why."""

from __future__ import annotations

import base64
import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.files import read_image
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import open_source, read_samples
from tests.test_archives import jpeg
from tests.test_sources import toy_manifest

IMAGE = [{"bytes": jpeg(0), "path": None}]
SUFFIXES = pytest.mark.parametrize("suffix", ["parquet", "arrow"])


def read(folder: Path, table: pa.Table, suffix: str = "parquet", **options: Any) -> list[Sample]:
    if suffix == "parquet":
        pq.write_table(table, folder / "a.parquet", row_group_size=2)
    else:
        with pa.ipc.new_stream(folder / "a.arrow", table.schema) as stream:
            stream.write_table(table, max_chunksize=2)
    manifest = toy_manifest(format="hf_dataset", files={"annotations": [f"a.{suffix}"]}, options=options)
    return list(read_samples(open_source(manifest, folder)))


def captions(folder: Path, column: Any, **options: Any) -> tuple[str, ...]:
    table = pa.table({"image": IMAGE, "caption": column})
    (sample,) = read(folder, table, **options)
    return sample.captions


TEXTS = {
    "text": (pa.array(["a road"]), ("a road",)),
    "large": (pa.array(["a road"], pa.large_string()), ("a road",)),
    "view": (pa.array(["a road"], pa.string_view()), ("a road",)),
    "categories": (pa.array(["a road"]).dictionary_encode(), ("a road",)),
    "list": (pa.array([["a road", None, "a street"]]), ("a road", "a street")),
    "large list": (pa.array([["a road"]], pa.large_list(pa.string())), ("a road",)),
    "list of lists": (pa.array([[["a road"], ["a street"]]]), ("a road", "a street")),
    "struct": (pa.array([{"raw": "a road", "tokens": ["a", "road"]}]), ("a road",)),
    "structs": (
        pa.array([[{"sentence": "a road", "id": 1}, {"sentence": "a street", "id": 2}]]),
        ("a road", "a street"),
    ),
    "json": (pa.array([json.dumps([{"caption": "a road"}])]), ("a road",)),
    "a bracket": (pa.array(["[map] a road"]), ("[map] a road",)),
    "null": (pa.array([None]), ()),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_is_found_in_the_types_that_hold_one(tmp_path: Path, kind: str) -> None:
    column, expected = TEXTS[kind]
    assert captions(tmp_path, column) == expected


@pytest.mark.parametrize(
    "column",
    [
        *(pa.array([3]), pa.array([float("nan")]), pa.array([b"a road"]), pa.array([True]), pa.array([Decimal("1.5")])),
        *(pa.array([datetime.datetime(2020, 1, 1)]), pa.array([[0.5, 1.0]]), pa.array([{"en": "a", "de": "b"}])),
        pa.array([[{"from": "human", "value": "What is it?"}, {"from": "gpt", "value": "a road"}]]),
        pa.array([{"raw": "a", "text": "b"}]),
        pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())),
        pa.array([datetime.timedelta(1)]),
    ],
    ids=lambda column: str(column.type)[:40],
)
def test_a_column_that_holds_no_text_is_one_line_with_its_type(tmp_path: Path, column: Any) -> None:
    with pytest.raises(UserError) as caught:
        captions(tmp_path, column)
    assert "column 'caption' holds no text" in str(caught.value) or "numbers without names" in str(caught.value)
    assert f"({str(column.type)[:4]}" in str(caught.value)


def test_a_text_that_is_json_without_a_text_in_it_is_a_rejection(tmp_path: Path) -> None:
    table = pa.table({"image": IMAGE * 2, "caption": ['{"boxes": [1, 2]}', "a road"]})
    first, second = read(tmp_path, table)
    assert first.problem is not None and first.problem[0] == "not_text" and second.captions == ("a road",)


@pytest.mark.parametrize(("value", "expected"), [([0, 2], "plane; ship"), ([], ""), ([-1], ""), ([1], "road")])
def test_a_list_of_classes_is_their_names(tmp_path: Path, value: list[int], expected: str) -> None:
    names = datasets.ClassLabel(names=["plane", "road", "ship"])
    features = {"image": datasets.Image(), "caption": datasets.Value("string"), "labels": datasets.List(names)}
    data = datasets.Dataset.from_dict(
        {"image": IMAGE, "caption": ["a"], "labels": [value]}, features=datasets.Features(features)
    )
    data.to_parquet(tmp_path / "a.parquet")
    manifest = toy_manifest(
        format="hf_dataset", files={"annotations": ["a.parquet"]}, options={"label_column": "labels"}
    )
    (sample,) = read_samples(open_source(manifest, tmp_path))
    assert sample.label == expected


def test_numbers_without_names_are_no_label(tmp_path: Path) -> None:
    table = pa.table({"image": IMAGE, "caption": ["a"], "label": [[1, 0, 0]]})
    with pytest.raises(UserError, match=r"column 'label' holds no text \(list<.*name a column of texts .*caption"):
        read(tmp_path, table, label_column="label")


def test_a_number_may_be_a_name_and_nothing_else(tmp_path: Path) -> None:
    table = pa.table({"image": IMAGE * 2, "caption": ["a", "b"], "id": [0, 7], "score": [0.5, 1.5]})
    assert [sample.image_name for sample in read(tmp_path, table, name_column="id")] == ["0", "7"]
    with pytest.raises(UserError, match="name_column 'score' holds double"):
        read(tmp_path, table, name_column="score")


PICTURE = jpeg(3)
CELL = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TEXT = base64.b64encode(PICTURE).decode()
CELLS: dict[str, Any] = {
    "bytes": pa.array([PICTURE]),
    "view": pa.array([PICTURE], pa.binary_view()),
    "fixed": pa.array([PICTURE], pa.binary(len(PICTURE))),
    "struct": pa.array([{"bytes": PICTURE, "path": "x/1.jpg"}]),
    "other names": pa.array([{"data": PICTURE, "name": "1.jpg"}]),
    "list": pa.array([[{"bytes": PICTURE, "path": None}]]),
    "list of bytes": pa.array([[PICTURE]]),
    "fixed list": pa.array([[PICTURE]], pa.list_(pa.binary(), 1)),
    "base64": pa.array([TEXT]),
    "lines": pa.array(["\n".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76))]),
    "url-safe": pa.array([base64.urlsafe_b64encode(PICTURE).decode()]),
    "data url": pa.array([f"data:image/jpeg;base64,{TEXT}"]),
    "base64 in a list": pa.array([[TEXT]]),
}


@SUFFIXES
@pytest.mark.parametrize("kind", CELLS)
def test_an_image_is_found_in_the_types_that_hold_one(tmp_path: Path, kind: str, suffix: str) -> None:
    (sample,) = read(tmp_path, pa.table({"image": CELLS[kind], "caption": ["a road"]}), suffix)
    assert sample.problem is None and sample.image_path is not None
    assert read_image(sample.image_path) == PICTURE


@SUFFIXES
@pytest.mark.parametrize(
    "column",
    [
        pa.array(
            [{"bytes": None, "path": "/home/other/data/1.jpg"}], pa.struct({"bytes": pa.binary(), "path": pa.string()})
        ),
        *(
            pa.array([{"path": "1.jpg"}]),
            pa.array(["images/1.jpg"]),
            pa.array([["1.jpg"]]),
            pa.array([[{"path": "1.jpg"}]]),
        ),
        pa.array([{"url": "https://example.org/a%20b/1.jpg?size=full"}]),
    ],
    ids=str,
)
def test_a_path_in_the_place_of_an_image_is_found_below_the_folder(tmp_path: Path, column: Any, suffix: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(PICTURE)
    (sample,) = read(tmp_path, pa.table({"image": column, "caption": ["a road"], "id": ["first"]}), suffix)
    assert sample.image_path == tmp_path / "images" / "1.jpg"
    (sample,) = read(
        tmp_path, pa.table({"image": column, "caption": ["a road"], "id": ["first"]}), suffix, name_column="id"
    )
    assert (sample.image_name, sample.image_path) == ("first", tmp_path / "images" / "1.jpg")


@SUFFIXES
def test_rows_with_bytes_a_path_nothing_and_several_are_told_apart(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "2.jpg").write_bytes(PICTURE)
    single = [
        {"bytes": PICTURE, "path": "1.jpg"},
        {"bytes": None, "path": "2.jpg"},
        None,
        {"bytes": None, "path": None},
    ]
    texts = ["a road", "a port", "a farm", "a field"]
    found = read(tmp_path, pa.table({"image": pa.array(single, CELL), "caption": texts}), suffix)
    assert [sample.problem and sample.problem[0] for sample in found] == [None, None, "image_missing", "image_missing"]
    assert read_image(found[0].image_path) == PICTURE and found[1].image_path == tmp_path / "2.jpg"  # type: ignore[arg-type]
    lists = [[single[0]], [], [single[0], single[1]], None]
    found = read(tmp_path, pa.table({"image": pa.array(lists, pa.list_(CELL)), "caption": texts}), suffix)
    reasons = [None, "image_missing", "image_unsupported", "image_missing"]
    assert [sample.problem and sample.problem[0] for sample in found] == reasons


@pytest.mark.parametrize(
    "column",
    [
        pa.array([np.zeros((2, 2, 3), np.uint8).tolist()]),
        *(
            pa.array([3]),
            pa.array([{"height": 2, "width": 2}]),
            pa.array([[1, 2]]),
            pa.array([datetime.date(2020, 1, 1)]),
        ),
    ],
    ids=lambda column: str(column.type)[:40],
)
def test_a_column_without_images_is_one_line_with_its_type(tmp_path: Path, column: Any) -> None:
    with pytest.raises(UserError, match=r"column 'image' holds .*, not images; an image column holds bytes"):
        read(tmp_path, pa.table({"image": column, "caption": ["a road"]}))


def test_a_table_whose_rows_all_hold_several_images_is_one_line(tmp_path: Path) -> None:
    table = pa.table({"image": [[PICTURE, PICTURE]], "caption": ["before and after"]})
    with pytest.raises(UserError, match="2 images in one cell"):
        read(tmp_path, table)


def test_a_text_that_is_no_base64_is_a_rejection(tmp_path: Path) -> None:
    (sample,) = read(tmp_path, pa.table({"image": ["data:image/png;base64,A"], "caption": ["a road"]}))
    with pytest.raises(SampleError, match="image_unreadable"):
        read_image(sample.image_path)  # type: ignore[arg-type]
