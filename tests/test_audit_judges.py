"""`lrs2m audit --judges A,B`: the verdicts of two judges on one data set, claim by claim."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.audit.judges import ALL, Agreement, compare_judges
from lrs2m_builder.dataset.reviews import Reviews
from lrs2m_builder.exchange import AnswerScores, Request
from lrs2m_builder.verify.calibration import auroc
from tests.fake_engine import FakeModule, hashed_scores, scores_of
from tests.in_process import lrs2m
from tests.test_verify import data_set, judged, tables


def other_scores(request: Request) -> AnswerScores:
    """A judge that agrees with `hashed_scores`, but for what stands on the left."""
    return scores_of(0.02) if "left" in request.parts[-1] else hashed_scores(request)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = data_set(tmp_path_factory.mktemp("judges"))
    judged(folder)
    judged(folder, FakeModule(scores=other_scores), name="other", model="other-model")
    return folder


def test_agreement_kappa_and_auroc_are_those_of_the_claims(both: Path) -> None:
    found = compare_judges(both, ("verify", "other"))
    one, two = tables(both, "claims"), tables(both, "claims", "other")
    a, b = (np.array([claim["is_false"] for claim in claims]) for claims in (one, two))
    whole = found.kinds[0]
    assert (whole.kind, whole.claims, whole.both_false) == (ALL, len(one), int((a & b).sum()))
    assert (whole.first_false, whole.second_false) == (int((a & ~b).sum()), int((b & ~a).sum()))
    chance = a.mean() * b.mean() + (~a).mean() * (~b).mean()
    assert whole.kappa == pytest.approx(((a == b).mean() - chance) / (1 - chance))
    scores = np.array([claim["score"] for claim in one])
    assert whole.aurocs[0] == pytest.approx(auroc(scores, ~b), abs=1e-4)
    by_kind = {each.kind: each for each in found.kinds}
    assert by_kind["object"].agreement == 1 and by_kind["place"].agreement < 1
    assert {each.kind for each in found.differences[:3]} == {"place"} and found.only == (0, 0)
    assert found.models == ("toy", "other-model")


def test_a_judge_that_calls_nothing_false_has_no_kappa() -> None:
    assert Agreement("object", 5, 0, 0, 0, (None, None)).kappa is None
    assert math.isclose(Agreement("object", 40, 10, 10, 40, (None, None)).kappa or 0, 0.6)


def test_reviews_of_people_are_a_truth(both: Path, tmp_path: Path) -> None:
    shutil.copytree(both, tmp_path / "set")
    rows = sorted(tables(both), key=lambda row: min(row["long_min"], row["short_min"]))
    reviews = Reviews(tmp_path / "set" / "reviews.jsonl")
    for number, row in enumerate(rows[:3] + rows[-3:]):
        reviews.save(row["sample_id"], "accept" if number > 2 else "flag", "")
    found = compare_judges(tmp_path / "set", ("verify", "other"))
    assert found.reviewed == (3, 3) and found.review_aurocs[0] == 1.0


def test_the_command_prints_the_comparison_and_the_report_shows_it(both: Path, tmp_path: Path) -> None:
    found = lrs2m("audit", both, "--judges", "verify,other", "--out", tmp_path / "audit")
    assert found.code == 0, found.err
    number = len(tables(both, "claims"))
    assert f"judges verify and other: {number} claims answered by both, 0 by verify alone" in found.out
    page = (tmp_path / "audit" / "report.html").read_text()
    assert 'id="judges"' in page and "other-model" in page
    content = json.loads((tmp_path / "audit" / "audit.json").read_text())["judges"]
    assert content["kinds"][0]["claims"] == number and 0 < content["kinds"][0]["kappa"] < 1


def clip_scores(folder: Path) -> None:
    path = folder / "scores" / "clip" / "score.json"
    path.parent.mkdir()
    path.write_text('{"kind": "clip", "columns": {}}')


def torn(folder: Path) -> None:
    path = folder / "scores" / "other" / "claims" / "a" / "train-00000.parquet"
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("given", "harm", "message"),
    [
        ("verify", None, "--judges verify: give the names of two scores"),
        ("verify,verify", None, "--judges verify,verify: give the names of two scores"),
        ("verify,othr", None, "no scores 'othr' beside .*did you mean 'other'"),
        ("verify,clip", clip_scores, "--judges clip: these scores have no claims"),
        ("verify,other", torn, "train-00000.parquet: cannot be read"),
        ("verify,other", lambda folder: shutil.rmtree(folder / "scores" / "other" / "claims"), "no shard is finished"),
        ("verify,other", lambda folder: shutil.rmtree(folder / "scores"), "no scores 'verify' beside"),
        ("verify,other", lambda folder: shutil.rmtree(folder / "data"), "no Parquet files"),
    ],
)
def test_what_cannot_be_compared_is_one_line(both: Path, tmp_path: Path, given: str, harm: Any, message: str) -> None:
    folder = tmp_path / "set"
    shutil.copytree(both, folder)
    if harm:
        harm(folder)
    found = lrs2m("audit", folder, "--judges", given)
    assert re.search(message, found.error), found.error
    assert not (folder / "audit" / "audit.json").exists()


def test_judges_of_other_claims_have_nothing_in_common(both: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(both, folder)
    for path in (folder / "scores" / "other" / "claims").rglob("*.parquet"):
        table = pq.read_table(path)
        words = [f"{each} Or not." for each in table["words"].to_pylist()]
        pq.write_table(table.set_column(table.schema.get_field_index("words"), "words", [words]), path)
    assert "no claim was answered by both" in lrs2m("audit", folder, "--judges", "verify,other").error
