"""A tiny Qwen2-VL that says different things, and what the tests of engines ask it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image

from captioner_training.random_model import CHAT_TEMPLATE, SPECIAL_TOKENS, make_random_model
from lrs2m_builder.engines._base import Engine
from lrs2m_builder.exchange import AnswerScores, Completion, Request

WORDS = ("river", "two grey roofs", "a road beside a field", "houses", "trees along the right edge of a parking lot")
GREEDY = {"temperature": 0, "max_tokens": 32}
SEEDED = {"temperature": 0.9, "top_p": 0.95, "max_tokens": 32}
Asked = tuple[Request, Image.Image | None]


def make_wandering_model(folder: Path) -> Path:
    """A random Qwen2-VL whose greedy texts wander, with the image and with every word, and end at times.

    The tied one of the demo repeats its prompt's last token, on which any two engines agree.
    """
    make_random_model(folder)
    network = transformers.Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    random_ = torch.Generator().manual_seed(0)
    network.config.tie_word_embeddings = network.config.text_config.tie_word_embeddings = False
    network.lm_head.weight = torch.nn.Parameter(torch.empty_like(network.lm_head.weight))
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=0.15, generator=random_)
    # Every special token ends the text, the one that pads included, and they come more often than others.
    network.lm_head.weight.data[: len(SPECIAL_TOKENS)] *= 1.3
    network.generation_config.eos_token_id = list(range(len(SPECIAL_TOKENS)))
    network.save_pretrained(folder)
    return folder


def asked(number: int, sampling: dict[str, Any], *, with_image: bool = True) -> Asked:
    """A request whose prompt and image are as long and as large as its number wants."""
    words = " and ".join(WORDS[: number % len(WORDS) + 1])
    request = Request(f"toy/{number}", 0, 1, "mllm", (f"Describe {words}.", f"Number {number}."), number, sampling)
    if not with_image:
        return dataclasses.replace(request, role="llm", parts=(f"Summarize: {words}, {number}.",)), None
    size = (56 + 28 * (number % 3), 84)
    return request, Image.effect_mandelbrot(size, (-2, -1.5, 1 - number / 50, 1.5), 40).convert("RGB")


def asked_claim(number: int) -> Asked:
    """A request for the probabilities of yes and no."""
    request, image = asked(number, {})
    return dataclasses.replace(request, answers=("yes", "no"), attempt=2), image


def farthest(some: Sequence[AnswerScores], others: Sequence[AnswerScores]) -> float:
    """The largest difference between the logarithms of the same probabilities."""
    pairs = [
        pair
        for one, other in zip(some, others, strict=True)
        for pair in zip(one.log_probs, other.log_probs, strict=True)
    ]
    return max(abs(one - other) for one, other in pairs if one is not None and other is not None)


def answers(engine: Engine, questions: Sequence[Asked]) -> list[Completion]:
    """Ask all of them at once."""

    async def ask() -> list[Completion]:
        try:
            return await asyncio.gather(*(engine.generate(request, image) for request, image in questions))
        finally:
            await engine.finish()

    return asyncio.run(ask())


def scores(engine: Engine, questions: Sequence[Asked]) -> list[AnswerScores]:
    """Ask for the probabilities of all of them at once."""

    async def ask() -> list[AnswerScores]:
        try:
            return await asyncio.gather(*(engine.score(request, image) for request, image in questions))
        finally:
            await engine.finish()

    return asyncio.run(ask())


def make_thinking_model(folder: Path) -> Path:
    """A random Qwen2-VL whose template opens a thought unless `enable_thinking` is false, as Qwen3.5's does."""
    make_wandering_model(folder)
    closed = "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}"
    ends = "{% if add_generation_prompt %}<|im_start|>assistant\n"
    opened = CHAT_TEMPLATE.replace(ends, ends + closed + "{% else %}{{ '<think>\\n' }}{% endif %}")
    (folder / "chat_template.jinja").write_text(opened)
    return folder
