"""The embedded engine on a tiny random model: the same texts as vLLM, whoever shares a batch, in any memory."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lrs2m_builder.engines import _decoding as decoding
from lrs2m_builder.engines import transformers as module
from lrs2m_builder.engines import vllm as vllm_module
from lrs2m_builder.engines._base import EngineStoppedError
from lrs2m_builder.engines._parameters import Sampling
from lrs2m_builder.engines._sampling import RowSampler
from lrs2m_builder.engines.transformers import TransformersEngine
from lrs2m_builder.errors import SampleError
from lrs2m_builder.exchange import AnswerScores, Completion, Request
from tests.qwen_models import (
    GREEDY,
    SEEDED,
    Asked,
    answers,
    asked,
    asked_claim,
    farthest,
    make_wandering_model,
    scores,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wandering_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[TransformersEngine]:
    """The engine on it, in float32 on the CPU."""
    engine = module.load(str(model), "mllm", {"device": "cpu", "batch_size": 8})
    yield engine
    engine.close()


def smallest_gap(engine: TransformersEngine, question: Asked) -> float:
    """Least difference of the two highest scores while the question is answered greedily."""
    gaps: list[float] = []

    class Watching(RowSampler):
        def __call__(self, ids_BT: torch.Tensor, scores_BV: torch.Tensor) -> torch.Tensor:  # noqa: N803
            scores_BV = super().__call__(ids_BT, scores_BV)  # noqa: N806
            first, second = scores_BV[0].topk(2).values.tolist()
            gaps.append(first - second)
            return scores_BV

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "RowSampler", Watching)
        answers(engine, [question])
    return min(gaps)


def whole_characters(answer: Completion) -> Completion:
    """The answer without a character that its last token cut; looking for stop strings, vLLM leaves that out."""
    return dataclasses.replace(answer, text=answer.text.rstrip("\ufffd"))


STOPPING = {"temperature": 0, "max_tokens": 32, "repetition_penalty": 1.3, "stop": ["own", "tion"]}
QUESTIONS = [asked(i, sampling) for sampling in (GREEDY, STOPPING) for i in range(24)]
QUESTIONS += [asked(i, sampling, with_image=False) for sampling in (GREEDY, STOPPING) for i in range(8)]
CLAIMS = [asked_claim(i) for i in range(24)]
KIND = {"type": "object", "properties": {"kind": {"enum": ["place", "count"]}}, "required": ["kind"]}
LISTED = Request("toy/1", 0, 0, "llm", ("List the claims.",), 1, {"max_tokens": 40}, schema=KIND)
Theirs = tuple[list[Completion], list[AnswerScores], list[AnswerScores], Completion]


@pytest.fixture(scope="module")
def theirs(model: Path) -> Theirs:
    """What vLLM answers, and the probabilities it gives to claims together and alone; one start for all."""
    vllm = vllm_module.load(str(model), "mllm", {"dtype": "float32", "max_model_len": 512})

    async def ask() -> Theirs:
        texts = await asyncio.gather(*(vllm.generate(request, image) for request, image in QUESTIONS))
        together = await asyncio.gather(*(vllm.score(request, image) for request, image in CLAIMS))
        alone = [await vllm.score(request, image) for request, image in CLAIMS[:6]]
        return texts, together, alone, await vllm.generate(LISTED, None)

    try:
        return asyncio.run(ask())
    finally:
        vllm.close()


@pytest.mark.vllm
def test_an_answer_of_vllm_follows_the_schema_of_its_request(theirs: Theirs) -> None:
    assert json.loads(theirs[-1].text)["kind"] in {"place", "count"}


@pytest.mark.vllm
def test_the_probabilities_of_answers_are_those_of_vllm_together_and_alone(
    engine: TransformersEngine, theirs: Theirs
) -> None:
    _, together, alone, _ = theirs
    ours = scores(engine, CLAIMS)
    assert farthest(ours, together) < 0.02 and farthest(together[:6], alone) < 0.02
    assert ours[0].tokens == together[0].tokens
    assert [one.num_prompt_tokens for one in ours] == [one.num_prompt_tokens for one in together]
    assert all(one.num_cached_tokens is not None for one in together)


def test_the_probabilities_of_answers_do_not_depend_on_who_shares_the_batch(engine: TransformersEngine) -> None:
    alone = [scores(engine, [claim])[0] for claim in CLAIMS[:6]]
    assert farthest(scores(engine, CLAIMS)[:6], alone) < 0.02


def test_captions_and_claims_asked_at_once_each_get_theirs(engine: TransformersEngine) -> None:
    async def ask() -> tuple[AnswerScores, Completion]:
        try:
            return await asyncio.gather(engine.score(*CLAIMS[0]), engine.generate(*asked(0, GREEDY)))
        finally:
            await engine.finish()

    found, completion = asyncio.run(ask())
    assert isinstance(found, AnswerScores) and isinstance(completion, Completion)


@pytest.mark.vllm
def test_greedy_answers_are_those_of_vllm(engine: TransformersEngine, theirs: Theirs) -> None:
    """Texts, reasons and token counts; they may part only where two tokens score the same to a thousandth."""
    questions, (texts, *_) = QUESTIONS, theirs
    ours = answers(engine, questions)
    assert {answer.finish_reason for answer in ours} == {"stop", "length"}
    assert len({answer.text for answer in ours}) > 32
    pairs = zip(questions, map(whole_characters, ours), map(whole_characters, texts), strict=True)
    differing = [question for question, a, b in pairs if a != b]
    assert len(differing) <= 4
    assert all(smallest_gap(engine, question) < 1e-3 for question in differing)
    assert [a.num_prompt_tokens for a in ours] == [b.num_prompt_tokens for b in texts]


@pytest.mark.parametrize(
    "changes", [{}, {"temperature": 0}, {"repetition_penalty": 1.4, "top_k": 50}, {"stop": "tion"}]
)
def test_an_answer_does_not_depend_on_who_shares_its_batch(engine: TransformersEngine, changes: dict[str, Any]) -> None:
    questions = [asked(i, SEEDED | changes, with_image=i % 4 != 3) for i in range(24)]
    together = answers(engine, questions)
    alone = [answers(engine, [question])[0] for question in questions]
    backwards = answers(engine, questions[::-1])[::-1]
    assert together == alone == backwards


def test_a_seed_repeats_its_answer_and_another_gives_another(engine: TransformersEngine) -> None:
    request, image = asked(3, SEEDED)
    seeds = [dataclasses.replace(request, seed=seed) for seed in (5, 6, 5, 2**31 - 1)]
    first, second, third, last = answers(engine, [(seeded, image) for seeded in seeds])
    assert first == third
    assert len({first.text, second.text, last.text}) == 3


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0, -20.0, 1.5])
    sampling = Sampling(temperature=0.8, top_p=0.95, top_k=5)
    num_rows = 20000
    inputs = {"input_ids": torch.zeros(num_rows, 1, dtype=torch.long), "attention_mask": torch.ones(num_rows, 1)}
    sampler = RowSampler(sampling, range(num_rows), inputs, 1)
    drawn = sampler(inputs["input_ids"], scores.repeat(num_rows, 1)).argmax(-1)
    expected = (scores / 0.8).softmax(-1)
    expected[expected < 0.03] = 0  # what top_p cuts off
    expected /= expected.sum()
    share = drawn.bincount(minlength=6) / num_rows
    assert share[expected == 0].sum() == 0
    assert torch.allclose(share, expected, atol=0.015)


def test_a_prompt_too_long_is_refused_alone(engine: TransformersEngine) -> None:
    request, image = asked(0, GREEDY)
    long = dataclasses.replace(request, parts=("a road beside a field " * 900, "end"))

    async def ask() -> list[Completion | BaseException]:
        both = (engine.generate(long, image), engine.generate(request, image))
        found = await asyncio.gather(*both, return_exceptions=True)
        await engine.finish()
        return found

    refused, answered = asyncio.run(ask())
    assert isinstance(refused, SampleError) and refused.reason == "prompt_too_long"
    assert [answered] == answers(engine, [(request, image)])


def test_an_answer_ends_where_the_context_does(model: Path) -> None:
    small = module.load(str(model), "mllm", {"device": "cpu", "max_model_len": 60})
    short, long = answers(small, [asked(0, SEEDED), asked(4, SEEDED)])  # of 32 and 58 tokens
    small.close()
    assert (long.num_tokens, long.finish_reason) == (60 - long.num_prompt_tokens, "length")
    assert short.num_tokens > long.num_tokens or short.finish_reason == "stop"


def test_too_little_memory_halves_the_batch_and_loses_no_answer(
    model: Path, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = [asked(i, SEEDED) for i in range(12)]
    expected = answers(engine, questions)
    poor = module.load(str(model), "mllm", {"device": "cpu", "batch_size": 8})
    generate = poor._decoder._model.generate
    sizes = []

    def with_memory_for_two(**arguments: Any) -> Any:
        sizes.append(len(arguments["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return generate(**arguments)

    monkeypatch.setattr(poor._decoder._model, "generate", with_memory_for_two)
    assert answers(poor, questions) == expected
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]

    def without_memory(**arguments: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(poor._decoder._model, "generate", without_memory)
    with pytest.raises(EngineStoppedError, match="one request alone does not fit"):
        answers(poor, questions)
    poor.close()


def test_a_batch_that_was_given_up_frees_the_worker_at_once(engine: TransformersEngine) -> None:
    request, image = asked(1, {"temperature": 1.0, "max_tokens": 4000, "repetition_penalty": 1.1})
    network = engine._decoder._model
    steps = 0

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1

    async def ask_and_give_up() -> None:
        asking = asyncio.create_task(engine.generate(request, image))
        while steps < 5:
            await asyncio.sleep(0.01)
        asking.cancel()
        await engine.finish()

    engine._decoder._ends, ends = {-1}, engine._decoder._ends  # so that nothing else ends it
    with network.register_forward_hook(count):
        asyncio.run(ask_and_give_up())
        steps_then = steps
        engine._worker.submit(bool).result(timeout=30)
    engine._decoder._ends = ends
    assert steps <= steps_then + 2 < 1000


def test_closing_frees_the_model(model: Path) -> None:
    engine = module.load(str(model), "mllm", {"device": "cpu"})
    network = weakref.ref(engine._decoder._model)
    answers(engine, [asked(0, GREEDY)])
    engine.close()
    engine.close()
    gc.collect()
    assert network() is None
