"""Sources as people have them: odd names, files beside the images, broken marks, folders where files should be."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import formats, open_source, read_samples
from tests.toy import build_toy, make_source, rows

DOTA = "1 1 2 1 2 2 1 2 plane 0\n"
LABELS = {"annotations": ["labels", "labels.jsonl"], "images": ["images/{filename}", "images/{filename}.*"]}


def write_manifest(folder: Path, **changes: Any) -> Path:
    """A manifest in the folder; `changes` override its keys."""
    make_source(folder / "template", 1)
    content = yaml.safe_load((folder / "template" / "toy.yaml").read_text())
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(content | {"rows": "image"} | changes))
    return path


def read(folder: Path, **changes: Any) -> list[Sample]:
    return list(read_samples(open_source(load_manifest(str(write_manifest(folder, **changes))), folder)))


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), (90, 120, 90)).save(path)


def write_captions(folder: Path, *names: str) -> None:
    (folder / "dataset.json").write_text(
        json.dumps({"images": [{"filename": n, "sentences": ["A road."]} for n in names]})
    )


@pytest.mark.parametrize("beside", ["1.tfw", "1.txt", "1.png.aux.xml", "1.json"])
def test_a_file_beside_an_image_does_not_hide_it(tmp_path: Path, beside: str) -> None:
    draw(tmp_path / "images" / "1.png")
    (tmp_path / "images" / beside).write_text("1.0")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text(DOTA)
    (sample,) = read(tmp_path, format="vector_labels", files=LABELS)
    assert sample.image_path == tmp_path / "images" / "1.png"


def test_a_text_is_not_taken_for_an_image_of_its_name(tmp_path: Path) -> None:
    draw(tmp_path / "imgs" / "1.jpg")
    (tmp_path / "imgs" / "2.txt").write_text("no picture")
    write_captions(tmp_path, "1.jpg", "2.jpg")
    assert [sample.problem and sample.problem[0] for sample in read(tmp_path)] == [None, "image_missing"]


def test_brackets_in_a_folder_of_images_are_no_pattern(tmp_path: Path) -> None:
    draw(tmp_path / "set" / "tiles[1]" / "a.jpg")
    write_captions(tmp_path, "tiles[1]/a.jpg")
    (sample,) = read(tmp_path, files={"annotations": ["dataset.json"], "images": ["*/{filename}"]})
    assert sample.image_path is not None


@pytest.mark.parametrize("name", ["9.41\u202fAM.png", "a\xa0b.png", "影像 1.png"])
def test_a_name_of_letters_and_blanks_of_any_kind_is_a_name(tmp_path: Path, name: str) -> None:
    draw(tmp_path / "images" / name)
    (tmp_path / "images" / name).with_suffix(".txt").write_text("A field.")
    (sample,) = read(tmp_path, format="image_folder", files={"annotations": ["images"]})
    assert sample.sample_id == f"toy/{name}" and sample.problem is None


def test_a_name_that_is_no_utf8_is_written_out_and_its_image_kept(tmp_path: Path) -> None:
    """The second is no image: its path, which nothing could store as it is, stands in the rejection."""
    source, folder = (
        write_manifest(tmp_path, format="image_folder", files={"annotations": ["images"]}),
        tmp_path / "images",
    )
    for name, content in (("a", None), ("b", b"no picture")):
        draw(folder / f"{name}.png")
        path = os.fsencode(folder) + f"/Z\xfcrich {name}".encode("latin-1")
        (folder / f"{name}.png").rename(os.fsdecode(path + b".png"))
        Path(os.fsdecode(path + b".txt")).write_text("A town.")
        if content:
            Path(os.fsdecode(path + b".png")).write_bytes(content)
    report = build_toy(source, tmp_path / "out", checks={"all": "off"})
    assert (report.records, report.rejections) == (1, {"image_unreadable": 1})
    assert rows(tmp_path / "out")[0]["sample_id"] == "toy/Z\\xfcrich a.png"
    assert "rich b.png" in rows(tmp_path / "out", "rejected")[0]["detail"]


def test_a_subfolder_that_cannot_be_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "images" / "locked" / "1.png")
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match="locked: cannot be read: Permission denied"):
        read(tmp_path, format="image_folder", files={"annotations": ["images"]})


@pytest.mark.parametrize("name", sorted(set(formats()) - {"image_folder", "vector_labels"}))
def test_a_folder_where_a_file_should_be_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "dataset.json").mkdir()
    with pytest.raises(UserError, match=r"dataset\.json"):
        read(tmp_path, format=name)


def test_a_repeat_never_takes_the_id_of_another_image(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        draw(tmp_path / "imgs" / name)
    (tmp_path / "imgs" / "b.jpg").rename(tmp_path / "imgs" / "a.jpg~2")
    write_captions(tmp_path, "a.jpg", "a.jpg~2", "a.jpg")
    assert len({sample.sample_id for sample in read(tmp_path)}) == 3


def test_rows_of_two_files_of_one_name_are_not_called_the_same(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"image": [b"x"], "caption": ["A road."]}), tmp_path / folder / "train.parquet")
    with pytest.raises(UserError, match="would be called train/"):
        read(tmp_path, format="hf_dataset", files={"annotations": ["*/train.parquet"]})


def test_an_unclosed_quotation_mark_swallows_no_rows(tmp_path: Path) -> None:
    lines = ("title\tfilename", '"old" roofs\t0.jpg', '"a roof\t1.jpg', "a road\t2.jpg", 'The "x" field\t3.jpg')
    (tmp_path / "dataset.json").write_text("\n".join(lines) + "\n")
    draw(tmp_path / "imgs" / "0.jpg")
    with pytest.raises(UserError, match=r"line 5: .* spans other lines"):
        read(tmp_path, format="remoteclip_csv")


def test_a_blank_text_is_a_sample_without_one(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("title\tfilename\n\t0.jpg\na road\t1.jpg\n")
    for number in (0, 1):
        draw(tmp_path / "imgs" / f"{number}.jpg")
    blank, other = read(tmp_path, format="remoteclip_csv")
    assert blank.problem is None and blank.captions == () and other.captions == ("a road",)


def test_files_that_macos_leaves_are_no_labels(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "1.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text(DOTA)
    (tmp_path / "labels" / "._1.txt").write_bytes(b"\x00\x05\x16\x07\xff")
    (sample,) = read(tmp_path, format="vector_labels", files=LABELS)
    assert [anchor.name for anchor in sample.anchors] == ["plane"]


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "1.png")
    entry = {"image": "1.png", "note": "a\u2028b", "anchors": [{"class": "plane", "count": 2}]}
    (tmp_path / "labels.jsonl").write_text(json.dumps(entry, ensure_ascii=False))
    (sample,) = read(tmp_path, format="vector_labels", files=LABELS)
    assert sample.anchors[0].count == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels/1.geojson", '{"features": [{"geometry": [1]}]}', r"features\[0\]: geometry and properties"),
        ("labels/1.geojson", '{"features": [{"properties": [1]}]}', r"features\[0\]: geometry and properties"),
        ("labels/1.geojson", "[" * 100_000, "nested too deeply"),
        ("labels/1.xml", '<?xml version="1.0" encoding="GB2312"?><annotation/>', "save it as UTF-8"),
        ("labels/1.xml", '<?xml version="1.0" encoding="foo"?><annotation/>', "save it as UTF-8"),
        ("labels.jsonl", '{"image": "1.png", "anchors": [{"class": "a", "count": 3000000000}]}', "2147483647"),
    ],
)
def test_a_label_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    draw(tmp_path / "images" / "1.png")
    with pytest.raises(UserError, match=message):
        read(tmp_path, format="vector_labels", files=LABELS)


def test_a_key_that_is_no_word_is_one_line(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    path.write_text(path.read_text().replace("get: make it", "get: {{ somewhere }}"))
    with pytest.raises(UserError, match="a key must be a word"):
        load_manifest(str(path))


@pytest.mark.parametrize("change", [lambda text: text.encode("latin-1"), lambda text: b"\xef\xbb\xbf" + text.encode()])
def test_scenes_in_another_encoding_are_said_and_a_byte_order_mark_is_accepted(
    tmp_path: Path, change: Callable[[str], bytes]
) -> None:
    draw(tmp_path / "imgs" / "1.jpg")
    scene = {"image": "1.jpg", "objects": [], "captions": ["Zürich."], "caption_long": "", "scene": "town"}
    content = change(json.dumps(scene, ensure_ascii=False))
    (tmp_path / "dataset.json").write_bytes(content)
    if content.startswith(b"\xef"):
        assert read(tmp_path, format="scenes_jsonl")[0].captions == ("Zürich.",)
    else:
        with pytest.raises(UserError, match="not UTF-8"):
            read(tmp_path, format="scenes_jsonl")


def test_what_follows_a_dot_is_no_extension_unless_it_is_one(tmp_path: Path) -> None:
    """Two tiles may differ in a decimal alone; their names in the data set differ too."""
    source = write_manifest(tmp_path, format="vector_labels", files=LABELS)
    (tmp_path / "labels").mkdir()
    for name in ("tile_0.25", "tile_0.5"):
        draw(tmp_path / "images" / f"{name}.png")
        (tmp_path / "labels" / f"{name}.txt").write_text(DOTA)
    build_toy(source, tmp_path / "out", recipe="vector_anchored", checks={"all": "off"})
    assert [row["image"]["path"] for row in rows(tmp_path / "out")] == ["tile_0.25.png", "tile_0.5.png"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("min_area", "large"),
        ("class_properties", "building"),
        ("classes", ["ship"]),
        ("skip_difficult", "maybe"),
        ("prefix", 7),
        ("min_inside", 2),
    ],
)
def test_an_option_of_a_format_that_is_of_another_type_is_named(tmp_path: Path, option: str, value: Any) -> None:
    draw(tmp_path / "images" / "1.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text(DOTA)
    with pytest.raises(UserError, match=f"option {option}"):
        read(tmp_path, format="vector_labels", files=LABELS, options={option: value})
