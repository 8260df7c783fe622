"""The claims that the demo captioner learns to judge: true ones are true, and side by side they are judged as alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration

from captioner_training.claim_loss import answer_logits, look_loss
from captioner_training.claim_words import Claim
from captioner_training.claims import ClaimMaker
from captioner_training.judging import ClaimLayout, some_claims
from captioner_training.model import TOKENS, WIDTH, Trainee, deeper_model, make_model
from captioner_training.own_texts import Sampling, claims_of_own, sample_texts
from captioner_training.questions import chat_text, no_hint_parts
from captioner_training.said import decided, statement
from captioner_training.scenes import shrunk
from captioner_training.texts import plain_long
from captioner_training.tokens import prompt_parts, verify_tokens
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject, draw_scene
from lrs2m_builder.sample.words import NUMBERS
from lrs2m_builder.verify.claims import claims_of

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


def test_a_claim_of_a_text_is_true_of_its_scene_and_false_with_another_number_place_or_class(
    scenes: list[Scene], maker: ClaimMaker
) -> None:
    random, seen = np.random.default_rng(0), Counter[tuple[str, bool]]()
    for scene in scenes:
        for claim in maker.of_text(scene, 6, random):
            seen[claim.kind, claim.is_true] += 1
            if found := statement(claim.words):
                assert found[0].is_false(scene) != claim.is_true, claim.words
    for kind in ("text object", "text count", "text place"):
        assert min(seen[kind, True], seen[kind, False]) > NUM_SCENES / 2


@pytest.mark.parametrize(
    ("words", "false"),
    [
        ("There are two red cars in the image.", False),
        ("There are three red cars in the image.", True),
        ("There is a blue car in the image.", True),
        ("There is one car in the upper left of the image.", False),
        ("There are cars at the bottom of the image.", True),
        ("There are two cars in the upper half of the image.", False),
    ],
)
def test_the_truth_of_a_scene_tells_which_claims_of_its_things_are_false(words: str, false: bool) -> None:
    found = statement(words)
    assert found is not None
    assert found[0].is_false(scene_with(("car", "red", (20, 20)), ("car", "red", (112, 20)))) == false


def test_what_is_said_of_a_kind_of_scene_is_not_taken_for_a_claim_of_its_class() -> None:
    assert statement("There is a storage tank in the image.")
    assert statement("There is a storage tank farm in the image.") is None


def test_no_claim_of_a_true_text_is_called_false_and_a_wrong_number_is(scenes: list[Scene]) -> None:
    for scene in scenes:
        known = [decided(claim.words, claim.kind, scene) for claim in claims_of(plain_long(scene))]
        assert [claim.words for claim in known if claim and not claim.is_true] == []
        assert sum(claim is not None for claim in known) >= len(scene.counts)
    text = "The image shows a park with three cars and one pond."
    claims = claims_of_own(
        text, scene_with(("car", "red", (20, 20)), ("pond", "blue", (80, 80))), np.random.default_rng(0)
    )
    assert {(claim.words, claim.is_true) for claim in claims if claim.kind == "text own count"} == {
        ("There are three cars in the image.", False),
        ("There is one pond in the image.", True),
    }


def test_texts_written_side_by_side_are_those_written_alone(scenes: list[Scene]) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(CAPTIONER)
    model = Qwen2VLForConditionalGeneration.from_pretrained(CAPTIONER, dtype=torch.float32)
    trainee, greedy = Trainee(model).eval(), Sampling(temperature=1.0, top_p=1e-6)
    hinted = prompt_parts("short_to_long", captions=("Some cars are in a park.",))
    prompts = [chat_text(tokenizer, parts) for parts in (no_hint_parts(), hinted)]
    images = torch.from_numpy(np.stack([np.asarray(shrunk(scene.image)) for scene in scenes[:2]]))
    texts = sample_texts(trainee, tokenizer, prompts, images, greedy, torch.Generator())
    alone = [
        sample_texts(trainee, tokenizer, [prompts[n]], images[n : n + 1], greedy, torch.Generator()) for n in range(2)
    ]
    assert texts == [text for (text,) in alone]
    assert all(text.startswith("The image shows ") and text.endswith(".") for text in texts)


def scene_with(*things: tuple[str, str, tuple[float, float]]) -> Scene:
    """A scene in which small things have their middle at these points."""
    objects = tuple(SceneObject(name, color, (x - 3, y - 3, x + 3, y + 3), (), 6, 6) for name, color, (x, y) in things)
    return replace(draw_scene(SEED, 0), objects=objects)


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


def test_the_layer_that_is_added_for_claims_changes_no_answer() -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(CAPTIONER)
    model = make_model(tokenizer)
    ids = torch.tensor([tokenizer("There are three planes in the image.")["input_ids"]])
    with torch.inference_mode():
        before, after = Trainee(model).text_logits(ids, None), Trainee(deeper_model(model)).text_logits(ids, None)
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


def test_a_head_that_looks_at_the_things_loses_less_than_one_that_looks_elsewhere() -> None:
    is_image, things = torch.tensor([[True] * 4 + [False]]), torch.tensor([[[1.0, 0, 0, 0], [1.0, 1, 0, 0]]])
    right, uneven = torch.tensor([0.5, 0, 0, 0, 0.5]), torch.tensor([0.2, 0.2, 0.2, 0.2, 0.2])
    both = torch.tensor([1 / 3, 1 / 3, 0, 0, 1 / 3])
    assert look_loss(torch.stack([right, both])[None], is_image, things) < look_loss(
        torch.stack([uneven, uneven])[None], is_image, things
    )
