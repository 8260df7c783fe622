"""`lrs2m score`: the evaluation's own similarities, ranks among texts of other images, and what is missing is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.clip.encode import encode_images, encode_texts
from lrs2m_builder.clip.model import load
from lrs2m_builder.dataset.scores.clip import ClipOptions, names_sides, score_clip
from lrs2m_builder.dataset.scores.others import rank_among
from lrs2m_builder.dataset.scores.table import RowScores
from lrs2m_builder.dataset.scores.write import ScoreShard
from lrs2m_builder.files import read_json, write_json
from lrs2m_builder.schema import ImageBytes
from tests.clip_toy import COLOURS, png
from tests.eval_models import tiny_model
from tests.export_data import row, write_rows
from tests.in_process import lrs2m

LONG = "A field with {} tanks lies beside a road."


def toy_rows(number: int = 12) -> list[dict[str, Any]]:
    return [
        row(
            n,
            image={"bytes": png(n), "path": f"{n}.png"},
            image_sha256=f"{n:064x}",
            caption_short=f"A {COLOURS[n % 8]} field.",
            caption_long=LONG.format(n),
        )
        for n in range(number)
    ]


def write_set(folder: Path, rows: list[dict[str, Any]], per_shard: int = 6) -> Path:
    write_json(folder / "build.json", {"settings": {"recipe": "toy"}})
    for index in range(0, len(rows), per_shard):
        path = folder / "data" / "a" / f"train-{index // per_shard:05d}.parquet"
        write_rows(path, rows[index : index + per_shard])
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


def score(folder: Path, model: Path | str, *words: str) -> dict[str, Any]:
    found = lrs2m("score", folder, "--model", model, "--json", *words)
    assert found.code == 0, found.err
    result: dict[str, Any] = json.loads(found.out)
    return result


def refused(folder: Path, model: Path | str, *words: str) -> str:
    found = lrs2m("score", folder, "--model", model, *words)
    assert found.code == 2 and not found.out, (found.out, found.err)
    assert len(found.err.strip().splitlines()) == 1, found.err
    return str(found.err)


def table(folder: Path, name: str = "clip") -> list[dict[str, Any]]:
    files = sorted((folder / "scores" / name / "a").glob("*.parquet"))
    return [each for file in files for each in pq.read_table(file).to_pylist()]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    rows = toy_rows()
    rows[3]["caption_long"] = rows[2]["caption_long"]
    rows[4]["caption_short"] = ""
    rows[5]["caption_long"] = "The ship is in the upper left corner."
    rows[6]["caption_long"] = " ".join(["word"] * 300)
    folder = write_set(tmp_path_factory.mktemp("scored"), rows)
    assert score(folder, model, "--rotations")["scored"] == 12
    return folder


def test_a_cosine_is_the_evaluations_own_similarity(scored: Path, model: Path) -> None:
    loaded = load(str(model), context_length=None)
    rows = [each for file in sorted((scored / "data" / "a").iterdir()) for each in pq.read_table(file).to_pylist()]
    images = encode_images(loaded, [ImageBytes(each["image"]["bytes"]) for each in rows], show_progress=False)
    texts = encode_texts(loaded, [each["caption_long"] for each in rows], show_progress=False)
    own = [each["long_cosine"] for each in table(scored)]
    assert np.abs(np.array(own) - np.diag(images @ texts.T)).max() < 1e-6


def test_a_rank_is_where_the_text_stands_among_texts_of_other_images(scored: Path, model: Path) -> None:
    loaded = load(str(model), context_length=None)
    rows = [each for file in sorted((scored / "data" / "a").iterdir()) for each in pq.read_table(file).to_pylist()]
    image = encode_images(loaded, [ImageBytes(rows[2]["image"]["bytes"])], show_progress=False)[0].astype(float)
    others = {each["caption_long"] for each in rows} - {rows[2]["caption_long"]}
    features = encode_texts(loaded, [rows[2]["caption_long"], *others], show_progress=False).astype(float)
    similar = features @ image
    expected = (1 + (similar[1:] > similar[0]).sum() - 0.5) / len(similar)
    assert table(scored)[2]["long_rank"] == pytest.approx(expected)


def test_ties_count_half_and_texts_of_the_same_image_not_at_all() -> None:
    others, are_other = np.array([0.9, 0.5, 0.5, 0.1, 0.99]), np.array([True, True, True, True, False])
    assert rank_among(np.float64(0.5), others, are_other) == (1 + 2 / 2 + 0.5) / 5
    assert rank_among(np.float64(0.5), others, ~(are_other | True)) is None


def test_an_empty_text_has_no_score_and_is_not_asked_again(scored: Path, model: Path) -> None:
    assert table(scored)[4]["short_cosine"] is None and table(scored)[4]["long_cosine"] is not None
    assert score(scored, model, "--rotations") == {
        **{"name": "clip", "rows": 12, "known": 12, "scored": 0, "num_missing": 0, "examples": []}
    }


def test_a_text_that_names_sides_has_no_agreement_over_turns(scored: Path) -> None:
    rows = table(scored)
    assert rows[5]["long_rotation_mean"] is None and rows[5]["short_rotation_mean"] is not None
    assert rows[0]["long_rotation_mean"] == pytest.approx(rows[0]["long_cosine"], abs=0.2)
    assert rows[0]["long_rotation_spread"] >= 0


def test_a_text_longer_than_the_context_is_marked(scored: Path) -> None:
    assert [each["long_cut"] for each in table(scored)] == [number == 6 for number in range(12)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Planes in the upper left corner.", True),
        ("A church north of the river.", True),
        ("A bridge above the river.", True),
        ("A harbor seen from above.", False),
        ("Three storage tanks beside a road.", False),
    ],
)
def test_sides_are_read_from_words(text: str, expected: bool) -> None:
    assert names_sides(text) is expected


def test_score_json_says_what_decided_the_scores(scored: Path) -> None:
    settings = read_json(scored / "scores" / "clip" / "score.json")["settings"]
    assert (settings["model"], settings["context_length"], settings["rank_among"]) == ("tiny", 248, 1000)
    assert settings["revision"].startswith("sha256:")


def test_other_settings_under_the_same_name_are_refused(scored: Path, model: Path) -> None:
    said = refused(scored, model)
    assert "settings.rotations was True, now False" in said and "--name" in said


def test_a_corrected_text_is_scored_again_among_the_same_texts(tmp_path: Path, model: Path) -> None:
    rows = toy_rows()
    score(write_set(tmp_path, rows), model, "--texts", "long")
    before = table(tmp_path)
    rows[7]["caption_long"] = "Another text."
    write_set(tmp_path, rows)
    assert score(tmp_path, model, "--texts", "long")["scored"] == 1
    changed = [number for number, each in enumerate(table(tmp_path)) if each != before[number]]
    assert changed == [7] and "short_cosine" not in before[0]


def test_images_that_rows_only_name_are_read_from_a_folder(tmp_path: Path, model: Path, scored: Path) -> None:
    rows = toy_rows()
    (tmp_path / "images").mkdir()
    for number, each in enumerate(rows):
        if number not in {3, 9}:
            (tmp_path / "images" / each["image"]["path"]).write_bytes(each["image"]["bytes"])
        each["image"]["bytes"] = None
    folder = write_set(tmp_path / "out", rows)
    assert "no image can be read, such as a/0 (image_missing" in refused(folder, model)
    report = score(folder, model, "--images", str(tmp_path / "images"))
    assert (report["scored"], report["num_missing"]) == (10, 2)
    assert [example.split()[0] for example in report["examples"]] == ["a/3", "a/9"]
    assert table(folder)[0]["short_cosine"] == pytest.approx(table(scored)[0]["short_cosine"], abs=1e-6)
    (tmp_path / "images" / "3.png").write_bytes(png(3))
    assert score(folder, model, "--images", str(tmp_path / "images"))["scored"] == 1


def test_a_model_that_was_trained_on_the_data_set_is_refused(tmp_path: Path, model: Path) -> None:
    folder = write_set(tmp_path / "out", toy_rows(2))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model").symlink_to(model)
    write_json(tmp_path / "run" / "config.json", {"data": [str(folder)], "config": {}})
    assert "was trained on" in refused(folder, tmp_path / "run")
    score(folder, tmp_path / "run", "--allow-leak")
    assert read_json(folder / "scores" / "clip" / "score.json")["notes"]["trained_on"] == [str(folder)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--texts", "medium"], "--texts medium: give long, short or long,short"),
        (["--name", "Bad Name"], "--name 'Bad Name'"),
        (["--rank-among", "0"], "--rank-among"),
    ],
)
def test_bad_settings_are_one_line(scored: Path, model: Path, words: list[str], said: str) -> None:
    assert said in refused(scored, model, *words)


def test_a_model_that_is_not_there_is_one_line(scored: Path) -> None:
    assert "no model 'nothing'" in refused(scored, "nothing")


def test_a_folder_without_data_is_one_line(tmp_path: Path, model: Path) -> None:
    assert "no Parquet files" in refused(tmp_path, model)


def test_torn_texts_of_other_images_are_one_line(tmp_path: Path, model: Path) -> None:
    score(write_set(tmp_path, toy_rows(2)), model)
    (tmp_path / "scores" / "clip" / "others.json").write_text('{"long": 7}')
    assert "others.json: holds no texts" in refused(tmp_path, model)


def test_an_interrupted_run_ends_with_the_tables_of_an_undisturbed_one(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, torn = (write_set(tmp_path / name, toy_rows(42), 21) for name in ("whole", "torn"))
    keep = ScoreShard.keep

    def stop_at_the_fifth(shard: ScoreShard, answers: list[RowScores]) -> None:
        if answers[0].sample_id == "a/28":
            raise KeyboardInterrupt
        keep(shard, answers)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ScoreShard, "keep", stop_at_the_fifth)
        score_clip(torn, load(str(model), context_length=None), ClipOptions(), print, notes={})
    assert score(torn, model)["known"] == 28 and score(whole, model)["scored"] == 42
    assert _files(torn) == _files(whole)


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "scores" / "clip" / "a").iterdir()}
