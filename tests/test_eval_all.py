"""`lrs2m eval all`: data are told apart by their files, and the report puts the paper's rows beside."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lrs2m_builder.cli import app
from lrs2m_builder.clip.model import random_model
from lrs2m_builder.clip.save import save
from lrs2m_builder.commands.eval import load_model
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.paper import load_paper
from lrs2m_builder.evals.record import Result
from lrs2m_builder.evals.registry import find_evaluation, find_tests
from lrs2m_builder.evals.report import paper_rows, write_report
from tests.clip_toy import make_data

LONG = "A wide green field with a narrow road that runs from the left to the right, " * 5


def make_karpathy(folder: Path, text: str) -> Path:
    """Three images of one sentence each."""
    folder.mkdir(parents=True)
    rows = []
    for number in range(3):
        Image.new("RGB", (40, 40), (80 * number, 90, 30)).save(folder / f"{number}.png")
        rows.append({"filename": f"{number}.png", "split": "test", "sentences": [{"raw": f"{text} {number}"}]})
    (folder / "dataset.json").write_text(json.dumps({"images": rows}))
    return folder


def make_classes(folder: Path) -> Path:
    for number, name in enumerate(("Forest", "SeaLake", "River")):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), (0, 80 * number, 90)).save(folder / name / "1.png")
    return folder


def make_regions(folder: Path) -> Path:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    square = [[50, 50], [200, 50], [200, 200], [50, 200]]
    (folder / "anno.json").write_text(json.dumps([{"caption": "a", "jpg_name": "a.png", "points": [square]}]))
    return folder


def result(evaluation: str, dataset: str, num_images: int = 452, model: str = "m") -> Result:
    metrics = dict.fromkeys(find_evaluation(evaluation).metrics, 0.5)
    return Result(evaluation, dataset, model, "sha256:0", metrics, num_images, 452)


def test_a_folder_of_data_is_told_apart_by_its_files(tmp_path: Path) -> None:
    make_karpathy(tmp_path / "rsitmd-long", LONG)
    make_karpathy(tmp_path / "rsicd", "a field")
    make_classes(tmp_path / "EuroSAT")
    make_regions(tmp_path / "places")
    make_data(tmp_path / "built", 8)
    found = {(test.evaluation, test.name) for test in find_tests(str(tmp_path))}
    assert found == {
        ("zcrl", "RSITMD-L"),
        ("zcrs", "RSICD"),
        ("zic", "EuroSAT"),
        ("selo", "places"),
        ("zcrl", "built"),
        ("zcrs", "built"),
    }


def test_the_folders_of_a_lists_splits_are_no_classes(tmp_path: Path) -> None:
    make_karpathy(tmp_path / "mine", "a field")
    for split in ("train", "test"):
        (tmp_path / "mine" / split).mkdir()
        Image.new("RGB", (40, 40)).save(tmp_path / "mine" / split / "1.png")
    assert [(test.evaluation, test.name) for test in find_tests(str(tmp_path / "mine"))] == [("zcrs", "mine")]


def test_a_folder_without_data_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for path in (tmp_path, tmp_path / "x", tmp_path / "none"):
        with pytest.raises(UserError, match="give a Karpathy list, a build"):
            find_tests(str(path))


def test_rows_of_the_paper_are_of_the_same_test_and_set() -> None:
    paper = load_paper()
    assert len(paper_rows(result("zcrl", "RSITMD-L"), paper)) == 4
    assert len(paper_rows(result("zcrs", "RSITMD"), paper)) == 8
    assert len(paper_rows(result("zic", "EuroSAT"), paper)) == 10
    assert len(paper_rows(result("selo", "AIR-SLT"), paper)) == 12
    assert not paper_rows(result("zcrl", "RSITMD"), paper) and not paper_rows(result("selo", "mine"), paper)


def test_the_report_says_when_the_data_are_not_the_papers(tmp_path: Path) -> None:
    page, _ = write_report([result("zcrl", "RSITMD-L", 12)], tmp_path, pictures={})
    text = page.read_text()
    assert "the paper&#39;s RSITMD-L has 452 images: its rows are of other data" in text
    assert "mR is stated as 45.43, its cells give 46.98" in text
    assert "No data were given for: Retrieval with short texts (ZCRS)" in text


def test_the_report_has_what_guessing_reaches(tmp_path: Path) -> None:
    page, as_json = write_report([result("zcrl", "mine", 100)], tmp_path, pictures={})
    assert "<td>by chance</td><td>1.00</td><td>5.00</td><td>10.00</td>" in page.read_text()
    assert json.loads(as_json.read_text())["tests"][0]["by_chance"]["t2i_r1"] == 0.01
    assert find_evaluation("zic").by_chance(452, 452) == {"accuracy": 1 / 452}


def test_the_chance_of_an_image_is_that_of_random_orders_of_the_texts() -> None:
    found = find_evaluation("zcrs").by_chance(20, 100)
    random = np.random.default_rng(0)
    first = np.array([random.permutation(100)[:5].min() + 1 for _ in range(20_000)])  # rank of the best of an image's 5
    for k in (1, 5, 10):
        assert found[f"i2t_r{k}"] == pytest.approx((first <= k).mean(), abs=0.01)


def test_names_in_the_report_are_escaped(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    page, _ = write_report([result("zic", name, model=name)], tmp_path, pictures={})
    assert "<script" not in page.read_text()


def test_one_command_runs_all_four_tests_and_writes_the_report(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make_karpathy(data / "long", LONG)
    make_karpathy(data / "short", "a field")
    make_classes(data / "classes")
    make_regions(data / "places")
    save(random_model(), tmp_path / "model", open_clip=False)
    arguments = ["eval", "all", data, "--model", tmp_path / "model", "--out", tmp_path / "out"]
    with mock.patch("lrs2m_builder.commands.eval.load_model", wraps=load_model) as loading:
        CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert loading.call_count == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {(test["test"], test["dataset"]) for test in report["tests"]} == {
        ("zcrl", "long"),
        ("zcrs", "short"),
        ("zic", "classes"),
        ("selo", "places"),
    }
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count('src="data:image/webp') == 5 and "http" not in page.replace("http-equiv", "")
