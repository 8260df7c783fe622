"""A judge's probabilities: of the right tokens, of all of the answer, and refused where they say nothing."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from lrs2m_builder.engines._answer_tokens import answer_tokens, log_sum, spellings
from lrs2m_builder.engines._thoughts import opens_thought, with_closed_thought
from lrs2m_builder.engines.vllm import _engine_arguments
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import AnswerScores, Request
from lrs2m_builder.verify.claims import Claim
from lrs2m_builder.verify.judge import Judge, Verdict, check_engine_options, check_tried, judge_options, verdict_of
from lrs2m_builder.verify.verdicts import TextVerdict, parse_thresholds, text_verdict
from tests.fake_engine import FakeEngine, scores_of

YES_NO = ("yes", "no")
IMAGE = Image.new("RGB", (32, 32))


def engine(**how: Any) -> FakeEngine:
    fake = FakeEngine("toy", lambda request: None, None, 0.0, how.pop("max_in_flight", 4))  # type: ignore[arg-type,return-value]
    fake.score_script = how.pop("scores", lambda request: scores_of(0.9))
    return fake


def tokens_by(pieces: dict[str, list[str]], rest: str = "") -> tuple[set[str], ...]:
    """The pieces chosen for yes and for no of a tokenizer that cuts these texts so, and others into `rest`."""
    every = sorted({piece for cut in pieces.values() for piece in cut} | set(rest) | {"\n", " "})
    texts = dict(enumerate(every))
    numbers = {text: number for number, text in texts.items()}

    def cut(text: str) -> list[int]:
        if text in pieces:
            return [numbers[piece] for piece in pieces[text]]
        return [numbers[letter] for letter in text if letter in numbers]

    sides = answer_tokens(YES_NO, {text: cut(text) for text in spellings(YES_NO)}, texts)
    return tuple({texts[token] for token in side} for side in sides)


def test_every_spelling_of_an_answer_counts_by_its_first_token() -> None:
    bpe = {text: [text] for text in ("yes", "Yes", " yes", " Yes", "no", "No", " no", "NO")} | {"YES": ["Y", "ES"]}
    assert tokens_by(bpe, "\n") == ({"yes", "Yes", " yes", " Yes"}, {"no", "No", " no", "NO"})


def test_a_word_behind_a_line_break_may_begin_with_a_token_of_its_own() -> None:
    marked = {"yes": ["▁yes"], "\nyes": ["\n", "yes"], "no": ["▁no"], "\nno": ["\n", "no"]}
    assert tokens_by(marked) == ({"▁yes", "yes"}, {"▁no", "no"})


def test_a_single_letter_counts_only_where_the_tokenizer_has_nothing_longer() -> None:
    assert tokens_by({"Yes": ["Y", "es"], "yes": ["yes"], "No": ["N", "o"]}) == ({"yes"}, {"N"})


def test_answers_that_begin_alike_are_refused() -> None:
    with pytest.raises(UserError, match="begins 'yes' with the same token as 'no'"):
        tokens_by({}, "")


def test_probabilities_of_several_tokens_add_up() -> None:
    assert log_sum([math.log(0.25), math.log(0.5)]) == pytest.approx(math.log(0.75))
    assert log_sum([-math.inf, math.log(0.5)]) == pytest.approx(math.log(0.5))
    assert log_sum([-math.inf]) == -math.inf
    assert log_sum([math.nan]) is None and log_sum([]) is None


@pytest.mark.parametrize(
    ("prompt", "closed"),
    [
        ("<|im_start|>assistant\n<think>\n", "<|im_start|>assistant\n<think>\n</think>\n\n"),
        ("[THINK]", "[THINK]\n[/THINK]\n\n"),
        ("<|START_THINKING|>", "<|START_THINKING|>\n<|END_THINKING|>\n\n"),
        ("<unused94>thought\n", "<unused94>thought\n<unused95>\n\n"),
        ("<|im_start|>assistant\n", "<|im_start|>assistant\n"),
    ],
)
def test_a_thought_that_a_template_opens_is_closed_before_a_judge_answers(prompt: str, closed: str) -> None:
    assert with_closed_thought(prompt) == closed
    assert opens_thought(closed) is None


def test_the_first_claim_goes_ahead_of_the_others() -> None:
    in_flight, most_before_first = [0], [0]
    fake = engine(max_in_flight=8)
    answered = asyncio.Event()

    async def score(request: Request, image: Image.Image | None) -> AnswerScores:
        in_flight[0] += 1
        if not answered.is_set():
            await asyncio.sleep(0)
            most_before_first[0] = max(most_before_first[0], in_flight[0])
            answered.set()
        return scores_of(0.9)

    fake.score = score  # type: ignore[method-assign]
    verdicts = asyncio.run(Judge(fake).ask("a/1", IMAGE, [f"There is a road {i}." for i in range(5)]))
    assert len(verdicts) == 5 and most_before_first == [1]


def test_the_image_and_the_instruction_come_before_the_claim() -> None:
    fake = engine()
    asyncio.run(Judge(fake).ask("a/1", IMAGE, ["There is a road.", "There is a pond."]))
    first, second = fake.requests
    assert first.parts[0] == "" and first.answers == YES_NO and first.request_id != second.request_id
    assert first.parts[1].removesuffix("There is a road.") == second.parts[1].removesuffix("There is a pond.")


def test_a_claim_that_cannot_be_asked_is_a_verdict_with_its_reason() -> None:
    def scores(request: Request) -> AnswerScores:
        if "pond" in request.parts[1]:
            raise SampleError("prompt_too_long", "9 tokens of at most 8")
        return scores_of(0.9)

    road, pond = asyncio.run(Judge(engine(scores=scores)).ask("a/1", IMAGE, ["There is a road.", "There is a pond."]))
    assert road.score == pytest.approx(0.9) and road.mass == pytest.approx(0.98)
    assert (pond.score, pond.mass, pond.reason) == (None, None, "prompt_too_long")


def test_an_answer_without_yes_and_no_is_no_verdict() -> None:
    assert verdict_of(AnswerScores((None, None))).reason == "no_answer_token"
    assert verdict_of(AnswerScores((-math.inf, -math.inf))).score is None


def test_the_share_of_cached_tokens_is_counted() -> None:
    judge = Judge(engine())
    asyncio.run(judge.ask("a/1", IMAGE, ["There is a road.", "There is a pond."]))
    assert judge.cached_share == pytest.approx(0.6)


def test_a_model_that_answers_something_else_is_refused() -> None:
    check_tried([Verdict(0.4, 0.2)] * 8, "toy")
    with pytest.raises(UserError, match=r"only 6% .* may think before it answers"):
        check_tried([Verdict(0.04, 0.02)] * 8, "toy")
    with pytest.raises(UserError, match=r"none of the first 2 claims .*no_answer_token: no log-probabilities"):
        check_tried([Verdict(reason="no_answer_token", detail="no log-probabilities")] * 2, "toy")


def test_processed_probabilities_are_refused() -> None:
    check_engine_options("vllm", {"logprobs_mode": "raw_logprobs"})
    with pytest.raises(UserError, match="logprobs_mode=processed_logprobs"):
        check_engine_options("vllm", {"logprobs_mode": "processed_logprobs"})


def test_the_verdict_on_a_text_names_its_worst_claim() -> None:
    claims = [Claim("object", "A.", 0, 1, 0), Claim("count", "B.", 0, 1, 0), Claim("place", "C.", 0, 1, 0)]
    verdicts = [Verdict(0.9, 0.1), Verdict(0.3, 0.7), Verdict(reason="too_long")]
    found = text_verdict(claims, verdicts, parse_thresholds(["count=0.2"]))
    assert found == TextVerdict(3, 0, 1, pytest.approx(0.3), pytest.approx(0.6), "B.", "too_long")
    assert text_verdict(claims, verdicts, parse_thresholds([])).num_false == 1
    assert text_verdict([], [], {}).reason == "no_claims"


@pytest.mark.parametrize("pair", ["count", "count=2", "count=x", "colour=0.2"])
def test_a_wrong_threshold_is_said(pair: str) -> None:
    with pytest.raises(UserError, match=f"--threshold {pair}"):
        parse_thresholds([pair])


def test_a_judge_gets_small_blocks_on_a_cpu_unless_others_are_asked_for() -> None:
    assert judge_options("vllm", {"max_pixels": 9}) == {"cpu_block_size": 32, "max_pixels": 9}
    files: Any = SimpleNamespace(max_length=None, is_local=True)
    sizes = [
        _engine_arguments(files, "mllm", judge_options("vllm", given), 4096, on_cpu=on_cpu).get("block_size")
        for given, on_cpu in (({}, True), ({"block_size": 64}, True), ({}, False))
    ]
    assert sizes == [32, 64, None] and judge_options("openai", {}) == {}
