"""What the captioner is asked as a judge: many claims about each image in one sequence, and whether they are true.

A sequence holds the image and the instruction once, then claims side by side: each sees what stands before all of them
and itself, at the positions that it would have alone. So ten claims cost little more than one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerFast

from captioner_training.claim_words import Claim
from captioner_training.claims import ClaimMaker
from captioner_training.questions import chat_text
from captioner_training.scenes import Scenes
from captioner_training.tokens import verify_parts
from lrs2m_builder.sample.drawing.scene import Scene

LENGTH = 256  # of a sequence, in tokens: the image, the instruction and about nine claims
ROWS = 8
ANSWERS = {True: "yes", False: "no"}
NONE = -100  # no answer, no number
# How often each kind of claim is made.
SHARES = {
    "object": 0.08,
    "count": 0.18,
    "some in a cell": 0.1,
    "so many in a cell": 0.1,
    "all in a cell": 0.07,
    "some in a half": 0.06,
    "so many in a half": 0.06,
    "all in a half": 0.06,
    "denial": 0.05,
    "color": 0.03,
    "relation": 0.04,
    "scene": 0.02,
    "sentence": 0.12,
    "text": 0.03,
}


@dataclass(frozen=True, slots=True)
class ClaimBatch:
    """Sequences of claims.

    Attributes:
        ids: tokens (B, L), padded on the right.
        group: 0 for what stands before the claims, then the number of the claim; -1 for padding.
        position: of each token (B, L), as if its claim stood alone.
        answer: the token that should follow (B, L), NONE where none is asked for.
        number: where an answer should follow, how many there are of what the claim speaks of, or NONE.
        image: pixels (B, side, side, 3), uint8, or image tokens (B, tokens, width).
    """

    ids: Tensor
    group: Tensor
    position: Tensor
    answer: Tensor
    number: Tensor
    image: Tensor


class ClaimLayout:
    """Lays claims side by side."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        mark = "\x00"
        before, after = chat_text(tokenizer, verify_parts(mark)).split(f" {mark}")
        self.before: list[int] = tokenizer(before, add_special_tokens=False)["input_ids"]
        self._after = after
        ends = tokenizer([f"{word}<|im_end|>" for word in ANSWERS.values()], add_special_tokens=False)["input_ids"]
        self._answers = dict(zip(ANSWERS, ends, strict=True))

    def encode(self, claims: Sequence[Claim]) -> list[list[int]]:
        """The tokens of each claim, from the space before it to where the answer begins."""
        texts = [f" {claim.words}{self._after}" for claim in claims]
        return self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []  # type: ignore[no-any-return]

    def split(self, claims: Sequence[Claim], length: int = LENGTH) -> Iterator[list[Claim]]:
        """The claims in parts that have room in one sequence each."""
        part: list[Claim] = []
        room = 0
        for claim, tokens in zip(claims, self.encode(claims), strict=True):
            if len(tokens) >= room:
                if part:
                    yield part
                part, room = [], length - len(self.before)
            part.append(claim)
            room -= len(tokens) + 1
        if part:
            yield part

    def batch(self, rows: Sequence[tuple[Sequence[Claim], Tensor]], length: int = LENGTH) -> ClaimBatch:
        """As many claims of each image as there is room for."""
        shape = (len(rows), length)
        ids = torch.full(shape, self._tokenizer.pad_token_id)
        group, position = torch.full(shape, -1), torch.zeros(shape, dtype=torch.long)
        answer, number = torch.full(shape, NONE), torch.full(shape, NONE)
        first = len(self.before)
        for row, (claims, _) in enumerate(rows):
            ids[row, :first] = torch.tensor(self.before)
            group[row, :first] = 0
            end = first
            for n, (claim, tokens) in enumerate(zip(claims, self.encode(claims), strict=True), start=1):
                right = self._answers[claim.is_true]
                whole = tokens + right[:-1]
                here = slice(end, end + len(whole))
                if here.stop > length:
                    continue
                ids[row, here] = torch.tensor(whole)
                group[row, here] = n
                position[row, here] = torch.arange(len(whole))
                asked = slice(here.stop - len(right), here.stop)
                answer[row, asked] = torch.tensor(right)
                if claim.number is not None:
                    number[row, asked.start] = claim.number
                end = here.stop
        return ClaimBatch(ids, group, position, answer, number, torch.stack([image for _, image in rows]))


class Claims(IterableDataset[ClaimBatch]):
    """Batches of claims without end, the same ones for the same step at which training stands."""

    def __init__(self, scenes: Scenes, tokenizer: PreTrainedTokenizerFast, first_step: int) -> None:
        self._scenes, self._tokenizer, self._first = scenes, tokenizer, first_step

    def __iter__(self) -> Iterator[ClaimBatch]:
        layout = ClaimLayout(self._tokenizer)
        maker = ClaimMaker([self._scenes.truth(number) for number in range(min(2000, len(self._scenes)))])
        step = self._first
        while True:
            random, ahead = np.random.default_rng([11, step]), Counter[str]()
            rows = []
            for number in random.integers(self._scenes.num_views * len(self._scenes), size=ROWS).tolist():
                image, scene = self._scenes[number]
                rows.append((some_claims(maker, scene, ahead, random), torch.from_numpy(np.array(image))))
            yield layout.batch(rows)
            step += 1


def some_claims(maker: ClaimMaker, scene: Scene, ahead: Counter[str], random: np.random.Generator) -> list[Claim]:
    """Claims of all kinds; `ahead` holds by how many the true ones of a kind lead, so that they come out even."""
    ways, found = list(SHARES), []
    for way in random.choice(len(ways), size=14, p=np.array(list(SHARES.values())) / sum(SHARES.values())).tolist():
        name = ways[way]
        true = ahead[name] < 0 or (ahead[name] == 0 and bool(random.random() < 0.5))
        tries = (maker.ways[name](scene, true, random) for _ in range(4))
        if claim := next((claim for claim in tries if claim is not None), None):
            found.append(claim)
            ahead[name] += 1 if true else -1
    return found
