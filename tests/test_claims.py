"""Every word of a text that could be wrong is in a claim, and the claims say what the text says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lrs2m_builder.checks.reading.nouns import read
from lrs2m_builder.checks.reading.number_words import number_at
from lrs2m_builder.checks.reading.tokens import token_spans
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.texts import write_texts
from lrs2m_builder.verify.claims import Claim, claims_of, sentence_spans

SEED, NUM_SCENES = 2000, 12
# One word for another of its kind: places, colours, sizes, relations.
_PAIRS = "left right, upper lower, red blue, gray orange, green white, large small, near across, along under, on behind"
SWAPS = {one: other for pair in _PAIRS.split(",") for one, other in (pair.split(), pair.split()[::-1])}


def statements(text: str, kind: str | None = None) -> list[str]:
    return [claim.words for claim in claims_of(text) if kind in (None, claim.kind)]


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("A red tractor drives through a field.", "object", "There is a red tractor in the image."),
        ("Many green trees can be seen.", "object", "There are many green trees in the image."),
        ("A small body of water is visible.", "object", "There is a small body of water in the image."),
        ("Water and grass are visible.", "object", "There is grass in the image."),
        ("Roofs cast shadows over an urban area.", "object", "There is an urban area in the image."),
        ("Thirteen white planes are visible in the image.", "count", "There are thirteen white planes in the image."),
        ("There are a total of 11 trucks and 5 cars.", "count", "There are five cars in the image."),
        ("Three planes are seen, two on the left.", "place", "There are two planes on the left of the image."),
        (
            "The houses are seen, one on the left and two at the top.",
            "place",
            "There is one house on the left of the image.",
        ),
        ("One plane is in the image's center.", "place", "There is one plane in the center of the image."),
        ("In the top left corner, there is a pond.", "place", "There is a pond in the upper left corner of the image."),
        ("The pond is in the left half.", "place", "There is a pond in the left half of the image."),
        ("Four planes are parked in an open field.", "relation", "There are four planes parked in an open field."),
        ("The pond lies to the left of the road.", "relation", "The pond is to the left of the road."),
        ("There are no ships in the image.", "denial", "There are no ships in the image."),
        ("No cars or trucks are visible.", "denial", "There are no trucks in the image."),
        ("There are no objects such as airplanes or cars.", "denial", "There are no cars in the image."),
    ],
)
def test_a_statement_is_asked_in_the_words_of_the_text(text: str, kind: str, expected: str) -> None:
    assert expected in statements(text, kind)


@pytest.mark.parametrize(
    "text",
    [
        "Four planes are parked in an open field.",
        "In the parking lot, there are ten cars.",
        "Two of the planes are white.",
        "The other two planes are white.",
        "Houses with two cars each line the road.",
        "There are about ten cars.",
        "Both banks are green.",
    ],
)
def test_a_number_of_a_part_is_not_counted_in_the_whole_image(text: str) -> None:
    assert statements(text, "count") == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("There are no vehicles on the road.", "There are no vehicles in the image."),
        ("There are no objects such as airplanes.", "There are airplanes in the image."),
        ("The roof is shaped like a ship.", "There is a ship in the image."),
        ("An avenue separates the houses on the left from those on the right.", "There is an avenue on the left"),
        ("Its left end touches a car park.", "There is a car park on the left of the image."),
        ("A dense town viewed from above. Tall buildings stand there.", "The dense town is above the tall buildings."),
        ("A station with two towers stands beside a canal.", "There are two towers beside a canal."),
    ],
)
def test_nothing_is_claimed_that_the_text_does_not_say(text: str, wrong: str) -> None:
    assert not any(words.startswith(wrong) for words in statements(text))


def test_a_sentence_that_says_more_than_its_claims_is_a_claim_itself() -> None:
    assert statements("There are three planes in the image.", "sentence") == []
    assert statements("Three planes glitter in the image.", "sentence") == ["Three planes glitter in the image."]


def test_a_sentence_that_points_back_is_asked_with_the_one_before() -> None:
    first, second = "There are many cars.", "Some of them are red."
    assert statements(f"{first} {second}", "sentence") == [f"{first} {second}"]


def test_a_claim_knows_its_sentence_and_its_place_in_the_text() -> None:
    text = "A pond lies there.  İt has\nthree red boats in the upper left."
    claim = next(claim for claim in claims_of(text) if claim.number == 3)
    assert claim == Claim(
        "place", "There are three red boats in the upper left of the image.", claim.start, claim.end, 1, "ship", 3,
        "in the upper left",
    )  # fmt: skip
    assert text[claim.start : claim.end] == "three red boats in the upper left"


def test_a_relation_is_asked_once() -> None:
    assert statements("Two ponds lie above the road.", "relation") == ["There are two ponds above the road."]


def test_a_class_that_only_describes_another_is_part_of_its_name() -> None:
    assert statements("It is a storage tank farm.", "object") == ["There is a storage tank farm in the image."]


def test_a_thing_that_is_named_again_is_not_asked_again() -> None:
    assert statements("Three white planes are there. The planes are visible.", "object") == [
        "There are white planes in the image."
    ]


def sample_texts() -> list[str]:
    return [write_texts(draw_scene(SEED, index)).long for index in range(NUM_SCENES)]


def real_texts(real_data: Path) -> list[str]:
    annotations = json.loads((real_data / "rsicap" / "captions_excerpt.json").read_text())["annotations"]
    return [str(entry["text_output"]) for entry in annotations]


def test_nineteen_in_twenty_sentences_of_real_captions_give_a_claim(real_data: Path) -> None:
    sentences = claimed = 0
    for text in real_texts(real_data):
        sentences += sum(1 for _ in sentence_spans(text))
        claimed += len({claim.sentence for claim in claims_of(text)})
    assert sentences > 100 and claimed >= 0.95 * sentences


def planted(text: str) -> list[tuple[str, str]]:
    """The text with one word wrong, in every way that the words of this file allow, and that word."""
    known, found = read(text), []
    heads = {mention.end - 1 for mention in known.asserted if not mention.weak}
    for position, (start, end) in enumerate(token_spans(text)):
        token = known.tokens[position]
        number = number_at(known.tokens, position)
        word = SWAPS.get(token) or ("submarine" if position in heads else "")
        if number is not None and number[2] == "exact" and token != "a":
            word = "seventeen"
        if word:
            hyphen = text[start] if text[start] == "-" else ""
            found.append((f"{text[:start]}{hyphen}{word}{text[end:]}", word))
    return found


def test_one_wrong_word_of_any_kind_is_in_a_new_claim() -> None:
    missed, tried = [], 0
    for text in sample_texts():
        known = set(map(str.lower, statements(text)))
        for wrong, word in planted(text):
            tried += 1
            if not any(word in claim and claim not in known for claim in map(str.lower, statements(wrong))):
                missed.append((word, wrong))
    # "One on the left and one on the left" is one statement: two like it are not told apart.
    assert tried > 250 and len(missed) <= 0.02 * tried, missed[:3]
