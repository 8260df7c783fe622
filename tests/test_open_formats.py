"""Formats for a user's own data: a folder of images, a `datasets` data set, a list in the form of MGRS-200k."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from PIL import Image

from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Anchor, Sample
from lrs2m_builder.sources import open_source, read_samples
from tests.fake_engine import FakeModule
from tests.test_sources import toy_manifest
from tests.toy import build_toy, make_source, rows


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (24, 24), (number * 40 % 256, 120, 60))


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    picture(number).save(buffer, format="PNG")
    return buffer.getvalue()


def write(path: Path, content: str | Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        content.save(path)


def manifest_of(kind: str, annotations: str, **options: Any) -> Manifest:
    return toy_manifest(format=kind, files={"annotations": [annotations]}, options=options)


def samples_of(manifest: Manifest, folder: Path) -> list[Sample]:
    return list(read_samples(open_source(manifest, folder)))


def build_own(folder: Path, out: Path, manifest: dict[str, Any], **changes: Any) -> Any:
    """Build from a manifest of the user's own, written beside the data."""
    facts = {**toy_manifest().model_dump(exclude={"sha256"}, exclude_none=True), **manifest}
    facts = {key: facts[key] for key in facts if key not in {"models", "paper", "join", "numbering"}}
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(facts))))
    return build_toy(path, out, FakeModule(), **changes)


# --- image_folder


def test_a_folder_gives_its_images_in_the_order_of_their_names_with_what_stands_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "images" / "b.jpg", picture(1))
    write(tmp_path / "images" / "b.txt", "a road .\n\na street .\n")
    write(tmp_path / "images" / "Storage_Tank" / "1.PNG", picture(2))
    write(tmp_path / "images" / "Storage_Tank" / "1.json", '{"caption": "tanks", "caption_long": "Two white tanks."}')
    write(tmp_path / "images" / "Storage_Tank" / "2.tif", picture(3))
    write(tmp_path / "images" / "Storage_Tank" / "notes.md", "no image")
    write(tmp_path / "images" / ".cache" / "3.png", picture(4))
    first, second, third = samples_of(manifest_of("image_folder", "images"), tmp_path)
    assert (first.image_name, first.captions, first.label) == ("b.jpg", ("a road .", "a street ."), "")
    assert (second.image_name, second.label) == ("Storage_Tank/1.PNG", "storage tank")
    assert (second.captions, second.caption_long) == (("tanks",), "Two white tanks.")
    assert third.image_path == tmp_path / "images" / "Storage_Tank" / "2.tif"
    assert third.problem is None and not third.captions


def test_a_subfolder_can_be_a_class_that_the_texts_must_name(tmp_path: Path) -> None:
    write(tmp_path / "images" / "harbor" / "1.png", picture(1))
    (sample,) = samples_of(manifest_of("image_folder", "images", subfolders="anchor"), tmp_path)
    assert (sample.label, sample.anchors, sample.problem) == ("harbor", (Anchor("harbor"),), None)
    (sample,) = samples_of(manifest_of("image_folder", "images", subfolders="ignore"), tmp_path)
    assert (sample.label, sample.anchors) == ("", ())


@pytest.mark.parametrize("name", [".thumbs", "__MACOSX", "@eaDir", "@Recycle", "lost+found"])
def test_a_folder_that_a_system_made_holds_no_samples(tmp_path: Path, name: str) -> None:
    for folder in ("farm", name):
        write(tmp_path / "images" / folder / "0.png", picture(1))
    assert [sample.label for sample in samples_of(manifest_of("image_folder", "images"), tmp_path)] == ["farm"]


def test_linked_folders_are_walked_once(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "1.png", picture(1))
    write(tmp_path / "images" / "port" / "2.png", picture(2))
    (tmp_path / "images" / "farm").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "port" / "back").symlink_to(tmp_path / "images")
    names = [sample.image_name for sample in samples_of(manifest_of("image_folder", "images"), tmp_path)]
    assert names == ["farm/1.png", "port/2.png"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        *(("{", "text_unreadable"), ("[]", "text_unreadable"), ("[" * 99_999, "text_unreadable")),
        *(
            ('{"captions": [3]}', "not_text"),
            ('{"captions": 3}', "not_text"),
            ('{"caption": "a", "label": 1}', "not_text"),
        ),
    ],
)
def test_a_broken_file_beside_an_image_is_that_images_rejection(tmp_path: Path, content: str, reason: str) -> None:
    for number in (1, 2):
        write(tmp_path / "images" / f"{number}.png", picture(number))
    write(tmp_path / "images" / "1.json", content)
    write(tmp_path / "images" / "2.json", '{"captions": ["a road", null]}')
    broken, whole = samples_of(manifest_of("image_folder", "images"), tmp_path)
    assert broken.problem is not None and broken.problem[0] == reason and "1.json: " in broken.problem[1]
    assert whole.captions == ("a road",) and whole.problem is None


def test_a_folder_builds_and_a_new_image_in_it_is_another_build(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "images" / f"{number}.png", picture(number))
        write(tmp_path / "images" / f"{number}.txt", f"field {number} .")
    manifest = {"format": "image_folder", "files": {"annotations": ["images"]}}
    report = build_own(tmp_path, tmp_path / "out", manifest)
    assert report.samples == 3 == report.records + sum(report.rejections.values())
    write(tmp_path / "images" / "00.png", picture(7))
    with pytest.raises(UserError, match=r"samples\.number was 3, now 4"):
        build_own(tmp_path, tmp_path / "out", manifest)


# --- hf_dataset


def hf_toy(**more: Any) -> datasets.Dataset:
    content = {
        "picture": [{"bytes": png(number), "path": f"{number}.png"} for number in range(5)],
        "texts": [["a road .", "a street ."], ["a river ."], [], ["a port ."], ["a farm ."]],
        "scene": [0, 1, 1, 0, 1],
        "story": [f"Long text {number}." for number in range(5)],
        **more,
    }
    features = {
        "picture": datasets.Image(),
        "texts": datasets.List(datasets.Value("string")),
        "scene": datasets.ClassLabel(names=["port", "farm land"]),
        "story": datasets.Value("string"),
    }
    features |= {name: datasets.Value("string") for name in more}
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


COLUMNS = {"image_column": "picture", "caption_columns": ["texts"], "label_column": "scene", "long_column": "story"}


def write_hf(folder: Path, kind: str) -> str:
    """The toy data set as one of the three; returns the annotations' glob."""
    data = hf_toy()
    if kind == "saved":
        data.save_to_disk(str(folder / "saved"), num_shards=2)
        return "saved/*.arrow"
    (folder / "data").mkdir(parents=True)
    for index in range(2):
        data.shard(2, index, contiguous=True).to_parquet(folder / "data" / f"train-{index:05d}-of-00002.parquet")
    if kind == "hub":
        (folder / "hub.json").write_text(json.dumps({"id": str(folder / "data"), "revision": "main"}))
        return "hub.json"
    return "data/*.parquet"


@pytest.mark.parametrize("kind", ["parquet", "saved", "hub"])
def test_a_data_set_of_the_hubs_library_gives_texts_label_and_the_images_bytes(tmp_path: Path, kind: str) -> None:
    manifest = manifest_of("hf_dataset", write_hf(tmp_path, kind), **COLUMNS)
    samples = samples_of(manifest, tmp_path)
    assert [sample.captions for sample in samples] == [
        *(("a road .", "a street ."), ("a river .",), (), ("a port .",), ("a farm .",))
    ]
    assert [sample.label for sample in samples] == ["port", "farm land", "farm land", "port", "farm land"]
    assert [sample.caption_long for sample in samples] == [f"Long text {number}." for number in range(5)]
    assert len({sample.sample_id for sample in samples}) == 5
    if kind != "hub":
        shutil.rmtree(tmp_path / "hub.json", ignore_errors=True)
    columns = {"format": "hf_dataset", "files": manifest.files.model_dump(), "options": COLUMNS}
    del columns["files"]["images"]  # type: ignore[attr-defined]
    report = build_own(tmp_path, tmp_path / "out", columns)
    assert report.samples == 5 == report.records + sum(report.rejections.values())
    assert [row["image"]["bytes"] for row in rows(tmp_path / "out")] == [
        png(number)
        for number in range(5)
        if samples[number].sample_id in {r["sample_id"] for r in rows(tmp_path / "out")}
    ]


def test_a_data_set_of_the_hub_is_streamed_once(tmp_path: Path) -> None:
    manifest = manifest_of("hf_dataset", write_hf(tmp_path, "hub"), **COLUMNS)
    before = samples_of(manifest, tmp_path)
    shutil.rmtree(tmp_path / "data")
    assert samples_of(manifest, tmp_path) == before


def test_a_limit_and_other_columns_fetch_another_file(tmp_path: Path) -> None:
    manifest = manifest_of("hf_dataset", write_hf(tmp_path, "hub"), **COLUMNS)
    samples_of(manifest, tmp_path)
    (tmp_path / "hub.json").write_text(json.dumps({"id": str(tmp_path / "data"), "revision": "main", "limit": 2}))
    assert len(samples_of(manifest, tmp_path)) == 2
    assert len(list(tmp_path.glob("hub.*.parquet"))) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"hub\.json: does not name a data set"),
        ('{"id": "a/b"}', r'expected "id", "revision"'),
        ('{"id": "a/b", "revision": "main", "colour": 1}', r'expected "id", "revision"'),
        ('{"id": "/no/such/folder", "revision": "main"}', r"/no/such/folder at main: cannot be loaded from the Hub"),
    ],
)
def test_a_hub_file_that_leads_nowhere_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "hub.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        samples_of(manifest_of("hf_dataset", "hub.json"), tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.parquet"))


@pytest.mark.parametrize("kind", ["parquet", "saved", "hub"])
def test_a_column_that_is_not_there_names_those_that_are(tmp_path: Path, kind: str) -> None:
    manifest = manifest_of("hf_dataset", write_hf(tmp_path, kind), image_column="image", caption_columns=["texts"])
    with pytest.raises(UserError, match="no column 'image'; it has picture, texts, scene, story"):
        samples_of(manifest, tmp_path)


def test_a_damaged_parquet_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"a\.parquet: not a readable Parquet or Arrow file"):
        samples_of(manifest_of("hf_dataset", "*.parquet"), tmp_path)


def test_an_image_column_of_names_finds_the_files(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(5)]
    for number, name in enumerate(names[:4]):
        write(tmp_path / "imgs" / name, picture(number))
    hf_toy(file=names).remove_columns("picture").to_parquet(tmp_path / "a.parquet")
    files = {"annotations": ["a.parquet"], "images": ["imgs/{filename}"]}
    options = {"image_column": "file", "caption_columns": ["texts"], "label_column": "scene"}
    samples = samples_of(toy_manifest(format="hf_dataset", files=files, options=options), tmp_path)
    assert [sample.image_path for sample in samples] == [*(tmp_path / "imgs" / name for name in names[:4]), None]


def test_a_build_of_ours_is_a_source_of_the_next(tmp_path: Path) -> None:
    """The long texts that one build wrote are the input of another that makes short ones of them."""
    source = make_source(tmp_path / "data", 12, captions=2)
    first = build_toy(source, tmp_path / "first")
    options = {
        "caption_columns": [],
        "long_column": "caption_long",
        "name_column": "sample_id",
        "label_column": "label",
    }
    manifest = {"format": "hf_dataset", "options": options, "files": {"annotations": ["data/toy/*.parquet"]}}
    manifest |= {"name": "again"}
    second = build_own(tmp_path / "first", tmp_path / "second", manifest, recipe="long_to_short", checks={"all": "off"})
    assert (second.samples, second.records) == (first.records, first.records)
    before, after = rows(tmp_path / "first"), rows(tmp_path / "second")
    for one, other in zip(before, after, strict=True):
        assert other["sample_id"] == f"again/{one['sample_id']}"
        assert other["caption_long"] == one["caption_long"]
        assert (other["image"]["bytes"], other["image_sha256"]) == (one["image"]["bytes"], one["image_sha256"])


# --- mgrs_json


def test_a_list_in_the_form_of_mgrs_gives_both_texts(tmp_path: Path) -> None:
    entries = [
        {"global_filepath": "./a/1.png", "brief_caption": "a port", "detailed_caption": "A port.", "segment": []},
        {"global_filepath": "a/2.png", "global_caption": "a farm", "detailed_caption": "A farm."},
        {"global_filepath": "a/3.png", "segment": [{"caption": "a roof"}]},
    ]
    write(tmp_path / "text_info.json", json.dumps(entries))
    for number in (1, 2, 3):
        write(tmp_path / "images" / "a" / f"{number}.png", picture(number))
    files = {"annotations": ["text_info.json"], "images": ["images/{filename}"]}
    samples = samples_of(toy_manifest(format="mgrs_json", files=files), tmp_path)
    found = [(sample.image_name, sample.captions, sample.caption_long) for sample in samples]
    assert found == [("a/1.png", ("a port",), "A port."), ("a/2.png", ("a farm",), "A farm."), ("a/3.png", (), "")]
    assert [sample.problem and sample.problem[0] for sample in samples] == [None, None, None]
    report = build_own(tmp_path, tmp_path / "out", {"format": "mgrs_json", "files": files}, recipe="merge")
    assert (report.samples, report.records, report.rejections) == (3, 2, {"no_caption_long": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no entries"),
        ("{}", "no entries"),
        ('[{"image": "1.png"}]', 'entry 0: no "global_filepath"'),
        ("[{", "not JSON"),
    ],
)
def test_another_list_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    write(tmp_path / "text_info.json", content)
    with pytest.raises(UserError, match=message):
        samples_of(manifest_of("mgrs_json", "text_info.json"), tmp_path)
