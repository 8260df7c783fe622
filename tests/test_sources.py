"""A subset on disk becomes samples: every row once, in the order of its file, with its own image or a reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from lrs2m_builder.declared.manifest import Manifest, load_manifest
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import formats, open_source, read_samples
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources.karpathy_json import read

FACTS: dict[str, Any] = {
    "name": "toy",
    "title": "Toy",
    "format": "karpathy_json",
    "files": {"annotations": ["dataset.json"], "images": ["imgs/{filename}", "images/{filename}"]},
    "license": "CC0-1.0",
    "homepage": "none",
    "citation": "none",
    "get": "make it yourself",
    "texts_from": "toy captions",
}


def toy_manifest(**changes: Any) -> Manifest:
    return Manifest(**(FACTS | changes))


def entry(filename: str, *captions: str, **more: Any) -> dict[str, Any]:
    return {"filename": filename, "sentences": [{"raw": caption} for caption in captions], **more}


def write_source(folder: Path, entries: list[Any], images: Sequence[str] = (), *, bom: bool = False) -> Path:
    """Write an annotation file and empty image files below a folder; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    encoding = "utf-8-sig" if bom else "utf-8"
    (folder / "dataset.json").write_text(json.dumps({"images": entries}), encoding=encoding)
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).touch()
    return folder


def samples_of(folder: Path, manifest: Manifest | None = None) -> list[Sample]:
    return list(read_samples(open_source(manifest or toy_manifest(), folder)))


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text('{"images": [\n  {"filename": "1.tif"},\n  {"filename": oops}\n]}')
    with pytest.raises(UserError, match=r"dataset\.json: line 3, column \d+: not JSON"):
        list(read(path))


def test_text_in_another_encoding_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes('{"images": "café"}'.encode("latin-1"))
    with pytest.raises(UserError, match=r"dataset\.json: byte 15: not UTF-8 text"):
        list(read(path))


@pytest.mark.parametrize("content", ["[]", "{}", '{"images": {}}', "3", "null"])
def test_another_kind_of_json_says_what_was_expected(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(content)
    with pytest.raises(UserError, match='no list "images" in it'):
        list(read(path))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"sentences": []}, r'images\[1\]: no "filename"'),
        ({"filename": ""}, r'images\[1\]: no "filename"'),
        ("2.tif", r'images\[1\]: no "filename"'),
        ({"filename": "2.tif", "sentences": {}}, r'images\[1\] \(2\.tif\): "sentences" is not a list'),
        ({"filename": "2.tif", "sentences": [{"tokens": ["a"]}]}, r'images\[1\] \(2\.tif\): .*"raw"'),
        ({"filename": "2.tif", "sentences": [{"raw": None}]}, r'images\[1\] \(2\.tif\): .*"raw"'),
    ],
)
def test_a_missing_key_names_the_image(tmp_path: Path, broken: Any, message: str) -> None:
    folder = write_source(tmp_path, [entry("1.tif", "a road"), broken])
    with pytest.raises(UserError, match=message):
        list(read(folder / "dataset.json"))


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    folder = write_source(tmp_path, [entry("1.tif", "a road")], bom=True)
    assert (folder / "dataset.json").read_bytes().startswith(b"\xef\xbb\xbf")
    assert list(read(folder / "dataset.json")) == [SourceRow("1.tif", ("a road",))]


def test_sentences_may_be_bare_strings_and_images_lie_in_folders(tmp_path: Path) -> None:
    folder = write_source(tmp_path, [{"filename": "1.tif", "filepath": "train", "sentences": ["a road"]}])
    assert list(read(folder / "dataset.json")) == [SourceRow("train/1.tif", ("a road",))]


def test_blank_sentences_are_dropped(tmp_path: Path) -> None:
    entries = [entry("1.tif", "", "a road", " \t\n", "&nbsp;\x00", "a river")]
    (sample,) = samples_of(write_source(tmp_path, entries, ["imgs/1.tif"]))
    assert sample.captions == ("a road", "a river")


def test_an_image_without_a_caption_is_a_sample_for_recipes_that_need_none(tmp_path: Path) -> None:
    entries = [entry("1.tif", " "), {"filename": "2.tif"}, entry("3.tif", "a road")]
    samples = samples_of(write_source(tmp_path, entries, [f"imgs/{n}.tif" for n in (1, 2, 3)]))
    assert [(sample.problem, len(sample.captions)) for sample in samples] == [(None, 0), (None, 0), (None, 1)]


def test_rows_by_caption_give_each_distinct_caption_of_an_image_once(tmp_path: Path) -> None:
    entries = [entry("1.tif", "a road .", "a river .", "a  road .", "a road ."), entry("2.tif", "a road .")]
    folder = write_source(tmp_path, entries, ["imgs/1.tif", "imgs/2.tif"])
    found = [(sample.sample_id, sample.captions) for sample in samples_of(folder, toy_manifest(rows="caption"))]
    assert found == [("toy/1.tif#0", ("a road .",)), ("toy/1.tif#1", ("a river .",)), ("toy/2.tif#0", ("a road .",))]


def test_rows_by_image_hold_all_captions_in_their_order(tmp_path: Path) -> None:
    folder = write_source(tmp_path, [entry("1.tif", "b", "a", "c"), entry("2.tif", "d")], ["imgs/1.tif", "imgs/2.tif"])
    found = [(sample.sample_id, sample.captions) for sample in samples_of(folder, toy_manifest(rows="image"))]
    assert found == [("toy/1.tif", ("b", "a", "c")), ("toy/2.tif", ("d",))]


def test_a_split_is_chosen_and_a_missing_one_is_accepted(tmp_path: Path) -> None:
    entries = [entry("1.tif", "a", split="train"), entry("2.tif", "b", split="test"), entry("3.tif", "c")]
    folder = write_source(tmp_path, entries, [f"imgs/{n}.tif" for n in (1, 2, 3)])
    assert [sample.image_name for sample in samples_of(folder)] == ["1.tif", "2.tif", "3.tif"]
    assert [sample.image_name for sample in samples_of(folder, toy_manifest(split="test"))] == ["2.tif"]


def test_an_image_listed_twice_is_one_sample_and_one_problem(tmp_path: Path) -> None:
    folder = write_source(tmp_path, [entry("1.tif", "a"), entry("1.tif", "b")], ["imgs/1.tif"])
    first, second = samples_of(folder)
    assert (first.sample_id, first.captions, first.problem) == ("toy/1.tif", ("a",), None)
    assert second.sample_id == "toy/1.tif~2"
    assert second.problem is not None and second.problem[0] == "duplicate_row"


def test_other_letter_case_is_found_where_one_file_fits(tmp_path: Path) -> None:
    entries = [entry("One.TIF", "a"), entry("two.tif", "b")]
    folder = write_source(tmp_path, entries, ["imgs/one.tif", "imgs/TWO.tif", "imgs/Two.tif"])
    first, second = samples_of(folder)
    assert first.image_path == folder / "imgs" / "one.tif"
    assert second.image_path is None


def test_an_unknown_option_of_a_format_is_refused(tmp_path: Path) -> None:
    folder = write_source(tmp_path, [entry("1.tif", "a")], ["imgs/1.tif"])
    with pytest.raises(UserError, match="karpathy_json has no option 'colour'"):
        open_source(toy_manifest(options={"colour": 1}), folder)


def test_an_image_that_is_not_there_is_a_sample_with_a_problem(tmp_path: Path) -> None:
    folder = write_source(tmp_path, [entry("1.tif", "a"), entry("2.tif", "b")], ["imgs/2.tif"])
    first, second = samples_of(folder)
    assert (first.image_path, first.problem) == (
        None,
        ("image_missing", "1.tif: not found as imgs/{filename}: there is no imgs/1.tif"),
    )
    assert (second.image_path, second.problem) == (folder / "imgs" / "2.tif", None)


def test_no_image_at_all_says_where_was_looked(tmp_path: Path) -> None:
    folder = write_source(tmp_path, [entry("1.tif", "a")])
    with pytest.raises(UserError, match=r"none of the 1 images .*imgs/\{filename\} or .*images/\{filename\}"):
        open_source(toy_manifest(), folder)


@pytest.mark.parametrize(("most", "fewer"), [("imgs", "images"), ("images", "imgs")])
def test_the_layout_that_finds_most_images_serves_all(tmp_path: Path, most: str, fewer: str) -> None:
    images = [f"{most}/1.tif", f"{most}/2.tif", f"{fewer}/3.tif"]
    folder = write_source(tmp_path, [entry(f"{n}.tif", "a") for n in (1, 2, 3)], images)
    paths = [sample.image_path for sample in samples_of(folder)]
    assert paths == [folder / most / "1.tif", folder / most / "2.tif", None]


@pytest.mark.parametrize("layout", ["{filename}", "imgs/{filename}"])
@pytest.mark.parametrize("name", ["../secret.tif", "../../secret.tif", "x/../../secret.tif", "{root}/secret.tif"])
def test_a_name_never_leads_out_of_the_folder(tmp_path: Path, name: str, layout: str) -> None:
    (tmp_path / "secret.tif").touch()
    entries = [entry(name.format(root=tmp_path), "a"), entry("1.tif", "b")]
    folder = write_source(tmp_path / "data", entries, [layout.format(filename="1.tif")])
    manifest = toy_manifest(files={"annotations": ["dataset.json"], "images": [layout]})
    assert [sample.image_path is None for sample in samples_of(folder, manifest)] == [True, False]


def test_two_pictures_of_one_name_are_not_chosen_between(tmp_path: Path) -> None:
    images = ["imgs/1.jpg", "imgs/1.png", "imgs/2.tif"]
    folder = write_source(tmp_path, [entry("1.tif", "a"), entry("2.tif", "b")], images)
    assert samples_of(folder)[0].image_path is None


@pytest.mark.parametrize("pattern", ["imgs/{}.tif", "imgs/{}.jpg", "UCM_captions/imgs/{}.tif"])
def test_ucmerced_is_found_in_the_archive_of_its_captions(tmp_path: Path, pattern: str) -> None:
    images = [pattern.format(number) for number in (1, 101, 2100)]
    folder = write_source(tmp_path, [entry(f"{number}.tif", "a") for number in (1, 101, 2100)], images)
    samples = samples_of(folder, load_manifest("ucmerced"))
    assert [sample.image_path for sample in samples] == [folder / image for image in images]
    assert [sample.label for sample in samples] == ["agricultural", "airplane", "tenniscourt"]


@pytest.mark.parametrize("parent", ["", "Images/", "UCMerced_LandUse/Images/"])
@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_ucmerced_is_found_in_the_land_use_archive(tmp_path: Path, parent: str, suffix: str) -> None:
    names = {1: "agricultural/agricultural00", 101: "airplane/airplane00", 2100: "tenniscourt/tenniscourt99"}
    images = [f"{parent}{name}.{suffix}" for name in names.values()]
    folder = write_source(tmp_path, [entry(f"{number}.tif", "a") for number in names], images)
    samples = samples_of(folder, load_manifest("ucmerced"))
    assert [sample.image_path for sample in samples] == [folder / image for image in images]


def test_a_missing_folder_or_annotation_file_says_how_to_get_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="make it yourself"):
            open_source(toy_manifest(), folder)


def test_two_annotation_files_are_not_chosen_between(tmp_path: Path) -> None:
    write_source(tmp_path / "a", [])
    write_source(tmp_path / "b", [])
    files = {"annotations": ["*/dataset.json"], "images": ["imgs/{filename}"]}
    with pytest.raises(UserError, match=r"more than one .*: a/dataset\.json, b/dataset\.json"):
        open_source(toy_manifest(files=files), tmp_path)


def test_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no format 'parquet'; known: .*karpathy_json"):
        open_source(toy_manifest(format="parquet"), tmp_path)


@pytest.mark.parametrize(
    ("name", "num_images", "num_usable", "num_samples"), [("ucmerced", 1680, 7974, 7974), ("sydney", 7, 35, 2559)]
)
def test_real_data_gives_every_row_once_in_a_stable_order(
    real_data: Path, name: str, num_images: int, num_usable: int, num_samples: int
) -> None:
    source = open_source(load_manifest(name), real_data)
    samples = list(read_samples(source))
    assert len({sample.image_path for sample in samples if sample.image_path}) == num_images
    assert len(samples) == num_samples
    assert sum(sample.problem is None for sample in samples) == num_usable
    assert len({sample.sample_id for sample in samples}) == num_samples
    assert samples == list(read_samples(open_source(load_manifest(name), real_data)))


@pytest.mark.parametrize(("images", "num_images"), [("ucm_captions/imgs", 7), ("ucmerced_tif/Images", 3)])
def test_real_images_of_either_ucmerced_archive_are_found(
    real_data: Path, tmp_path: Path, images: str, num_images: int
) -> None:
    (tmp_path / "dataset.json").symlink_to(real_data / "ucm_captions" / "dataset_ucm.json")
    (tmp_path / Path(images).name).symlink_to(real_data / images)
    samples = read_samples(open_source(load_manifest("ucmerced"), tmp_path))
    assert len({sample.image_path for sample in samples if sample.image_path}) == num_images


@pytest.mark.parametrize("name", shipped_names("manifests"))
def test_a_shipped_manifest_loads_and_names_a_known_format(name: str) -> None:
    manifest = load_manifest(name)
    assert (manifest.name, manifest.format in formats()) == (name, True)


def test_an_unknown_key_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(FACTS | {"licence": "CC0"}))
    with pytest.raises(
        UserError, match=r"unknown key 'licence'; did you mean 'license'\? known: .*files, .*license, .*viewpoint"
    ):
        load_manifest(str(path))


def test_an_unknown_manifest_lists_the_shipped_ones() -> None:
    with pytest.raises(UserError, match=r"no manifest 'ucmercd'; did you mean 'ucmerced'\? known: .*sydney, "):
        load_manifest("ucmercd")


@pytest.mark.parametrize("content", ["{", "- a\n- b\n", "", "name: toy\n", "1: 2\n", "name: Toy Set\n", "files: 3\n"])
def test_a_broken_manifest_is_one_line_with_its_path(tmp_path: Path, content: str) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        load_manifest(str(path))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
