"""The learned model of talk: what it was made with, what it says of unseen texts, and what a build records of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks._labelled import judge, load_cases, make_case, shipped_checks
from lrs2m_builder.checks import talk
from lrs2m_builder.checks.talk.model import shipped_model
from lrs2m_builder.checks.talk.ngrams import BUCKETS, marked_sentences, sentence_buckets
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json
from talk_training.folds import fold_of_each
from talk_training.texts import Text, read_captions, read_phrases, written_out
from tests.toy import build_toy, make_source

ROOT = Path(__file__).parent.parent
UNSEEN = ROOT / "tests" / "talk_unseen"
LONG = "A wide river bends around a town with red roofs. I'm sorry, but I cannot see the rest. Fields lie around it."


def find(check: str, text: str) -> str | None:
    return shipped_checks()[check].find(make_case({"bad": True, "text": text, "why": "test"}).answer)


def test_the_weights_take_less_than_a_megabyte() -> None:
    assert len(talk.WEIGHTS.read_bytes()) < 1_000_000


def test_a_finding_quotes_the_sentence_and_no_other() -> None:
    finding = find("refusal", LONG)
    assert finding is not None and "I cannot see the rest" in finding and "river" not in finding


def test_a_long_sentence_is_quoted_by_its_beginning() -> None:
    finding = find("refusal", f"I'm sorry, but I cannot see {'the image that you sent and ' * 9}more.")
    assert finding is not None and " ..." in finding and len(finding) < 250


@pytest.mark.parametrize("text", ["", " ", "…", '"', "森林", "a" * 20_000, "1 2 3"])
def test_a_text_without_talk_or_words_is_no_talk(text: str) -> None:
    assert [find(check, text) for check in talk.NAMES] == [None] * len(talk.NAMES)


@pytest.mark.parametrize("text", [LONG, "Sure! Here is one. A road.", '"Two ponds" it says.'])
def test_judging_adds_up_the_buckets_that_training_counts(text: str) -> None:
    model = shipped_model()
    sentences, scores = model.score(text)
    for words, score in zip(marked_sentences(text)[1], scores, strict=True):
        whole = model.weights[sentence_buckets(words)].sum(axis=0) + model.bias
        assert score == pytest.approx(whole, abs=1e-4)
    assert len(sentences) == len(scores) and model.weights.shape == (BUCKETS, len(talk.NAMES))


@pytest.mark.parametrize("check", talk.NAMES)
def test_the_page_of_checks_says_what_the_model_does_with_unseen_texts(check: str) -> None:
    score = judge(shipped_checks()[check], load_cases(UNSEEN / f"{check}.jsonl"))
    page = (ROOT / "docs" / "checks.md").read_text()
    (row,) = re.findall(rf"^\| `{check}` \| .* \| ([\d.]+) / ([\d.]+) \|$", page, re.MULTILINE)
    assert row == (f"{score.precision:.3f}", f"{score.recall:.3f}")


def test_a_resumed_build_says_that_the_model_of_talk_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(tmp_path / "source", 2)
    build_toy(source, tmp_path / "out")
    assert read_json(tmp_path / "out" / "build.json")["settings"]["talk_weights"] == talk.weights_sha256()
    monkeypatch.setattr(talk, "weights_sha256", lambda: "another")
    with pytest.raises(UserError, match=r"talk_weights was .*, now another.*--restart"):
        build_toy(source, tmp_path / "out")


def test_near_copies_are_in_one_fold() -> None:
    text = "Three white planes stand in a row beside the long grey terminal of an airport."
    copies = [text, text.replace("Three", "Four"), f"Sure! {text}", text.upper()]
    others = [f"A {color} roof covers hall number {color} in {color} light." for color in ("red", "blue", "pale")]
    assert len(set(fold_of_each([*others, *copies])[len(others) :])) == 1


def test_a_phrase_gives_the_same_texts_each_time() -> None:
    line = "A (red|blue|green) (hall|roof) lies (here|there)."
    assert written_out(line, 5) == written_out(line, 5)
    assert len(set(written_out(line, 5))) == 5 and written_out("A road.", 5) == ["A road."]


def test_every_phrase_is_written_out_and_none_is_an_unseen_text() -> None:
    phrases = read_phrases([])
    assert {text.kind for text in phrases} == set(talk.NAMES) and not any("|" in text.text for text in phrases)
    unseen = {case.answer.text.lower() for path in UNSEEN.glob("*.jsonl") for case in load_cases(path)}
    assert not unseen & {text.text.lower() for text in phrases}


def test_a_text_says_nothing_of_a_check_it_was_not_labelled_for() -> None:
    assert Text("Sure!", "preamble", True, "case").label_for("refusal") is None
    assert Text("A pond.", "preamble", False, "case").label_for("refusal") is False
    assert Text("It may be a pond.", "preamble", False, "case").label_for("hedge") is None


def test_training_without_captions_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LRS2M_REAL_DATA", raising=False)
    with pytest.raises(SystemExit, match="LRS2M_REAL_DATA"):
        read_captions()
