"""Probabilities of answers from endpoints: exact from a vLLM server, else among the likeliest tokens, with bounds."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from PIL import Image

from lrs2m_builder.engines import openai as engine_module
from lrs2m_builder.errors import UserError
from lrs2m_builder.verify.judge import Judge, Verdict, check_tried
from tests.fake_endpoint import Behaviour, Handler, endpoint, list_toy_model

CLAIMS = ["There is a road in the image.", "There is a pond in the image."]
IDS = {"yes": 7, "Yes": 8, " Yes": 9, "no": 17, "No": 18}


def list_vllm(handler: Handler) -> None:
    handler.reply(200, {"data": [{"id": "toy-model", "owned_by": "vllm"}]})


def told(entries: dict[str, float], sampled: str = "Well") -> dict[str, Any]:
    """A reply with these probabilities at the first position."""
    top = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in entries.items()]
    first = {"token": sampled, "logprob": math.log(0.001), "top_logprobs": top}
    choice = {"message": {"content": sampled}, "finish_reason": "length", "logprobs": {"content": [first]}}
    return {"choices": [choice], "usage": {"prompt_tokens": 40, "prompt_tokens_details": {"cached_tokens": 32}}}


def judged(behave: Behaviour, list_models: Any = list_toy_model) -> tuple[list[Verdict], Judge, list[dict[str, Any]]]:
    """The verdicts on the claims, the judge, and what the endpoint was asked."""
    with endpoint(behave, list_models=list_models) as server:
        engine = engine_module.load("toy-model", "mllm", {"base_url": server.url, "max_tries": 1})

        async def ask() -> tuple[list[Verdict], Judge]:
            judge = Judge(engine)
            try:
                return await judge.ask("toy/1", Image.new("RGB", (32, 32)), CLAIMS), judge
            finally:
                await engine.finish()

        verdicts, judge = asyncio.run(ask())
        return verdicts, judge, server.seen


def tokenize(handler: Handler, body: dict[str, Any]) -> bool:
    """Answer as a vLLM server's /tokenize does; whether that was asked."""
    if "prompt" not in body:
        return False
    pieces = [body["prompt"]] if body["prompt"] in IDS else list(body["prompt"])
    ids = [IDS[piece] if piece in IDS else 100 + ord(piece) for piece in pieces]
    handler.reply(200, {"tokens": ids, "token_strs": [piece.replace(" ", "Ġ") for piece in pieces]})
    return True


def test_a_vllm_server_tells_the_probabilities_of_all_spellings() -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        if not tokenize(handler, body):
            assert body["logprob_token_ids"] == sorted(IDS.values()) and body["max_tokens"] == 1
            yes = {"token_id:7": 0.4, "token_id:8": 0.2, "token_id:9": 0.1}
            handler.reply(200, told(yes | {"token_id:17": 0.1, "token_id:18": 0.1}))

    verdicts, judge, _ = judged(behave, list_vllm)
    assert judge.tokens == ((7, 8, 9), (17, 18))
    assert [verdict.mass for verdict in verdicts] == [pytest.approx(0.9)] * 2
    assert verdicts[0].score == pytest.approx(0.7 / 0.9) and not verdicts[0].is_bound
    assert judge.cached_share == pytest.approx(0.8)


def test_a_server_that_ignores_the_tokens_is_asked_for_the_likeliest() -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        if not tokenize(handler, body):
            handler.reply(200, told({"Yes": 0.7, "No": 0.2} if "top_logprobs" in body else {}))

    verdicts, judge, seen = judged(behave, list_vllm)
    assert judge.tokens is None and verdicts[1].score == pytest.approx(7 / 9)
    assert sum("logprob_token_ids" in body for body in seen) == 1, "it was asked again for what it does not tell"


def test_an_answer_beyond_the_likeliest_tokens_has_a_bound() -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        assert "chat_template_kwargs" not in body and body["top_logprobs"] == 20
        handler.reply(200, told({" Yes": 0.6, "YES": 0.1, "It": 0.01, "Y": 0.05}))

    (verdict, _), _, _ = judged(behave)
    assert (verdict.p_yes, verdict.p_no) == (pytest.approx(0.7), pytest.approx(0.001))
    assert verdict.is_bound


@pytest.mark.parametrize(
    "reply", [told({"The": 0.9}), {"choices": [{"message": {"content": "Yes"}, "logprobs": None}]}]
)
def test_an_endpoint_that_tells_no_probability_of_yes_and_no_is_refused(reply: dict[str, Any]) -> None:
    verdicts, _, _ = judged(lambda handler, body, number: handler.reply(200, reply))
    assert [verdict.reason for verdict in verdicts] == ["no_answer_token"] * 2
    with pytest.raises(UserError, match="none of the first 2 claims was answered"):
        check_tried(verdicts, "toy-model")


def test_an_empty_text_before_the_image_is_not_sent() -> None:
    _, _, seen = judged(lambda handler, body, number: handler.reply(200, told({"Yes": 0.7, "No": 0.2})))
    assert [part["type"] for part in seen[0]["messages"][0]["content"]] == ["image_url", "text"]
