"""`--claims model`: a model writes the claims of a text; what no sentence of it holds is dropped."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.engines import openai as openai_module
from lrs2m_builder.exchange import Completion, Request
from lrs2m_builder.verify.claims import Claim, claims_of, sentence_spans
from lrs2m_builder.verify.written import MAX_TOKENS, SCHEMA, ClaimWriter, parse_list, traced
from tests.fake_endpoint import Handler, endpoint, list_toy_model
from tests.fake_engine import FakeEngine, FakeModule
from tests.in_process import lrs2m
from tests.test_verify import asked, data_set, judged, tables

TEXT = "There are two red planes near a terminal. They are parked in a row. No ships or cars are visible."


def claims(*statements: tuple[int, str]) -> list[Claim]:
    return list(traced(TEXT, statements).claims)


def answer(*statements: tuple[int, str]) -> str:
    return json.dumps({"claims": [{"sentence": number, "statement": words} for number, words in statements]})


@pytest.mark.parametrize(
    ("statement", "sentence", "kind"),
    [
        ((1, "There are 2 red planes."), 0, "count"),
        ((1, "A terminal is near the planes"), 0, "relation"),
        ((2, "The red planes are parked in a row."), 1, "sentence"),
        ((3, "There are no cars in the image."), 2, "denial"),
        ((7, "The planes park in a row."), 1, "sentence"),
    ],
)
def test_a_statement_is_traced_to_the_sentence_that_holds_it(
    statement: tuple[int, str], sentence: int, kind: str
) -> None:
    (found,) = [claim for claim in claims(statement) if claim.words.startswith(statement[1].rstrip("."))]
    start, end = list(sentence_spans(TEXT))[sentence]
    assert (found.sentence, found.kind, found.start, found.end) == (sentence, kind, start, end)


@pytest.mark.parametrize(
    "words",
    [
        "There is a swimming pool.",
        "There are three planes.",
        "There are cars.",
        "There are no planes.",
        "It is visible.",
    ],
)
def test_what_no_sentence_holds_is_dropped_and_counted(words: str) -> None:
    found = traced(TEXT, [(1, words)])
    assert found.num_invented == 1 and words not in [claim.words for claim in found.claims]


def test_a_sentence_without_a_statement_is_a_claim_itself() -> None:
    assert [claim.words for claim in claims((1, "There are two planes."))] == [
        "There are two planes.",
        "They are parked in a row.",
        "No ships or cars are visible.",
    ]


@pytest.mark.parametrize(
    "text", ["", "planes", "[]", '{"claims": 3}', '{"claims": [{"sentence": "x"}]}', '{"claims": [{']
)
def test_an_answer_that_is_no_list_is_told(text: str) -> None:
    assert parse_list(text) is None


def write(*answers: str) -> tuple[tuple[Claim, ...], ClaimWriter, list[Request]]:
    left = list(answers)
    engine = FakeEngine("toy", lambda request: Completion(left.pop(0), "stop"), None, 0.0, 8)
    writer = ClaimWriter(engine)
    return asyncio.run(writer.write("a/1", TEXT)), writer, engine.requests


def test_the_model_gets_the_numbered_sentences_and_the_schema_and_no_image() -> None:
    _, _, (request,) = write(answer((1, "There are two planes.")))
    assert request.role == "llm" and len(request.parts) == 1 and request.schema == SCHEMA
    assert request.parts[0].endswith("2. They are parked in a row.\n3. No ships or cars are visible.")
    assert request.sampling["max_tokens"] == MAX_TOKENS


def test_a_list_that_cannot_be_read_is_asked_for_again_and_then_made_by_the_rules() -> None:
    found, writer, requests = write("{", answer((1, "There are two planes.")))
    assert found[0].words == "There are two planes." and len(requests) == 2 and not writer.num_by_rules
    found, writer, requests = write("{", "{")
    assert found == claims_of(TEXT) and (writer.num_texts, writer.num_by_rules, len(requests)) == (1, 1, 2)


def test_an_endpoint_is_told_the_schema() -> None:
    seen: list[dict[str, Any]] = []

    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        seen.append(body)
        content = answer((1, "There are two planes."), (1, "There is a pool."))
        handler.reply(200, {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})

    with endpoint(behave, list_models=list_toy_model) as server:
        engine = openai_module.load("toy-model", "mllm", {"base_url": server.url, "max_tries": 1})
        writer = ClaimWriter(engine)

        async def ask() -> tuple[Claim, ...]:
            try:
                return await writer.write("a/1", TEXT)
            finally:
                await engine.finish()

        found = asyncio.run(ask())
    assert seen[-1]["response_format"]["json_schema"]["schema"] == SCHEMA
    assert found[0].kind == "count" and writer.num_invented == 1


def listing(request: Request) -> Completion:
    """A model that repeats the first sentence and invents a pool."""
    first = request.parts[0].split("\n1. ")[1].splitlines()[0]
    return Completion(answer((1, first), (1, "There is a swimming pool.")), "stop")


def test_a_data_set_is_judged_by_the_claims_that_the_judge_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = FakeModule(script=listing)
    monkeypatch.setattr("lrs2m_builder.engines.engine_module", lambda name: module)
    found = lrs2m("verify", data_set(tmp_path), "--model", "toy", "--engine", "fake", "--claims", "model")
    assert "claims of 48 texts written by the model, of 0 by the rules" in found.out
    assert "48 statements dropped that no sentence holds" in found.out
    assert {claim["kind"] for claim in tables(tmp_path, "claims")} >= {"count", "sentence"}
    again = FakeModule(script=listing)
    judged(tmp_path, again, claims="model")
    assert not asked(again)
    other = lrs2m("verify", tmp_path, "--model", "toy", "--engine", "fake")
    assert "claims was model.v1, now rules.v" in other.error


def test_an_engine_without_schemas_is_refused_in_one_line(tmp_path: Path) -> None:
    found = lrs2m("verify", data_set(tmp_path), "--model", "toy", "--engine", "transformers", "--claims", "model")
    assert found.error.endswith("take --engine vllm or openai, or --claims rules")
