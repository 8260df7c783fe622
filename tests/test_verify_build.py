"""A build with `--verify` holds the claims of each text against its image, and says in the row what came of it."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build.stages import next_move
from lrs2m_builder.dataset.stats import read_stats
from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.declared.recipe import load_recipe
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import AnswerScores, Attempt, Completion, JudgedClaim, Request, Verification
from lrs2m_builder.schema import Record, Rejection
from lrs2m_builder.verify.claims import claims_of
from lrs2m_builder.verify.decide import VerifySettings, without_false
from lrs2m_builder.verify.verdicts import thresholds_for
from tests.fake_engine import FakeModule, scores_of
from tests.in_process import lrs2m
from tests.test_recipe_and_prompt import make_plan, make_sample
from tests.toy import build_toy, file_bytes, ids, make_source, rows, start_cli

TRUE = (
    "A wide field of green grass covers the scene. A grey road runs through the field. "
    "White houses stand beside the road. A long row of trees lies along the road. "
    "Small cars are parked beside the houses. A narrow path leads to the houses. "
    "Brown soil is visible between the trees."
)
FALSE = "Three ships are in the upper left."
TEXT = f"{TRUE} {FALSE}"


def says_ships_are_false(request: Request) -> AnswerScores:
    return scores_of(0.1 if "ship" in request.parts[-1].splitlines()[-1] else 0.9)


def script(text: str, corrected: str = "") -> Any:
    """Writes a text; once it is asked again with a reason, the corrected one."""

    def answer(request: Request) -> Completion:
        asked_again = "could not be used" in request.parts[-1]
        return Completion(corrected if asked_again and corrected else text, "stop", 10, 20)

    return answer


def build(tmp_path: Path, mode: str, text: str, corrected: str = "", **changes: Any) -> tuple[Path, FakeModule]:
    module = FakeModule(script(text, corrected), scores=says_ships_are_false)
    out = tmp_path / f"out-{mode}"
    checks = {"all": "off", "word_range": "error"}
    build_toy(make_source(tmp_path / "source", 3), out, module, verify=mode, checks=checks, **changes)
    return out, module


def captions_asked(module: FakeModule) -> int:
    return sum(not request.answers for request in module.requests)


def test_without_it_no_claim_is_asked_and_the_columns_are_empty(tmp_path: Path) -> None:
    out, module = build(tmp_path, "off", TEXT)
    assert all(not request.answers for request in module.requests)
    assert {(row["judge"], row["claims"], row["cut"]) for row in rows(out)} == {(None, None, None)}


def test_a_false_claim_is_a_warning_with_its_words(tmp_path: Path) -> None:
    out, module = build(tmp_path, "warn", TEXT)
    assert captions_asked(module) == 3
    for row in rows(out):
        assert row["caption_long"] == TEXT
        assert any(warning.startswith("false_claim: ") and "ships" in warning for warning in row["warnings"])
        assert row["cut"] == []


def test_a_false_sentence_is_cut_and_the_rest_stays(tmp_path: Path) -> None:
    out, module = build(tmp_path, "cut", TEXT)
    assert captions_asked(module) == 3
    for row in rows(out):
        assert row["caption_long"] == TRUE
        assert row["cut"] == [FALSE]
        (before,) = row["uncut"]
        assert (before["column"], before["text"]) == ("caption_long", TEXT)
        assert all("ship" in claim["words"] and claim["p"] < 0.11 for claim in before["false_claims"])
        assert row["judge"] == "toy-model@1"


def test_the_row_holds_every_claim_of_its_text_with_its_place_and_probability(tmp_path: Path) -> None:
    out, _ = build(tmp_path, "cut", TEXT)
    row = rows(out)[0]
    assert [claim["words"] for claim in row["claims"]] == [claim.words for claim in claims_of(TRUE)]
    for claim in row["claims"]:
        assert claim["column"] == "caption_long"
        assert claim["p"] == pytest.approx(0.9)
        assert 0 <= claim["start"] < claim["end"] <= len(row["caption_long"])


def test_a_text_with_a_false_claim_is_asked_again_with_the_reason(tmp_path: Path) -> None:
    out, module = build(tmp_path, "ask", TEXT, TRUE)
    again = [request.parts[-1] for request in module.requests if "could not be used" in request.parts[-1]]
    assert len(again) == 3
    assert all("The image does not show this: " in text and "ships" in text for text in again)
    assert {(row["caption_long"], row["attempts"], tuple(row["cut"])) for row in rows(out)} == {(TRUE, 2, ())}


def test_what_is_false_at_the_last_attempt_is_cut(tmp_path: Path) -> None:
    out, module = build(tmp_path, "ask", TEXT)
    assert captions_asked(module) == 9
    assert {(row["caption_long"], tuple(row["cut"])) for row in rows(out)} == {(TRUE, (FALSE,))}


@pytest.mark.parametrize("mode", ["ask", "cut"])
def test_a_text_of_which_too_little_is_true_is_rejected(tmp_path: Path, mode: str) -> None:
    out, module = build(tmp_path, mode, " ".join(f"Ship {number} is a long grey ship." for number in range(9)))
    assert captions_asked(module) == 9
    assert not ids(out)
    assert {row["reason"] for row in rows(out, "rejected")} == {"false_claim"}
    assert all("ship" in row["detail"] for row in rows(out, "rejected"))


@pytest.mark.parametrize("recipe", ["short_to_long", "image_to_text"])
def test_a_judge_of_another_model_gives_the_same_rows(tmp_path: Path, recipe: str) -> None:
    source = make_source(tmp_path / "source", 25)
    settings: dict[str, Any] = {"recipe": recipe, "verify": "ask", "thresholds": {"sentence": 0.06}}
    settings["checks"] = {"all": "warn"}
    own, other = FakeModule(), FakeModule()
    build_toy(source, tmp_path / "own", own, **settings)
    build_toy(source, tmp_path / "other", other, verify_model="judge", **settings)
    assert [{k: v for k, v in row.items() if k != "judge"} for row in rows(tmp_path / "own")] == [
        {k: v for k, v in row.items() if k != "judge"} for row in rows(tmp_path / "other")
    ]
    assert {row["judge"] for row in rows(tmp_path / "other")} == {"judge@1"}
    assert any(row["attempts"] > 1 for row in rows(tmp_path / "own"))
    for engine in other.engines:  # each model is asked its own part alone
        assert all(bool(request.answers) == (engine.model == "judge") for request in engine.requests)
    assert Counter(map(key, own.requests)) == Counter(map(key, other.requests)), "nothing is asked twice"


def key(request: Request) -> tuple[str, tuple[str, ...]]:
    return request.sample_id, request.parts


def test_a_pass_that_no_sample_needs_starts_no_engine(tmp_path: Path) -> None:
    module = FakeModule(script(TRUE), scores=says_ships_are_false)
    build_toy(make_source(tmp_path / "source", 3), tmp_path / "out", module, verify="ask", verify_model="judge")
    assert [engine.model for engine in module.engines] == ["toy-model", "judge"]


def test_a_verified_build_killed_several_times_ends_as_one_never_killed(tmp_path: Path) -> None:
    source, log, killed = make_source(tmp_path / "source", 40), tmp_path / "log", tmp_path / "killed"
    settings: dict[str, Any] = {"verify": "ask", "thresholds": {"sentence": 0.06}}
    build_toy(source, tmp_path / "whole", verify_model="judge", **settings)
    arguments = ("--verify", "ask", "--verify-threshold", "sentence=0.06", "--verify-model", "judge")
    random_ = random.Random(5)
    for _ in range(3):
        before = log.read_text().count("\n") if log.exists() else 0
        process = start_cli(source, killed, *arguments, log=log, delay_s=0.01)
        deadline, more = time.monotonic() + 60, random_.randint(5, 150)
        while time.monotonic() < deadline and process.poll() is None:
            if log.exists() and log.read_text().count("\n") > before + more:
                break
            time.sleep(0.002)
        process.kill()
        process.communicate()
    last = start_cli(source, killed, *arguments, log=log, delay_s=0.0)
    _, err = last.communicate(timeout=120)
    assert last.returncode == 0, err
    assert file_bytes(killed) == file_bytes(tmp_path / "whole")


def test_a_retry_judges_again_and_loses_no_row(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 30), tmp_path / "out"
    settings: dict[str, Any] = {"verify": "ask", "thresholds": {"sentence": 0.1}, "max_attempts": 1}
    first = build_toy(source, out, **settings)
    kept = ids(out)
    again = build_toy(source, out, retry_rejected=True, **settings)
    assert again.samples == first.samples == again.records + sum(again.rejections.values())
    assert again.records > first.records
    assert set(kept) <= set(ids(out))


def test_other_thresholds_are_another_build(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 3), tmp_path / "out"
    build_toy(source, out, verify="warn")
    with pytest.raises(UserError, match=r"verify.thresholds"):
        build_toy(source, out, verify="warn", thresholds={"count": 0.2})


def test_a_recipe_that_sees_no_image_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lrs2m verify"):
        build_toy(make_source(tmp_path / "source", 3), tmp_path / "out", recipe="merge", verify="cut")


def test_a_model_that_does_not_answer_yes_or_no_stops_the_build(tmp_path: Path) -> None:
    module = FakeModule(script(TRUE), scores=lambda request: scores_of(0.5, mass=0.1))
    with pytest.raises(UserError, match="yes or no"):
        build_toy(make_source(tmp_path / "source", 3), tmp_path / "out", module, verify="ask")


def test_an_error_of_the_judge_names_the_flag_that_gave_it(tmp_path: Path) -> None:
    module = FakeModule(script(TRUE), scores=lambda request: scores_of(0.5, mass=0.1))
    source = make_source(tmp_path / "source", 3)
    with pytest.raises(UserError, match=r"^--verify-model judge: only 10%"):
        build_toy(source, tmp_path / "out", module, verify="ask", verify_model="judge")
    build = ("build", "--recipe", "short_to_long", "--source", source, "--data-dir", source.parent)
    settings = ("--out", tmp_path / "none", "--engine", "transformers", "--model", tmp_path, "--verify", "cut")
    (tmp_path / "config.json").write_text("{}")
    found = lrs2m(*build, *settings, "--verify-model", tmp_path / "nowhere")
    assert found.error.startswith(f"error: --verify-model {tmp_path}/nowhere: no such folder")
    found = lrs2m(*build, *settings, "--verify-threshold", "colour=0.2")
    assert found.error.startswith("error: --verify-threshold colour=0.2: no kind of claim 'colour'")


def test_the_next_move_of_an_unjudged_answer_is_its_verification(tmp_path: Path) -> None:
    plan = replace(make_plan(load_recipe("short_to_long")), verify=VerifySettings("ask", {}, ("judge", "1")))
    sample = make_sample()
    request = next_move(plan, sample, [])
    assert isinstance(request, Request)
    answered = Attempt.answered(request, Completion(TEXT, "stop"))
    move = next_move(plan, sample, [answered])
    assert isinstance(move, Verification)
    judged = replace(answered, claims=tuple(JudgedClaim(words, 0.9) for words in move.statements))
    end = next_move(plan, sample, [judged])
    assert isinstance(end, Record | Rejection)
    assert end == next_move(plan, sample, [judged]), "the same answers give the same move"


def judge(text: str, *false: str) -> list[JudgedClaim]:
    """Verdicts by which claims with one of these words are false."""
    return [JudgedClaim(c.words, 0.1 if any(word in c.words for word in false) else 0.9) for c in claims_of(text)]


def test_a_sentence_that_leans_on_a_cut_one_goes_with_it() -> None:
    text = "A road crosses a field. Three ships lie in the water. They are white and long. A house stands there."
    judged = judge(text, "There are three ships")
    rest, cut = without_false(text, judged, {})
    assert rest == "A road crosses a field. A house stands there."
    assert cut == ("Three ships lie in the water.", "They are white and long.")


def test_a_false_claim_that_two_sentences_make_is_cut_from_both() -> None:
    text = "Two ships are visible. A road crosses a field. Two ships are visible."
    judged = judge(text, "ship", "cars")
    assert without_false(text, judged, {})[0] == "A road crosses a field."


def test_half_a_sentence_that_stays_ends_and_begins_as_a_sentence() -> None:
    text = "Three ships lie in the water; a road crosses a field; two cars are visible."
    judged = judge(text, "ship", "cars")
    assert without_false(text, judged, {})[0] == "A road crosses a field."


LISTED = "The image shows a park with one pond, two roads and five trees. The pond is on the left."


@pytest.mark.parametrize(
    ("false", "rest", "cut"),
    [
        ("There are five trees", "a park with one pond, two roads and trees. The pond is on the left.", "five trees"),
        ("There is one pond", "a park with a pond, two roads and five trees. The pond is on the left.", "one pond"),
        ("roads", "a park with one pond and five trees. The pond is on the left.", "two roads"),
        ("trees", "a park with one pond and two roads. The pond is on the left.", "five trees"),
    ],
)
def test_a_false_number_or_thing_of_a_list_leaves_the_rest_of_its_sentence(false: str, rest: str, cut: str) -> None:
    assert without_false(LISTED, judge(LISTED, false), {}) == (f"The image shows {rest}", (cut,))


@pytest.mark.parametrize(
    ("text", "false"),
    [
        ("There are two planes and a car.", "planes"),  # "there are a car"
        ("A pond lies between a road and a building.", "building"),
        ("A plane, a car and a truck are visible.", "car"),  # no list that ends the sentence
        ("The image shows a runway and two planes. They are white.", "runway"),  # "they" would be other things
    ],
)
def test_what_cannot_go_alone_takes_its_sentence_along(text: str, false: str) -> None:
    rest, cut = without_false(text, judge(text, false), {})
    assert rest == "" and cut[0] == text[: text.index(".") + 1]


def test_the_thresholds_beside_the_weights_of_a_judge_are_its_default(tmp_path: Path) -> None:
    measured = {"kinds": {"object": {"threshold": 0.3}, "count": {"threshold": 0.2}}}
    (tmp_path / "calibration.json").write_text(json.dumps(measured))
    assert thresholds_for(str(tmp_path), {})["count"] == 0.2
    assert thresholds_for(str(tmp_path), {})["sentence"] == 0, "a kind that was not measured is never false"
    assert thresholds_for(str(tmp_path), {"count": 0.4})["count"] == 0.4
    assert set(thresholds_for("some/judge", {}).values()) == {0.5}


def test_stats_and_the_viewer_show_what_was_judged_and_cut(tmp_path: Path) -> None:
    out, _ = build(tmp_path, "cut", TEXT)
    total = read_stats(out).total
    assert (total.judged, total.shortened) == (3, 3)
    data = DataSet(out)
    page = data.rows(data.select("records", {})["selection"], 0, 1)
    assert page is not None
    (shown,) = page["rows"]
    assert shown["cut"] == [FALSE]
    claims = shown["claims"]["caption_long"]["claims"]
    assert len(claims) == len(claims_of(TRUE)) and claims[0]["p"] == pytest.approx(0.9)
