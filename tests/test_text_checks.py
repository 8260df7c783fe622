"""An answer is plain English prose: asides, markup, broken characters and other languages are found."""

from __future__ import annotations

import random

import pytest

from lrs2m_builder.checks import CUT_OFF, LANGUAGE, MARKDOWN, META_TEXT, MOJIBAKE, REFUSAL, REPETITION, Check
from tests.test_checks import SCENE, cases, make_answer

FOUND = {
    META_TEXT: [
        "A harbor with boats. I hope this helps!",
        "A harbor with boats. (98 words)",
        "A harbor with boats. Note: the number is estimated.",
        "This description captures a harbor with boats.",
        "A harbor with boats. Let me know if you need more.",
    ],
    MARKDOWN: [
        "- trees\n- roads",
        "1. A road\n2. A river",
        "# Harbor\nBoats lie here.",
        "A **harbor** with boats.",
        "A harbor with *many* boats.",
        "```\nA harbor.\n```",
        "| a | b |\n|---|---|",
        "A [harbor](http://x.y).",
        "<p>A harbor.</p>",
        '{"caption": "A harbor."}',
        "A harbor with [number] boats.",
        "A harbor with boats.<|im_end|>",
        "### Response: A harbor with boats.",
    ],
    MOJIBAKE: ["A harbor \ufffd with boats.", "A har\u00adbor.", "A \ue000 harbor.", "20 \u00c2\u00c2 slope."],
    LANGUAGE: [
        "A river flows through the town. Die Häuser haben rote Dächer.",
        "Muchos barcos están en el puerto.",
        "许多飞机停在机场上。",
        "A harbor with boats. В гавани стоят лодки.",
        "Viele grüne Bäume.",
    ],
}
PASSES = {
    META_TEXT: [
        SCENE,
        "The image shows a harbor, and overall the scene is calm.",
        "This aerial photograph captures a harbor.",
        'A sign with the words "PLEASE NOTE: I SEE YOU" stands at the gate.',
    ],
    MARKDOWN: [
        SCENE,
        "A road 3.5 m wide leads to runway No. 2, at gate #4.",
        "A long-needed bridge - the only one - crosses the river.",
        "A harbor.\nA port.",
        "Two types, (a) and (b), are seen.",
    ],
    MOJIBAKE: [SCENE, "A café at 20°, 5 m² large – 3 × 4 m.", "🌳 trees, 👨‍👩‍👧 family"],
    LANGUAGE: [
        SCENE,
        "Many planes parked airport.",
        "many buildng and trees are arond the plaground",
        "A hacienda on the Île de la Cité.",
        "some boats in marina",
    ],
}


@pytest.mark.parametrize(("check", "text"), cases(FOUND))
def test_what_is_no_plain_english_prose_is_found(check: Check, text: str) -> None:
    assert check.find(make_answer(text))


@pytest.mark.parametrize(("check", "text"), cases(PASSES))
def test_plain_english_prose_passes(check: Check, text: str) -> None:
    assert check.find(make_answer(text)) is None


@pytest.mark.parametrize("text", ["The river flows past a", "Trees, roads and", "Houses lie in the", "A flat roof,"])
def test_an_answer_that_ends_in_the_middle_is_cut_off(text: str) -> None:
    assert CUT_OFF.find(make_answer(text))


@pytest.mark.parametrize("text", ["a river with trees around", "planes at gate A", "Trees stand in the", ""])
def test_an_answer_that_ends_with_a_full_stop_or_a_noun_is_whole(text: str) -> None:
    closed = text + "." if text.endswith("the") else text
    assert CUT_OFF.find(make_answer(closed)) is None


def test_what_is_painted_on_a_roof_is_no_refusal() -> None:
    assert REFUSAL.find(make_answer('A sign says "I\'M SORRY" in white letters.')) is None
    assert REFUSAL.find(make_answer("I'm sorry, I see nothing."))


def test_the_short_cut_for_ascii_finds_the_same_repetitions() -> None:
    """With another letter in place of one of its letters, a text takes the long way."""
    drawn, found = random.Random(5), 0
    pieces = ["a", "tree", "Tree", "x-tree", "x.5", "it's", "the", "a_b", "1,000", "1", "000", "roof,", "roof.", "(a)"]
    for _ in range(2000):
        text = " ".join(drawn.choices(pieces, k=drawn.randint(1, 30))).replace("tree", "trez")
        short = REPETITION.find(make_answer(text))
        assert short == REPETITION.find(make_answer(text.replace("z", "é"))), text
        found += short is not None
    assert 100 < found < 1900
