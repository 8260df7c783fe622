"""Models of many families answer batches in the transformers engine: each request as if it had been alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lrs2m_builder.engines import transformers as module
from lrs2m_builder.engines._chat import Chat
from lrs2m_builder.engines._model_files import find_model
from lrs2m_builder.engines.transformers import TransformersEngine
from lrs2m_builder.errors import SampleError
from lrs2m_builder.exchange import Completion
from tests.qwen_models import Asked, asked, make_wandering_model
from tests.vision_models import FAMILIES, make_model

GREEDY = {"temperature": 0, "max_tokens": 12}
BROKEN = (33, 33)


class Picky:
    """A processor that fails on images of one size, in the way that iterators end."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, *, images: Sequence[Sequence[Image.Image]], **how: Any) -> Any:
        if any(image.size == BROKEN for each in images for image in each):
            raise StopIteration
        return self._processor(images=images, **how)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersEngine]:
    folder = make_model(request.param, tmp_path_factory.mktemp(request.param))
    engine = module.load(str(folder), "mllm", {"device": "cpu", "batch_size": 8})
    yield engine
    engine.close()


def outcomes(engine: TransformersEngine, questions: Sequence[Asked]) -> list[Completion | BaseException]:
    async def ask() -> list[Completion | BaseException]:
        asking = [engine.generate(request, image) for request, image in questions]
        found = await asyncio.gather(*asking, return_exceptions=True)
        await engine.finish()
        return found

    return asyncio.run(ask())


def test_a_batch_with_a_broken_request_gives_the_others_the_answers_they_get_alone(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = [asked(number, GREEDY) for number in range(5)]
    alone = [outcomes(engine, [question])[0] for question in questions]
    assert all(isinstance(answer, Completion) for answer in alone)
    assert outcomes(engine, questions) == alone
    assert len({answer.text for answer in alone if isinstance(answer, Completion)}) > 1
    monkeypatch.setattr(engine._decoder._chat, "processor", Picky(engine._decoder._chat.processor))
    broken = (questions[0][0], Image.new("RGB", BROKEN))
    first, refused, *others = outcomes(engine, [questions[0], broken, *questions[1:]])
    assert isinstance(refused, SampleError) and refused.reason == "request_refused"
    assert [first, *others] == alone


def test_the_image_is_part_of_what_the_model_reads(engine: TransformersEngine) -> None:
    questions = [asked(number, GREEDY) for number in range(8)]
    black = [(request, Image.new("RGB", image.size)) for request, image in questions if image is not None]
    assert outcomes(engine, questions) != outcomes(engine, black)


@pytest.mark.parametrize("size", [(1, 300), (300, 1)])
def test_a_model_that_fails_on_the_shape_of_one_image_answers_the_others(tmp_path: Path, size: tuple[int, int]) -> None:
    engine = module.load(str(make_model("lfm2_vl", tmp_path)), "mllm", {"device": "cpu", "batch_size": 8})
    questions = [asked(number, GREEDY) for number in range(3)]
    alone = [outcomes(engine, [question])[0] for question in questions]
    strip = (questions[0][0], Image.new("RGB", size))
    refused, *others = outcomes(engine, [strip, *questions])
    engine.close()
    assert isinstance(refused, SampleError) and "the model fails: RuntimeError" in refused.detail
    assert others == alone


@pytest.mark.parametrize("size", [(2000, 11), (11, 2000), (1990, 10)])
def test_a_strip_keeps_a_side_of_one_patch(tmp_path: Path, size: tuple[int, int]) -> None:
    chat = Chat(find_model(str(make_wandering_model(tmp_path)), None), "mllm", {})
    assert min(chat.image_size(*size)) == 28
