"""Each check finds what it is for and lets honest captions pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrs2m_builder.checks import (
    CUT_OFF,
    EMPTY,
    HINT_LEAK,
    PREAMBLE,
    REFUSAL,
    REPETITION,
    Answer,
    Check,
    clip_budget,
    override_levels,
    parse_levels,
    split_words,
    word_range,
)
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Anchor, Sample
from lrs2m_builder.text import normalise_caption
from lrs2m_builder.tokenizer import count_tokens

SAMPLE = Sample("toy/1.tif#0", "toy", "1.tif", None, ("Two planes on the apron .",))
SCENE = (
    "An airport with two terminals lies in the center of the image, and a dozen white planes stand beside it. "
    "A long gray runway runs from the top left to the bottom right, and green fields surround the whole scene."
)

FOUND = {
    EMPTY: ["", "  \n\t ", "...", "** — **", "🌳🌳"],
    REFUSAL: [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, I cannot describe this image.",
        "Sorry, no image was provided.",
        "As an AI language model, I do not see pictures.",
        "Unfortunately, I am unable to view the satellite image.",
        "I apologize for the confusion; the scene is a harbor.",
        "The image could not be loaded, so the description is a guess.",
        "Please upload the aerial image again.",
        "A river, I regret to say, is all there is, as we are not able to see more.",
    ],
    PREAMBLE: [
        "Sure! The image shows a river.",
        "Certainly, the aerial image shows a harbor with boats.",
        "Here is a detailed caption of the image: A river winds through fields.",
        "Here’s the caption: A river winds through fields.",
        "**Caption:** A river winds through fields.",
        "Long caption: a river winds through fields.",
        "Below is a long description of the scene. A river winds.",
        "I will describe the image. A river winds through fields.",
        "Assistant: A river winds through fields.",
        "Of course. A river winds through fields.",
    ],
    HINT_LEAK: [
        "As mentioned in the hint, the area is a harbor.",
        "According to the caption, two planes are parked.",
        "The given caption says that there are two planes.",
        "The short description mentions farmland.",
        "Based on the provided description, this is a river.",
        "The scene is a beach, which matches the caption.",
        "The user mentioned a desert, and sand covers the image.",
        "As you said, there are many trees.",
        "A runway, as described above, crosses the image.",
        "In line with the given hint, cars fill the freeway.",
    ],
    REPETITION: [
        "A road. " + "There is a white house here. " * 3,
        "The road has cars and cars cars cars cars cars cars.",
        "green trees and a road beside the river bank " * 4,
        "A house. A house. A house. A house.",
        "There are many trees near the road in the scene, " * 5 + "and a house.",
    ],
}
PASSES = {
    EMPTY: ["Trees.", "1", "A", "森林", SCENE],
    REFUSAL: [
        "A sorry-looking field of stubble lies beside the road.",
        "The cars under the trees cannot be counted.",
        "The bridge could not be wider than two lanes.",
        "Ponds provide water to the fields around them.",
        "An unfortunately placed shed blocks the lane.",
        "Gates A and I can be seen at the terminal.",
        "The road could be loaded with trucks, and no image of it is sharper.",
        SCENE,
    ],
    PREAMBLE: [
        "Here a river bends around a village.",
        "Here are the runways of an airport, two of them crossing.",
        "Great fields stretch to the north of the road.",
        "This is an aerial view of a harbor.",
        "The user-friendly layout of the car park has wide lanes.",
        "User-built huts stand along the shore.",
        "Final approach lights stand in a row before the runway.",
        "Okra and maize grow in long fields.",
        SCENE,
    ],
    HINT_LEAK: [
        "The label on the roof reads H.",
        "A white label reads 27 at the end of the runway.",
        "Instructions painted on the runway are white.",
        "The instructions painted on the runway stand between two lines.",
        "A user-friendly car park lies beside the mall.",
        "A hint of green is visible along the bank.",
        "The pattern suggests that the field was mown.",
        "As seen from above, the river is brown.",
        "The roof bears the word HOSPITAL, as noted on the wall beside it.",
        SCENE,
    ],
    REPETITION: [
        SCENE,
        "Trees, trees, trees and trees.",
        "Two tennis courts on the left, two tennis courts on the right, two tennis courts at the top of the image.",
        "A house with a red roof and a house with a gray roof and a house with a white roof stand beside the road.",
    ],
}


def make_answer(raw: str, finish_reason: str = "stop", anchors: tuple[Anchor, ...] = ()) -> Answer:
    text = normalise_caption(raw)
    sample = replace(SAMPLE, anchors=anchors)
    return Answer(text, raw, finish_reason, count_tokens(text), sample)


def cases(texts: dict[Check, list[str]]) -> list[object]:
    return [pytest.param(check, text, id=f"{check.name}: {text}") for check in texts for text in texts[check]]


@pytest.mark.parametrize(("check", "text"), cases(FOUND))
def test_a_check_finds_what_it_is_for(check: Check, text: str) -> None:
    assert check.find(make_answer(text))


@pytest.mark.parametrize(("check", "text"), cases(PASSES))
def test_a_check_lets_an_honest_caption_pass(check: Check, text: str) -> None:
    assert check.find(make_answer(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "I won't be able to describe the scene.",
        "There is no image attached to this message.",
        "I don't see any image here.",
        "It seems that the image did not load.",
    ],
)
def test_a_refusal_in_other_words_is_found(text: str) -> None:
    assert REFUSAL.find(make_answer(text))


@pytest.mark.parametrize("text", ["Great, wide fields stretch to the north.", "Sure-footed paths climb the slope."])
def test_a_sentence_that_begins_like_a_chat_reply_passes(text: str) -> None:
    assert PREAMBLE.find(make_answer(text)) is None


@pytest.mark.parametrize("text", ["", "A road", "A road beside a ri", SCENE])
def test_an_answer_is_cut_off_when_the_engine_says_so(text: str) -> None:
    assert CUT_OFF.find(make_answer(text, "length"))
    assert CUT_OFF.find(make_answer(text, "stop")) is None


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", False),
        ("a b", False),
        ("— a , b !", False),
        ("a b c d e f", False),
        ("a b c", True),
        ("a b c d e", True),
        ("L-shaped roofs, 2.5 km", True),
        ("it's well-kept land", True),
    ],
)
def test_a_word_range_takes_its_ends_and_counts_words_alone(text: str, passes: bool) -> None:
    assert (word_range(3, 5).find(make_answer(text)) is None) == passes


@pytest.mark.parametrize("text", ["a river", "a gray road", "planes .", "house"])
def test_a_clip_budget_is_just_enough_and_no_more(text: str) -> None:
    num_tokens = len(text.split()) + 2
    assert clip_budget(num_tokens).find(make_answer(text)) is None
    assert f"{num_tokens} tokens" in (clip_budget(num_tokens - 1).find(make_answer(text)) or "")


def test_a_hyphenated_word_a_contraction_and_a_decimal_are_one_word_each() -> None:
    assert split_words("It's an L-shaped, 2.5 m (tall) _roof_.") == (
        "It's",
        "an",
        "L-shaped",
        "2.5",
        "m",
        "tall",
        "roof",
    )


@pytest.mark.parametrize("check", [REFUSAL, PREAMBLE, HINT_LEAK])
def test_a_finding_quotes_the_words_that_were_found(check: Check) -> None:
    text = FOUND[check][0]
    detail = check.find(make_answer(text)) or ""
    assert detail.split('"')[1] in text


@pytest.mark.parametrize("pair", ["refusal", "refusal=", "refusal=high", "=", "=off", "refusal=off=on", ""])
def test_a_level_that_is_no_level_names_the_levels(pair: str) -> None:
    with pytest.raises(UserError, match=r"error, warn, off|no check ''"):
        parse_levels([pair], ["refusal"])


def test_a_level_for_an_unknown_check_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'refusl'.*known: all, empty, refusal"):
        parse_levels(["refusl=off"], ["refusal", "empty"])


def test_levels_are_read_and_the_last_one_counts() -> None:
    levels = parse_levels(["all=warn", "refusal=off", "refusal=error"], ["refusal"])
    assert levels == {"all": "warn", "refusal": "error"}


def test_all_off_leaves_no_check() -> None:
    assert override_levels([EMPTY, REFUSAL, word_range(1, 2)], {"all": "off"}) == ()


def test_a_named_level_goes_before_all() -> None:
    changed = override_levels([EMPTY, REFUSAL, PREAMBLE], {"all": "warn", "refusal": "error", "preamble": "off"})
    assert [(check.name, check.level) for check in changed] == [("empty", "warn"), ("refusal", "error")]


def test_checks_that_are_not_named_keep_their_level() -> None:
    assert override_levels([EMPTY, REFUSAL], {"refusal": "off"}) == (EMPTY,)
