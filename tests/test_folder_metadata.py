"""What `datasets` writes into a folder of images is read, and so are text files by any of their usual names."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import open_source, read_samples
from tests.test_sources import toy_manifest


def draw(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path, format="PNG")


def write(path: Path, entries: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(entries), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(entries[0]))
            table.writeheader()
            table.writerows(entries)
    else:
        path.write_text("\n".join(map(json.dumps, entries)))


def read(folder: Path, annotations: str = "images") -> list[Sample]:
    manifest = toy_manifest(format="image_folder", files={"annotations": [annotations]})
    return list(read_samples(open_source(manifest, folder)))


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "metadata.parquet"])
@pytest.mark.parametrize("key", ["text", "caption", "captions"])
def test_texts_of_a_metadata_file_are_those_of_its_images(tmp_path: Path, name: str, key: str) -> None:
    draw(tmp_path / "images" / "a.png", tmp_path / "images" / "farm" / "b.png")
    entries = [{"file_name": "farm/b.png", key: "A farm."}, {"file_name": "a.png", key: "A plane,\nseen twice."}]
    write(tmp_path / "images" / name, entries)
    for glob in ("images", f"images/{name}"):
        first, second = read(tmp_path, glob)
        assert (first.image_name, first.captions) == ("a.png", ("A plane, seen twice.",))
        assert (second.image_name, second.captions, second.label) == ("farm/b.png", ("A farm.",), "farm")
        assert second.image_path == tmp_path / "images" / "farm" / "b.png"


def test_what_datasets_reads_as_an_imagefolder_is_read_alike(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "train" / "a.png", tmp_path / "images" / "train" / "b.png")
    entries = [{"file_name": "b.png", "text": "A ship."}, {"file_name": "a.png", "text": "A plane."}]
    write(tmp_path / "images" / "train" / "metadata.jsonl", entries)
    theirs = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "images"), split="train")
    assert sorted(theirs["text"]) == sorted(text for sample in read(tmp_path) for text in sample.captions)


def test_an_image_that_a_metadata_file_names_in_vain_is_a_rejection(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png", tmp_path / "images" / "b.png")
    write(
        tmp_path / "images" / "metadata.jsonl",
        [{"file_name": "x/c.png", "text": "C."}, {"file_name": "a.png", "text": "A."}],
    )
    found = {sample.image_name: sample.problem and sample.problem[0] for sample in read(tmp_path)}
    assert found == {"a.png": None, "b.png": None, "x/c.png": "image_missing"}


def test_a_line_for_each_caption_of_an_image_gives_all_of_them(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    lines = [{"image_file_name": "./a.png", "text": text} for text in ("one", "two")]
    write(tmp_path / "images" / "metadata.csv", lines)
    (sample,) = read(tmp_path)
    assert sample.captions == ("one", "two")


def test_lines_that_contradict_each_other_are_a_row_and_a_repeat(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    lines = [{"file_name": "a.png", "caption": "one", "label": label} for label in ("farm", "port")]
    write(tmp_path / "images" / "metadata.jsonl", lines)
    first, second = read(tmp_path)
    assert (first.label, first.problem) == ("farm", None)
    assert second.problem is not None and second.problem[0] == "duplicate_row"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"name": "a.png"}', "entry 1: no text 'file_name'; it has name"),
        ('{"file_name": 3}', "entry 1: no text 'file_name'"),
        ('{"file_name": "a.png", "objects": {}}', "none of the keys captions, .* it has file_name, objects"),
        *(("{", "line 1: not JSON"), ("[]", "line 1: not a JSON object"), ("\xff", "not UTF-8")),
    ],
)
def test_a_metadata_file_that_cannot_be_used_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    draw(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "metadata.jsonl").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=rf"metadata\.jsonl: .*{message}|metadata\.jsonl: {message}"):
        read(tmp_path)


def test_two_metadata_files_are_not_chosen_between(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    for name in ("metadata.csv", "metadata.jsonl"):
        write(tmp_path / "images" / name, [{"file_name": "a.png", "text": "A."}])
    with pytest.raises(UserError, match=r"both metadata\.jsonl and metadata\.csv"):
        read(tmp_path)


@pytest.mark.parametrize("value", [3, {"boxes": []}, [1], True])
def test_a_value_that_is_no_text_is_that_images_rejection(tmp_path: Path, value: Any) -> None:
    draw(tmp_path / "images" / "a.png", tmp_path / "images" / "b.png")
    write(
        tmp_path / "images" / "metadata.jsonl",
        [{"file_name": "a.png", "text": value}, {"file_name": "b.png", "text": "B."}],
    )
    first, second = read(tmp_path)
    assert first.problem is not None and first.problem[0] == "not_text" and second.problem is None


@pytest.mark.parametrize("name", ["a.txt", "a.TXT", "a.caption", "a.png.txt", "a.PNG.txt"])
@pytest.mark.parametrize("image", ["a.png", "a.PNG", "a.jfif"])
def test_a_text_file_is_found_by_its_usual_names(tmp_path: Path, name: str, image: str) -> None:
    draw(tmp_path / "images" / image)
    (tmp_path / "images" / name.replace("a.png", image).replace("a.PNG", image)).write_text("A road.\n")
    assert read(tmp_path)[0].captions == ("A road.",)


@pytest.mark.parametrize("kind", ["latin-1", "fifo", "loop", "folder"])
def test_a_text_file_that_cannot_be_read_is_that_images_rejection(tmp_path: Path, kind: str) -> None:
    draw(tmp_path / "images" / "a.png", tmp_path / "images" / "b.png")
    (tmp_path / "images" / "b.txt").write_bytes("Ein Hof in Zürich.".encode("utf-16"))
    path = tmp_path / "images" / "a.txt"
    if kind == "latin-1":
        path.write_bytes("Zürich".encode("latin-1"))
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.mkdir()
    first, second = read(tmp_path)
    assert (first.problem and first.problem[0]) == (None if kind == "folder" else "text_unreadable")
    assert second.captions == ("Ein Hof in Zürich.",)


@pytest.mark.parametrize("suffix", [".heic", ".svg", ".NPY"])
def test_a_picture_of_a_kind_that_is_not_read_is_said(tmp_path: Path, suffix: str) -> None:
    draw(tmp_path / "images" / "a.png", tmp_path / "images" / f"b{suffix}")
    found = {sample.image_name: sample.problem and sample.problem[0] for sample in read(tmp_path)}
    assert found == {"a.png": None, f"b{suffix}": "image_unsupported"}
