"""A long text keeps to what is known of the image, and a short text to its long text."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from lrs2m_builder.checks import COPY, DIRECTION, SUMMARY_COUNT, SUMMARY_OBJECT, UNSUPPORTED_OBJECT, Answer
from lrs2m_builder.checks.reading import vocabulary as vocabulary_module
from lrs2m_builder.checks.reading.vocabulary import vocabulary
from lrs2m_builder.schema import Anchor
from tests.test_checks import make_answer


def told(text: str, *hints: str, label: str = "", anchors: tuple[Anchor, ...] = ()) -> Answer:
    answer = make_answer(text)
    return replace(answer, sample=replace(answer.sample, captions=hints, label=label, anchors=anchors))


def summary(text: str, source: str) -> Answer:
    return replace(make_answer(text), source=source)


def test_every_class_that_the_vocabulary_refers_to_is_in_it() -> None:
    data = yaml.safe_load(vocabulary_module._DATA.read_text())
    classes = {**data["objects"], **data["scenery"]}
    named = {
        name for about in classes.values() for key in ("is", "has", "signs", "loose") for name in about.get(key, ())
    }
    assert named and named <= classes.keys()


def test_no_class_is_written_twice() -> None:
    lines = [
        line for line in vocabulary_module._DATA.read_text().splitlines() if line.startswith("  ") and ": {" in line
    ]
    names = [line.split(":")[0].strip() for line in lines]
    assert len(names) == len(set(names)) == len(vocabulary().general)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Cars and trucks line the road.", "many vehicles on a street"),
        ("A cathedral stands there.", "a large building"),
        ("The taxiway leads to a terminal with planes.", "this is an airport"),
        ("Waves roll onto the sand.", "a beach"),
        ("Bunkers lie on the grass.", "a golf course"),
        ("A footbridge leads to the water.", "a bridge"),
    ],
)
def test_an_object_that_the_hint_names_or_implies_is_supported(text: str, hint: str) -> None:
    assert UNSUPPORTED_OBJECT.find(told(text, hint)) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("A church stands by the river.", "planes at the airport"),
        ("Boats lie at a pier.", "a desert"),
        ("A basketball court lies there.", "three tennis courts"),
        ("A swimming pool lies at the edge.", "a dense forest"),
    ],
)
def test_an_object_that_nothing_names_is_found(text: str, hint: str) -> None:
    assert UNSUPPORTED_OBJECT.find(told(text, hint))


def test_label_and_anchors_support_objects_too() -> None:
    text = "A ship passes the runway."
    assert UNSUPPORTED_OBJECT.find(told(text, label="Airport", anchors=(Anchor("ship"),))) is None


def test_scenery_is_never_unsupported() -> None:
    text = "Trees, lawns, bushes, bare soil and a dirt path lie in the shadow."
    assert UNSUPPORTED_OBJECT.find(told(text, "a storage tank")) is None


def test_an_object_that_is_denied_or_compared_with_is_not_unsupported() -> None:
    text = "Dunes roll like waves, no boats are in sight, and one is shaped like a plane."
    assert UNSUPPORTED_OBJECT.find(told(text, "a desert with dunes")) is None


def test_where_nothing_is_known_nothing_is_unsupported() -> None:
    assert UNSUPPORTED_OBJECT.find(told("A stadium by the sea.")) is None


@pytest.mark.parametrize(
    ("text", "source", "bad"),
    [
        ("Vehicles on a road.", "Cars drive along a street.", False),
        ("Trucks on a road.", "Vehicles drive along a street.", True),
        ("Ferries at a pier.", "Ships lie at a pier.", True),
        ("A residential area.", "Rows of houses with lawns.", False),
        ("A river with ships.", "No ships are on the river.", True),
        ("A stadium and a parking lot.", "The parking lot curves like the stands of a stadium.", True),
    ],
)
def test_a_summary_names_what_its_source_names_or_something_more_general(text: str, source: str, bad: bool) -> None:
    assert bool(SUMMARY_OBJECT.find(summary(text, source))) == bad


@pytest.mark.parametrize(
    ("text", "source", "bad"),
    [
        ("Five planes.", "Two planes are on the left, three more planes on the right.", False),
        ("Several planes.", "Three planes are parked.", False),
        ("Two ships.", "A ship lies on the left and another ship on the right.", False),
        ("Three planes.", "Several planes are parked.", True),
        ("Four planes.", "Three planes are parked.", True),
        ("Two rows of trees.", "Three rows of trees.", True),
        ("Three soccer fields and six tennis courts.", "Three soccer fields and five tennis courts.", True),
    ],
)
def test_a_summary_gives_the_numbers_of_its_source(text: str, source: str, bad: bool) -> None:
    assert bool(SUMMARY_COUNT.find(summary(text, source))) == bad


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("A harbor with many white boats.", True),
        ("There is a harbor with many white boats", True),
        ("A long pier with a crane reaches into the", True),
        ("A long pier.", False),
        ("White boats fill a harbor with a pier.", False),
    ],
)
def test_a_sentence_of_the_source_or_its_beginning_is_a_copy(text: str, bad: bool) -> None:
    source = (
        "The image shows a harbor with many white boats. A long pier with a crane reaches into the sea on the left."
    )
    assert bool(COPY.find(summary(text, source))) == bad


@pytest.mark.parametrize(
    "text",
    [
        "A pond lies on the left of the image. The pond on the right side is green.",
        "A lake surrounded by trees is at the top. It lies in the lower half of the image.",
        "In the upper left corner lies a stadium. The stadium is at the bottom of the image.",
        "The left side of the image is occupied by a gazebo. The gazebo stands on the right side.",
        "The tower is to the left of the church. The tower is to the right of the church.",
        "The school lies north of the park. The park lies north of the school.",
    ],
)
def test_one_thing_at_two_opposite_places_is_found(text: str) -> None:
    assert DIRECTION.find(make_answer(text))


@pytest.mark.parametrize(
    "text",
    [
        "One pond is on the left, another on the right.",
        "Trees stand on the left and right. The trees on the right are green.",
        "A road runs from the upper left to the lower right corner.",
        "A church stands in the upper left corner. The church on the left has a red roof.",
        "The right side of the pond is lined with trees, the left side of the pond with reeds.",
        "A house on the left stands right next to the road. The house is white.",
        "There is a house on the left and a house on the right. The house on the right has a pool.",
        "The tower is to the left of the church. The church is to the right of the tower.",
        "A river enters at the top of the image. At the bottom, a bridge spans the river.",
    ],
)
def test_several_things_parts_and_crossing_lines_are_no_contradiction(text: str) -> None:
    assert DIRECTION.find(make_answer(text)) is None
