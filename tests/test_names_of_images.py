"""An image is found by the name that another system gave it, if one file and one row can be meant; else it is said."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from lrs2m_builder.commands.sources import survey_lines
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import open_source, read_samples
from lrs2m_builder.sources._survey import survey
from tests.test_sources import toy_manifest

NFC, NFD = "Zürich_1.png", unicodedata.normalize("NFD", "Zürich_1.png")
LAYOUTS = ("images/{filename}", "{filename}")


def read(folder: Path, names: list[str], files: list[str], layouts: tuple[str, ...] = LAYOUTS) -> list[Sample]:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / file, format="PNG")
    images = [{"filename": name, "sentences": ["a road"]} for name in names]
    (folder / "dataset.json").write_text(json.dumps({"images": images}))
    manifest = toy_manifest(files={"annotations": ["dataset.json"], "images": list(layouts)})
    return list(read_samples(open_source(manifest, folder)))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        *((NFC, NFD), (NFD, NFC), (f"Füße/{NFC}".upper(), f"füsse/{NFD}")),
        (unicodedata.normalize("NFD", f"Köln/{NFC}"), f"Köln/{NFC}"),
        ("..\\..\\media\\upload\\4\\ab12cd34-tile.png", "ab12cd34-tile.png"),
        ("/data/upload/4/ab12cd34-tile.png", "tile.png"),
        ("tile.png", "ab12cd34-tile.png"),
        ("tile_png.rf.0123456789abcdef0123456789abcdef.jpg", "tile.png"),
        ("tile.png", "tile_png.rf.0123456789abcdef0123456789abcdef.jpg"),
        ("/data/local-files/?d=set%2Ftrain%2Ftile.png", "set/train/tile.png"),
        ("https://example.org/b/tile%201.png?token=a/b#part", "tile 1.png"),
        ("s3://bucket/train/tile.png", "train/tile.png"),
        ("file:///home/other/data/train/tile.png", "train/tile.png"),
        ("C:\\Users\\other\\train\\TILE.PNG", "train/tile.png"),
        ("\\\\server\\share\\tile.png", "tile.png"),
        ("/home/other/data/train/tile.tif", "train/tile.png"),
        ("./train/../tile.png", "tile.png"),
        ("Train/tile.JPG", "train/tile.png"),
        *((" tile.png ", "tile.png"), ("Köln.png", os.fsdecode("Köln.png".encode("latin-1")))),
        ("100%.png", "100%.png"),
        ("a?b.png", "a?b.png"),
    ],
)
@pytest.mark.parametrize("folder", ["", "images/"])
def test_the_name_of_another_system_is_found(tmp_path: Path, name: str, file: str, folder: str) -> None:
    (sample,) = read(tmp_path, [name], [folder + file, f"{folder}other.png"])
    assert sample.image_path == tmp_path / (folder + file)


def test_the_survey_says_which_images_are_called_otherwise(tmp_path: Path) -> None:
    read(tmp_path, ["C:\\data\\1.png", "2.png"], ["1.png", "2.png"])
    manifest = toy_manifest(files={"annotations": ["dataset.json"], "images": ["{filename}"]})
    found = survey(manifest, tmp_path)
    assert found.found_by_another_name == {"count": 1, "examples": [f"C:\\data\\1.png is {tmp_path}/1.png"]}
    assert any("renamed    1 images" in line for line in survey_lines(manifest, found))


def test_a_file_that_two_names_could_mean_is_given_to_neither(tmp_path: Path) -> None:
    first, second, third = read(tmp_path, ["/a/train/1.png", "/a/val/1.png", "/a/val/2.png"], ["1.png", "2.png"])
    assert first.image_path is None and second.image_path is None and third.image_path == tmp_path / "2.png"
    assert first.problem is not None and "1.png could also be the file of '/a/val/1.png'" in first.problem[1]


def test_folders_of_another_machine_keep_two_images_of_a_name_apart(tmp_path: Path) -> None:
    files = ["train/1.png", "val/1.png"]
    assert [sample.image_path for sample in read(tmp_path, ["/a/train/1.png", "/a/val/1.png"], files)] == [
        tmp_path / file for file in files
    ]


def test_of_two_files_that_a_name_could_mean_none_is_taken_and_both_are_said(tmp_path: Path) -> None:
    first, _ = read(tmp_path, ["C:\\1.png", "2.png"], ["a/1.png", "b/1.png", "2.png"], ("**/{basename}",))
    assert first.image_path is None and first.problem is not None
    assert "2 files could be meant: a/1.png, b/1.png" in first.problem[1]


def test_a_name_with_its_own_row_is_not_taken_for_a_longer_one(tmp_path: Path) -> None:
    longer, own = read(tmp_path, ["/a/1.png", "1.png"], ["1.png"])
    assert longer.image_path is None and own.image_path == tmp_path / "1.png"


def test_a_prefix_is_not_taken_off_where_it_tells_two_images_apart(tmp_path: Path) -> None:
    found = read(tmp_path, ["ab12cd34-1.png", "ffffffff-1.png", "2.png"], ["1.png", "2.png"])
    assert [sample.image_path is None for sample in found] == [True, True, False]


def test_the_layout_with_files_of_just_that_name_is_preferred(tmp_path: Path) -> None:
    layouts = ("thumbnails/{filename}", "images/{filename}")
    (sample,) = read(tmp_path, ["set/1.png"], ["thumbnails/1.png", "images/set/1.png"], layouts)
    assert sample.image_path == tmp_path / "images" / "set" / "1.png"


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "🛰" * 80, f"a/{'b' * 300}/1.png", "%00.png", "http://", "///"])
@pytest.mark.parametrize("layouts", [LAYOUTS, ("*/{filename}",), ("**/{basename}",)])
def test_a_name_that_no_file_can_have_is_that_rows_problem(tmp_path: Path, name: str, layouts: tuple[str, ...]) -> None:
    first, second = read(tmp_path, [name, "2.png"], ["images/2.png"], layouts)
    assert first.problem is not None and first.problem[0] == "image_missing" and second.problem is None


def test_an_image_that_is_not_found_is_said_with_its_path(tmp_path: Path) -> None:
    first, _ = read(tmp_path, ["http://x/1.png", "2.png"], ["images/2.png"])
    assert first.problem is not None
    assert first.problem[1] == "http://x/1.png: not found as images/{filename}: there is no images/x/1.png"


def test_no_image_at_all_is_said_with_a_name_its_paths_and_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, ["1.tif", "2.tif"], ["images/tile-1.png"])
    said = str(caught.value)
    assert "'1.tif'" in said and "images/1.tif, 1.tif in" in said and "holds tile-1.png" in said


def test_a_folder_that_cannot_be_listed_has_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str = ".") -> object:
        if Path(path).name == "images":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    first, second = read(tmp_path, ["1.png", "2.png"], ["images/1.png", "2.png"], ("*/{basename}", "{filename}"))
    assert first.problem is not None and second.problem is None
