"""What the captioner is asked as a judge: many claims about each image in one sequence, and whether they are true.

A sequence holds the image and the instruction once, then claims side by side: each sees what stands before all of them
and itself, at the positions that it would have alone. So ten claims cost little more than one. What the chat template
puts between a claim and its answer is as long as the claim; at first it is left out but for its last token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerFast

from captioner_training.claim_words import MOST, Claim
from captioner_training.claims import ClaimMaker
from captioner_training.model import TOKENS
from captioner_training.own_texts import claims_of_own
from captioner_training.questions import chat_text, object_counts, things_in_tokens
from captioner_training.regions import CELL, HALF
from captioner_training.scenes import Scenes
from captioner_training.tokens import verify_parts
from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import Scene

LENGTH = 256  # of a sequence, in tokens: the image, the instruction and about twelve claims, or 24 short ones
ROWS = 12
FROM_TEXT = 4  # true claims of an image that are read from a text, and as many false ones
MOST_CLAIMS = 26  # of an image
ANSWERS = {True: "yes", False: "no"}
NONE = -100  # no answer, no number
REGIONS = tuple(region.name for where in (CELL, HALF) for region in where.regions)
# How often each other kind of claim is made.
SHARES = {
    "object": 0.06,
    "count": 0.14,
    "some in a cell": 0.12,
    "so many in a cell": 0.1,
    "all in a cell": 0.08,
    "some in a half": 0.1,
    "so many in a half": 0.08,
    "all in a half": 0.08,
    "denial": 0.04,
    "color": 0.06,
    "relation": 0.08,
    "scene": 0.01,
    "sentence": 0.05,
}


@dataclass(frozen=True, slots=True)
class ClaimBatch:
    """Sequences of claims (B, L), and what is known of the N claims.

    Attributes:
        ids: tokens (B, L), padded on the right.
        group: 0 for what stands before the claims, then the number of the claim; -1 for padding.
        position: of each token (B, L), as if its claim stood alone.
        answer: the token that should follow (B, L), NONE where none is asked for.
        asked: where the answer of a claim should follow (N, 2), as row and token.
        number: how many there are of what a claim speaks of (N), or NONE.
        parts: the class, the region and the number that a claim names (N, 3), NONE without one.
        things: how many of the things of which it is true, and of those of its class, have their middle in an image
            token (N, 2, tokens); below 0 where that is not said.
        image: pixels (B, side, side, 3), uint8, or image tokens (B, tokens, width).
        counts: objects of each class whose middle lies in an image token (B, tokens, classes); in training alone.
    """

    ids: Tensor
    group: Tensor
    position: Tensor
    answer: Tensor
    asked: Tensor
    number: Tensor
    parts: Tensor
    things: Tensor
    image: Tensor
    counts: Tensor | None = None


class ClaimLayout:
    """Lays claims side by side.

    Args:
        short: without what stands between a claim and its answer, and without the end of the answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, short: bool = False) -> None:
        self._tokenizer, self._short = tokenizer, short
        mark = "\x00"
        before, after = chat_text(tokenizer, verify_parts(mark)).split(f" {mark}")
        self.before: list[int] = tokenizer(before, add_special_tokens=False)["input_ids"]
        self._after = after
        ends = tokenizer([f"{word}<|im_end|>" for word in ANSWERS.values()], add_special_tokens=False)["input_ids"]
        self._answers = {true: end[:1] if short else end for true, end in zip(ANSWERS, ends, strict=True)}
        self._num_after = len(tokenizer(after, add_special_tokens=False)["input_ids"])

    def encode(self, claims: Sequence[Claim]) -> list[list[int]]:
        """The tokens of each claim, from the space before it to where the answer begins."""
        texts = [f" {claim.words}{self._after}" for claim in claims]
        found: list[list[int]] = self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        return [[*tokens[: -self._num_after], tokens[-1]] for tokens in found] if self._short else found

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
        answer = torch.full(shape, NONE)
        first, placed, asked = len(self.before), list[Claim](), list[tuple[int, int]]()
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
                if self._short:
                    position[row, here.stop - 1] += self._num_after - 1
                answer[row, here.stop - len(right) : here.stop] = torch.tensor(right)
                asked.append((row, here.stop - len(right)))
                placed.append(claim)
                end = here.stop
        numbers = torch.tensor([NONE if claim.number is None else claim.number for claim in placed])
        parts, things = torch.tensor([_parts(claim) for claim in placed]), np.stack([_things(c) for c in placed])
        image = torch.stack([image for _, image in rows])
        where = torch.tensor(asked)
        return ClaimBatch(ids, group, position, answer, where, numbers, parts, torch.from_numpy(things), image)


def _parts(claim: Claim) -> tuple[int, int, int]:
    return (
        CLASSES.index(claim.name) if claim.name else NONE,
        REGIONS.index(claim.place) if claim.place else NONE,
        NONE if claim.said is None else min(claim.said, MOST + 1),
    )


def _things(claim: Claim) -> NDArray[np.float32]:
    """(2, tokens)."""
    if claim.about is None or claim.among is None:
        return np.full((2, TOKENS * TOKENS), -1, np.float32)
    return np.stack([things_in_tokens(claim.about), things_in_tokens(claim.among)])


class Claims(IterableDataset[ClaimBatch]):
    """Batches of claims without end, the same ones for the same step at which training stands."""

    def __init__(
        self,
        scenes: Scenes,
        tokenizer: PreTrainedTokenizerFast,
        first_step: int,
        short_until: int,
        own: Mapping[int, str] | None = None,
    ) -> None:
        """Prepare to make batches.

        Args:
            short_until: the step from which on claims are laid out whole.
            own: what the captioner wrote of views of the scenes, if it learns from that too.
        """
        self._scenes, self._tokenizer, self._first = scenes, tokenizer, first_step
        self._short_until, self._own = short_until, own or {}

    def __iter__(self) -> Iterator[ClaimBatch]:
        short, whole = ClaimLayout(self._tokenizer, short=True), ClaimLayout(self._tokenizer)
        maker = ClaimMaker([self._scenes.truth(number) for number in range(min(2000, len(self._scenes)))])
        step = self._first
        while True:
            random, ahead = np.random.default_rng([11, step]), Counter[str]()
            rows, counts = [], []
            views = list(self._own) or range(self._scenes.num_views * len(self._scenes))
            for number in (views[at] for at in random.integers(len(views), size=ROWS).tolist()):
                image, scene = self._scenes[number]
                own = claims_of_own(self._own[number], scene, random) if self._own else []
                rows.append((some_claims(maker, scene, ahead, random, own), torch.from_numpy(np.array(image))))
                counts.append(object_counts(scene))
            batch = (short if step < self._short_until else whole).batch(rows)
            yield replace(batch, counts=torch.from_numpy(np.stack(counts)))
            step += 1


def some_claims(
    maker: ClaimMaker, scene: Scene, ahead: Counter[str], random: np.random.Generator, own: Sequence[Claim] = ()
) -> list[Claim]:
    """Claims of all kinds, those of the captioner's own text (`own`) among them.

    `ahead` holds by how many the true ones of a kind lead, so that they come out even.
    """
    ways, found = list(SHARES), [*own, *maker.of_text(scene, FROM_TEXT, random)]
    shares = np.array([*SHARES.values()]) / sum(SHARES.values())
    for way in random.choice(len(ways), size=MOST_CLAIMS - len(found), p=shares).tolist():
        name = ways[way]
        true = ahead[name] < 0 or (ahead[name] == 0 and bool(random.random() < 0.5))
        tries = (maker.ways[name](scene, true, random) for _ in range(4))
        if claim := next((claim for claim in tries if claim is not None), None):
            found.append(claim)
            ahead[name] += 1 if true else -1
    random.shuffle(found)
    return found
