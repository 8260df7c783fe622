"""What the captioner is asked in training, in the words of the recipes, and what it should answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerFast

from captioner_training.model import TOKENS
from captioner_training.scenes import Scenes
from captioner_training.texts import plain_groups, plain_long, plain_short
from captioner_training.tokens import prompt_parts
from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.texts import write_texts
from lrs2m_builder.schema import Anchor

IMAGE_PAD = "<|image_pad|>"
_IMAGES, _SUMMARIES = 6, 2  # batches of a pool, whose questions are sorted by length: little of a batch is padding
_ROUND = 32  # few different lengths: the CPU's kernels are made anew for each
_PROBLEMS = (
    "The answer is too short.",
    "The answer is too long.",
    "The answer does not name every class.",
    "The answer gives a number that is not so.",
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions with their answers.

    Attributes:
        ids: tokens (B, L), padded on the right.
        answer: which of them are the answer's (B, L).
        image: pixels (B, side, side, 3), uint8, or image tokens (B, tokens, width); None for text-only questions.
        counts: objects of each class whose middle lies in an image token (B, tokens, classes), or None.
    """

    ids: Tensor
    answer: Tensor
    image: Tensor | None
    counts: Tensor | None


def image_question(scene: Scene, random: np.random.Generator) -> tuple[tuple[str, ...], str]:
    """The prompt's two parts with hints, anchors or nothing behind the image, and the long text."""
    kind = random.random()
    if kind < 0.45:
        captions = list(write_texts(scene).captions)
        random.shuffle(captions)
        kept = len(captions) if random.random() < 0.7 else int(random.integers(1, len(captions)))
        parts = prompt_parts("short_to_long", captions=tuple(captions[:kept]))
    elif kind < 0.85:
        anchors = [Anchor(name, count) for name, count in sorted(scene.counts.items())]
        if random.random() < 0.3:
            random.shuffle(anchors)
        parts = prompt_parts("vector_anchored", anchors=tuple(anchors))
    else:
        parts = (no_hint_parts()[0], "")
    return (parts[0], parts[1] + _problem(random) if parts[1] else ""), plain_long(scene)


def no_hint_parts() -> tuple[str, ...]:
    """The prompt of short_to_long with nothing behind the image."""
    return prompt_parts("short_to_long", captions=("",))[0], ""


def summary_question(scene: Scene, random: np.random.Generator) -> tuple[tuple[str, ...], str]:
    """The prompt for a summary of a long text, of the rich kind or of the captioner's own, and the summary."""
    if random.random() < 0.5:
        texts = write_texts(scene)
        long, short = texts.long, texts.short
    else:
        long, short = plain_long(scene), plain_short(plain_groups(scene), scene.name)
    (text,) = prompt_parts("long_to_short", caption_long=long)
    return (text + _problem(random),), short


def _problem(random: np.random.Generator) -> str:
    if random.random() > 0.04:
        return ""
    return f"\n\nYour last answer could not be used. {_PROBLEMS[int(random.integers(len(_PROBLEMS)))]}"


def object_counts(scene: Scene) -> NDArray[np.float32]:
    """(tokens, classes)."""
    return np.stack([things_in_tokens(scene.of(name)) for name in CLASSES], axis=1)


def things_in_tokens(things: Iterable[SceneObject]) -> NDArray[np.float32]:
    """How many have their middle in each image token (tokens)."""
    counts = np.zeros(TOKENS * TOKENS, np.float32)
    for thing in things:
        x, y = (min(TOKENS - 1, max(0, int(TOKENS * value / SIDE))) for value in thing.center)
        counts[y * TOKENS + x] += 1
    return counts


class Questions(IterableDataset[Batch]):
    """Batches without end, the same ones for the same seed from the step on at which training stands."""

    def __init__(self, scenes: Scenes, tokenizer: PreTrainedTokenizerFast, batch_size: int, first_step: int) -> None:
        self._scenes, self._tokenizer = scenes, tokenizer
        self._size, self._first = batch_size, first_step

    def __iter__(self) -> Iterator[Batch]:
        pool = self._first // (_IMAGES + _SUMMARIES)
        while True:
            random = np.random.default_rng([7, pool])
            numbers = random.integers(len(self._scenes) * self._scenes.num_views, size=_IMAGES * self._size)
            found = []
            for number in numbers.tolist():
                image, scene = self._scenes[number]
                found.append((*self._encode(*image_question(scene, random)), image, object_counts(scene)))
            found.sort(key=lambda item: len(item[0]))
            starts = random.permutation(_IMAGES) * self._size
            yield from (self._batch(found[start : start + self._size]) for start in starts.tolist())
            for _ in range(_SUMMARIES):
                scenes = random.integers(len(self._scenes) * self._scenes.num_views, size=self._size)
                summaries = (summary_question(self._scenes.truth(number), random) for number in scenes.tolist())
                yield self._batch([(*self._encode(*summary), None, None) for summary in summaries])
            pool += 1

    def _encode(self, parts: tuple[str, ...], answer: str) -> tuple[list[int], int]:
        """Tokens of question and answer, and how many are the question's."""
        prompt = chat_text(self._tokenizer, parts)
        before, after = self._tokenizer([prompt, f"{answer}<|im_end|>"], add_special_tokens=False)["input_ids"]
        return before + after, len(before)

    def _batch(self, items: list[Any]) -> Batch:
        longest = -(-max(len(item[0]) for item in items) // _ROUND) * _ROUND
        ids = torch.full((len(items), longest), self._tokenizer.pad_token_id)
        answer = torch.zeros((len(items), longest), dtype=torch.bool)
        for row, (tokens, start, *_) in enumerate(items):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            answer[row, start : len(tokens)] = True
        if items[0][2] is None:
            return Batch(ids, answer, None, None)
        image = torch.from_numpy(np.stack([item[2] for item in items]))
        return Batch(ids, answer, image, torch.from_numpy(np.stack([item[3] for item in items])))


def chat_text(tokenizer: PreTrainedTokenizerFast, parts: tuple[str, ...]) -> str:
    """The prompt in the chat template, the image's placeholder as wide as the processor makes it."""
    content: Any = parts[0]
    if len(parts) == 2:
        content = [{"type": "text", "text": parts[0]}, {"type": "image"}, {"type": "text", "text": parts[1]}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    return str(text).replace(IMAGE_PAD, IMAGE_PAD * TOKENS**2)
