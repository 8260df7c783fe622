"""Classes are named as the protocol says, real folders are classified, and leaks are refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrs2m_builder.clip.encode import encode_images, encode_texts
from lrs2m_builder.clip.model import random_model
from lrs2m_builder.dataset.audit.collect import Collection
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.classes import ClassSet, class_numbers, class_sets, find_list, templates, words
from lrs2m_builder.evals.classification import Classification, class_table, encode_classes, evaluate
from lrs2m_builder.evals.data import Columns, EvalImage, fingerprint, read_images
from lrs2m_builder.evals.leakage import find_leaks, training_data
from tests.clip_toy import write_table
from tests.eval_models import evaluated, lrs2m_eval, refused, tiny_model


def test_the_lists_of_the_paper_have_their_numbers_of_classes() -> None:
    paper = {name: each for name, each in class_sets().items() if each.images}
    assert {name: (len(each.classes), each.images) for name, each in paper.items()} == {
        "resisc45": (45, 31500),
        "eurosat": (10, 27000),
        "patternnet": (38, 30400),
        "whu-rs19": (19, 1005),
        "optimal-31": (31, 1860),
        "rs-c11": (11, 1232),
    }
    for each in class_sets().values():
        assert len(set(each.classes)) == len(each.classes)
        assert all(name == words(name) for name in each.classes)
        assert set((each.aliases or {}).values()) <= set(each.classes)
    missing = set(paper["resisc45"].classes) - set(paper["optimal-31"].classes)
    assert len(missing) == 14 and {"cloud", "palace", "wetland"} <= missing
    assert templates()["paper"] == ("a satellite photo of {class_name}",)


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("AnnualCrop", "annual crop"),
        ("baseball_diamond", "baseball diamond"),
        ("oil/gas field", "oil gas field"),
        ("footballField", "football field"),
        ("ground-track-field", "ground track field"),
    ],
)
def test_a_label_is_said_in_words(label: str, written: str) -> None:
    assert words(label) == written


@pytest.mark.parametrize(
    ("folder", "name", "num_classes"),
    [("ucmerced_jpg", "ucmerced", 21), ("aid_150", "aid", 30), ("rsscn7", "rsscn7", 7)],
)
def test_every_real_folder_has_its_class_in_the_list(real_data: Path, folder: str, name: str, num_classes: int) -> None:
    images = read_images(str(real_data / folder), Columns(label=("label",)))
    classes, numbers = class_numbers(images, class_sets()[name])
    assert len(classes) == num_classes and set(numbers.tolist()) == set(range(num_classes))
    assert find_list(image.label for image in images) == name


def test_a_part_of_a_list_is_another_set_of_classes() -> None:
    eurosat = ["AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop"]
    assert find_list([*eurosat, "Residential", "River", "SeaLake"]) == "eurosat"
    assert find_list([*eurosat, "Residential", "River"]) is None


def test_a_label_that_is_no_class_is_named() -> None:
    images = [EvalImage("a", Path("a.png"), label="moon")]
    with pytest.raises(UserError, match="no such class in EuroSAT: moon; it has annual crop"):
        class_numbers(images, class_sets()["eurosat"])


def test_an_image_is_given_the_class_whose_text_is_nearest(real_data: Path) -> None:
    loaded = random_model(context_length=77)
    images = read_images(str(real_data / "rsscn7"), Columns(label=("label",)))[::9]
    lines = templates()["rs"]
    found = evaluate(loaded, images, class_sets()["rsscn7"], lines, show_progress=False)
    pixels = encode_images(loaded, [each.image for each in images], show_progress=False)
    texts = [
        encode_texts(loaded, [line.replace("{class_name}", name) for line in lines], show_progress=False)
        for name in class_sets()["rsscn7"].classes
    ]
    means = np.stack([each.mean(axis=0) / np.linalg.norm(each.mean(axis=0)) for each in texts])
    assert np.abs(encode_classes(loaded, found.classes, lines) - means).max() < 1e-5
    said = (pixels @ means.T).argmax(axis=1)
    truth = class_numbers(images, class_sets()["rsscn7"])[1]
    assert found.accuracy == (said == truth).mean()
    assert found.confusion.sum() == len(images)
    assert (found.confusion.sum(axis=0) == np.bincount(said, minlength=7)).all()


def test_the_table_says_what_a_class_was_taken_for() -> None:
    confusion = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    found = Classification(5 / 8, (0.3, 0.9), ("a", "b", "c"), confusion)
    assert class_table(found) == [
        {"class": "a", "images": 4, "accuracy": 0.75, "said": 3, "confused_with": "b", "confused": 1},
        {"class": "c", "images": 4, "accuracy": 0.5, "said": 2, "confused_with": "b", "confused": 2},
    ]


def test_a_folder_is_classified_and_drawn(tmp_path: Path, real_data: Path) -> None:
    out = tmp_path / "out"
    words_ = ["zic", real_data / "rsscn7", "--classes", "rsscn7", "--model", tiny_model(tmp_path), "--out", out]
    found = evaluated(*words_)
    assert (found["num_images"], found["num_texts"], found["dataset"]) == (126, 7, "RSSCN7")
    assert found["metrics"].keys() == {"accuracy"}
    pictures = {path.suffix for path in out.iterdir()}
    assert pictures == {".json", ".png", ".svg"}
    with Image.open(next(out.glob("*.png"))) as picture:
        assert picture.width > 500 and len(set(picture.convert("L").tobytes())) > 20


def test_wrong_settings_are_one_line(tmp_path: Path, real_data: Path) -> None:
    model = tiny_model(tmp_path)
    data = real_data / "rsscn7"
    assert "no such list; known: resisc45" in refused("zic", data, "--classes", "moon", "--model", model)
    assert "{class_name} in it" in refused("zic", data, "--templates", "a photo", "--model", model)
    assert "moon: no such file or folder" in refused("zic", "moon", "--model", model)


def jpeg(file: Path, quality: int, flip: bool) -> bytes:
    buffer = io.BytesIO()
    with Image.open(file) as image:
        picture = image.convert("RGB")
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else picture
        picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def training_set(folder: Path, files: list[Path], *, flip: bool = False) -> Path:
    rows = [
        {"image": {"bytes": jpeg(file, 60, flip), "path": file.name}, "caption_short": "x.", "caption_long": "x. y."}
        for file in files
    ]
    write_table(folder / "data" / "toy" / "train-00000.parquet", rows)
    return folder


def test_copies_of_evaluation_images_in_the_training_data_are_found(tmp_path: Path, real_data: Path) -> None:
    """At another quality and mirrored; other images of the same class are none."""
    files = sorted((real_data / "aid_150" / "Airport").glob("*.jpg"))
    data = training_set(tmp_path / "data", files[:12], flip=True)
    found = find_leaks(files[10:30], [data])
    assert (found.leaked, found.training_images) == (2, 12)
    assert {Path(mine).name for mine, _ in found.examples} == {file.name for file in files[10:12]}
    assert find_leaks(files[12:30], [data]).leaked == 0


def test_training_images_are_hashed_once_for_many_evaluations(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((real_data / "aid_150" / "Airport").glob("*.jpg"))
    data, cache = training_set(tmp_path / "data", files[:8], flip=True), tmp_path / "cache"
    first = find_leaks(files[6:12], [data], cache=cache)
    monkeypatch.setattr(Collection, "add_records", None)  # not called again
    assert find_leaks(files[6:12], [data], cache=cache) == first and first.leaked == 2
    assert find_leaks(files[8:12], [data], cache=cache).leaked == 0
    monkeypatch.undo()
    (kept,) = cache.iterdir()
    (kept / "images.json").write_text("{")  # damaged: made again
    assert find_leaks(files[6:12], [data], cache=cache) == first
    training_set(data, files[8:10])
    assert find_leaks(files[6:12], [data], cache=cache).leaked == 2  # other data, hashed anew
    assert len(list(cache.iterdir())) == 2


def test_a_runs_training_data_are_known_and_those_of_its_start(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for run, start, data in ((first, "random", "A"), (second, str(first / "model"), "B")):
        (run / "model").mkdir(parents=True)
        (run / "config.json").write_text(json.dumps({"config": {"start": start}, "data": [data]}))
        (run / "model" / "config.json").write_text("{}")
    assert training_data(str(second)) == training_data(str(second / "model")) == [Path("B"), Path("A")]
    assert training_data("openai/clip-vit-base-patch16") == []


def test_a_score_on_training_images_is_refused_unless_it_is_allowed(tmp_path: Path, real_data: Path) -> None:
    folder = real_data / "rsscn7"
    data = training_set(tmp_path / "data", sorted(folder.rglob("*.jpg"))[:3])
    command = ["zic", folder, "--classes", "rsscn7", "--model", tiny_model(tmp_path), "--trained-on", data]
    line = refused(*command)
    assert "3 of 126 evaluation images are in the training data" in line and "--allow-leak" in line
    found = evaluated(*command, "--allow-leak")
    assert found["settings"]["leakage"]["allow_leak"] is True
    assert found["settings"]["leakage"]["leaked"] == 3
    assert "not zero-shot: 3 evaluation images" in lrs2m_eval(*command, "--allow-leak").stdout


def test_a_fingerprint_changes_with_a_text_a_class_and_a_pixel(tmp_path: Path) -> None:
    for name, grey in (("a", 1), ("b", 2)):
        Image.new("L", (4, 4), grey).save(tmp_path / f"{name}.png")
    one = EvalImage("x", tmp_path / "a.png", ("t",), "c")
    others = [
        EvalImage("x", tmp_path / "b.png", ("t",), "c"),
        EvalImage("x", tmp_path / "a.png", ("u",), "c"),
        EvalImage("x", tmp_path / "a.png", ("t",), "d"),
    ]
    assert len({fingerprint([each])["sha256"] for each in (one, *others)}) == 4


def test_a_list_of_ones_own_takes_the_words_of_the_folders() -> None:
    images = [EvalImage(name, Path(name), label=name) for name in ("SeaLake", "river", "SeaLake")]
    classes, numbers = class_numbers(images, None)
    assert classes == ("river", "sea lake") and numbers.tolist() == [1, 0, 1]
    known = ClassSet("two", ("lake", "river"), aliases={"sea lake": "lake"})
    assert class_numbers(images, known)[1].tolist() == [0, 1, 0]
