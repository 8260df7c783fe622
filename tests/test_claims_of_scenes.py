"""The claims that the demo captioner learns to judge: true ones are true, and side by side they are judged as alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration

from captioner_training.claim_loss import answer_logits
from captioner_training.claim_words import Claim
from captioner_training.claims import ClaimMaker
from captioner_training.judging import ClaimLayout, some_claims
from captioner_training.model import TOKENS, WIDTH, Trainee
from captioner_training.tokens import verify_tokens
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.sample.words import NUMBERS

SEED = 3000
NUM_SCENES = 40


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(SEED, index) for index in range(NUM_SCENES)]


@pytest.fixture(scope="module")
def maker(scenes: list[Scene]) -> ClaimMaker:
    return ClaimMaker(scenes)


@pytest.mark.parametrize("true", [True, False])
def test_a_claim_of_a_number_is_true_where_the_scene_holds_so_many(
    scenes: list[Scene], maker: ClaimMaker, true: bool
) -> None:
    random, asked = np.random.default_rng(0), 0
    for scene in scenes:
        if claim := maker.ways["count"](scene, true, random):
            words = claim.words.lower().rstrip(".").split()
            said = next(number for number, word in enumerate(NUMBERS) if word in words or str(number) in words)
            assert (said == claim.number) == true
            assert claim.number in scene.counts.values()
            asked += 1
    assert asked > NUM_SCENES / 4


def test_what_is_said_to_be_absent_is_not_in_the_scene(scenes: list[Scene], maker: ClaimMaker) -> None:
    random = np.random.default_rng(0)
    for scene in scenes:
        assert maker.object_claim(scene, False, random).number == 0
        assert maker.denial_claim(scene, True, random).number == 0
        assert maker.absent(scene, random) in set(CLASSES) - set(scene.counts)


def test_of_every_kind_half_of_the_claims_are_true(scenes: list[Scene], maker: ClaimMaker) -> None:
    random, ahead = np.random.default_rng(0), Counter[str]()
    for scene in scenes * 4:
        assert some_claims(maker, scene, ahead, random)
    assert max(map(abs, ahead.values())) <= 1


def test_the_instruction_and_each_answer_are_one_token_of_the_shipped_captioner() -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(CAPTIONER)
    for token in verify_tokens():
        assert len(tokenizer(token.content, add_special_tokens=False)["input_ids"]) == 1
    assert len(tokenizer("nose", add_special_tokens=False)["input_ids"]) > 1  # not "no" and a rest


def test_claims_side_by_side_are_judged_as_each_alone() -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(CAPTIONER)
    model = Qwen2VLForConditionalGeneration.from_pretrained(CAPTIONER, dtype=torch.float32)
    trainee, layout = Trainee(model).eval(), ClaimLayout(tokenizer)
    image = torch.randn(TOKENS * TOKENS, WIDTH, generator=torch.Generator().manual_seed(0))
    words = ("There are three planes in the image.", "There are no ships.", "The pond is in the upper left.")
    claims = [Claim(text, True, "any") for text in words]
    with torch.inference_mode():
        together = answer_logits(trainee, layout.batch([(claims, image)]))
        alone = torch.cat([answer_logits(trainee, layout.batch([([claim], image)], 128)) for claim in claims])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-3)
