"""Labels become true and false claims, by which a judge is measured."""

from __future__ import annotations

import json
import math
import random
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from sklearn.metrics import roc_auc_score

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import AnswerScores, Request
from lrs2m_builder.sample.world import drawn_world
from lrs2m_builder.schema import Anchor
from lrs2m_builder.sources import open_source, read_samples
from lrs2m_builder.verify.calibrate import CalibrationOptions, calibrate_judge
from lrs2m_builder.verify.calibration import JudgedLabel, auroc, calibration_error, measure, platt
from lrs2m_builder.verify.claim_set import read_claims, write_claims
from lrs2m_builder.verify.labelled import LabelledImage, labelled_claims
from lrs2m_builder.verify.verdicts import parse_thresholds, read_thresholds
from tests.fake_engine import FakeModule, scores_of


@pytest.fixture(scope="module")
def claims_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("claims") / "claims.parquet"
    write_claims(open_source(load_manifest("sample"), drawn_world()), out, per_kind=200)
    return out


def truth_of(claims_file: Path) -> dict[str, dict[str, Anchor]]:
    samples = read_samples(open_source(load_manifest("sample"), drawn_world()))
    return {sample.sample_id: {anchor.name: anchor for anchor in sample.anchors} for sample in samples}


def test_each_kind_has_as_many_false_claims_as_true_ones(claims_file: Path) -> None:
    rows = pq.read_table(claims_file, columns=["kind", "is_true"]).to_pylist()
    counts = Counter((row["kind"], row["is_true"]) for row in rows)
    assert {kind for kind, _ in counts} == {"object", "denial", "count", "place"}
    assert all(counts[kind, True] == counts[kind, False] >= 20 for kind, _ in counts)


def test_every_claim_is_as_true_as_the_labels_say(claims_file: Path) -> None:
    truth = truth_of(claims_file)
    for row in pq.read_table(claims_file).drop_columns(["image"]).to_pylist():
        anchor = truth[row["sample_id"]].get(row["name"])
        if row["kind"] == "object":
            assert row["is_true"] == (anchor is not None)
        elif row["kind"] == "denial":
            assert row["is_true"] == (anchor is None)
        else:
            assert anchor is not None, "what is counted or placed is there"
        if row["kind"] == "count" and not row["is_true"]:
            assert anchor and anchor.count and 1 <= row["off"] <= 3


def test_numbers_said_tell_nothing_of_the_truth(claims_file: Path) -> None:
    rows = [r for r in pq.read_table(claims_file).drop_columns(["image"]).to_pylist() if r["kind"] == "count"]
    numbers = {truth: Counter(row["words"].split()[2] for row in rows if row["is_true"] == truth) for truth in (0, 1)}
    shares = [numbers[1][word] / (numbers[0][word] + numbers[1][word]) for word in numbers[1] if numbers[1][word] > 8]
    assert all(0.2 < share < 0.8 for share in shares)


def test_a_place_is_claimed_only_where_no_border_is_near() -> None:
    box = (30.0, 30.0, 36.0, 36.0)  # across the border of two cells of a 100-pixel image
    images = [LabelledImage(f"s/{i}", (Anchor("ship", 1, (box,)), Anchor("car", 1)), (100, 100)) for i in range(9)]
    assert not [claim for claim in labelled_claims(images, 100) if claim.kind == "place"]


def test_nothing_is_denied_of_a_class_that_another_label_contains() -> None:
    with_car = [LabelledImage(f"a/{i}", (Anchor("car", 2), Anchor("tree", 4))) for i in range(20)]
    with_vehicle = [LabelledImage(f"b/{i}", (Anchor("vehicle", 2), Anchor("tree", 4))) for i in range(20)]
    with_ship = [LabelledImage(f"c/{i}", (Anchor("ship", 2), Anchor("tree", 4))) for i in range(20)]
    claims = labelled_claims([*with_car, *with_vehicle, *with_ship], 1000)
    false = {(claim.sample_id[0], claim.name) for claim in claims if claim.kind == "object" and not claim.is_true}
    assert false, "some class is absent"
    assert not false & {("a", "vehicle"), ("b", "car")}


def test_the_scene_prior_leaves_the_image_itself_out() -> None:
    images = [LabelledImage("s/0", (Anchor("ship", 1),), scene="harbor")]
    images += [LabelledImage(f"s/{i}", (Anchor("car", 1), Anchor("ship", 1)), scene="harbor") for i in range(1, 5)]
    claims = [claim for claim in labelled_claims(images, 100) if claim.kind == "object" and claim.name == "car"]
    assert [claim.prior for claim in claims if claim.sample_id == "s/0"] == [1.0]


def test_the_file_opens_in_datasets_and_reads_back(claims_file: Path) -> None:
    data = load_dataset("parquet", data_files=str(claims_file), split="train")
    assert data[0]["image"].size == (512, 512) or data[0]["image"].size[0] > 0
    images = list(read_claims(claims_file))
    assert sum(len(claims) for _, claims in images) == len(data)
    assert len({claims[0].sample_id for _, claims in images}) == len(images)


def test_auroc_is_that_of_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(3)
    truth, score = rng.random(500) < 0.4, rng.integers(0, 12, 500) / 12.0
    assert auroc(score, truth) == pytest.approx(roc_auc_score(truth, score))


def test_platt_scaling_finds_the_logit_that_made_the_truth() -> None:
    rng = np.random.default_rng(4)
    score = rng.uniform(0.01, 0.99, 40_000)
    truth = rng.random(40_000) < 1 / (1 + np.exp(-(0.5 * np.log(score / (1 - score)) - 1)))
    slope, intercept = platt(score, truth)
    assert (slope, intercept) == (pytest.approx(0.5, abs=0.05), pytest.approx(-1, abs=0.05))
    p = 1 / (1 + np.exp(-(slope * np.log(score / (1 - score)) + intercept)))
    assert calibration_error(p, truth) < 0.02 < calibration_error(score, truth)


def test_a_judge_that_sees_nothing_measures_one_half() -> None:
    rng = random.Random(5)
    labels = [JudgedLabel("object", str(i // 4), i % 2 == 0, rng.random(), 1.0) for i in range(4000)]
    one = measure(labels)["object"]
    assert abs(one.auroc - 0.5) < 0.03
    assert abs(one.balanced_accuracy - 0.5) < 0.03
    assert 0 < one.found < 0.03
    assert one.threshold == 0, "no claim of this kind is called false"


def test_the_chosen_threshold_calls_one_true_claim_in_a_hundred_false() -> None:
    rng = random.Random(6)
    labels = [
        JudgedLabel("count", str(i), i % 2 == 0, min(1.0, max(0.0, rng.gauss(0.3 + 0.4 * (i % 2 == 0), 0.2))))
        for i in range(4000)
    ]
    one = measure(labels)["count"]
    lost = sum(label.is_true and (label.score or 0) < one.threshold for label in labels) / 2000
    assert lost == pytest.approx(0.01, abs=0.002)
    assert one.yes_true > one.yes_false


def judge_by(rows: Path) -> FakeModule:
    """A judge that knows the truth, and errs on one claim in ten."""
    truth = {
        row["words"] + row["sample_id"]: row["is_true"]
        for row in pq.read_table(rows).drop_columns(["image"]).to_pylist()
    }

    def answer(request: Request) -> AnswerScores:
        words = request.parts[-1].splitlines()[-1].removeprefix("Statement: ")
        right = truth[words + request.sample_id] != (zlib.crc32(words.encode()) % 10 == 0)
        return scores_of(0.8 if right else 0.3)

    return FakeModule(scores=answer)


def test_a_calibration_gives_thresholds_that_a_build_and_verify_read(claims_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "calibration.json"
    options = CalibrationOptions(claims_file, out, "judge", "fake")
    measured = calibrate_judge(options, judge_by(claims_file))
    assert all(0.8 < one.auroc <= 1 for one in measured.values())
    chosen = {"sentence": 0.0, "relation": 0.0, **{kind: one.threshold for kind, one in measured.items()}}
    assert read_thresholds(out) == chosen
    assert parse_thresholds([str(out), "relation=0.2"]) == {**chosen, "relation": 0.2}
    assert json.loads(out.read_text())["judge"]["prompt"]["name"] == "verify.v1"
    assert all(not math.isnan(one.ece) for one in measured.values())


@pytest.mark.parametrize("content", ["{}", '{"kinds": {"object": {}}}', '{"kinds": {"object": {"threshold": 3}}}', "x"])
def test_another_file_is_no_calibration(tmp_path: Path, content: str) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(UserError):
        read_thresholds(tmp_path / "c.json")


def test_a_source_without_labels_is_one_line(tmp_path: Path) -> None:
    from tests.toy import make_source

    source = open_source(load_manifest(str(make_source(tmp_path, 3))), tmp_path)
    with pytest.raises(UserError, match=r"no claims can be made of the labels of 0 images .unusable: 3 no_anchors"):
        write_claims(source, tmp_path / "c.parquet", per_kind=10)
    assert not (tmp_path / "c.parquet").exists()


def test_a_file_of_something_else_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="labelled claims"):
        list(read_claims(tmp_path / "c.parquet"))
