"""What a caption says of the labelled classes: named or not, and how many."""

from __future__ import annotations

import pytest

from lrs2m_builder.checks import ANCHOR_COUNT, ANCHOR_MISSING
from lrs2m_builder.checks.reading.nouns import is_named, read
from lrs2m_builder.checks.reading.numbers import quantities
from lrs2m_builder.schema import Anchor
from tests.test_checks import make_answer


@pytest.mark.parametrize(
    ("anchor", "text"),
    [
        ("plane", "Two white airplanes are parked at the terminal."),
        ("plane", "An aircraft stands on the apron."),
        ("storage tank", "Round storage tanks fill the lower left."),
        ("storage tank", "A storage-tank lies beside the road."),
        ("small vehicle", "Cars line the street."),
        ("large vehicle", "A few trucks and buses are parked."),
        ("harbor", "Boats lie in the harbour."),
        ("swimming pool", "Houses with pools stand along the road."),
        ("ground track field", "A running track surrounds the lawn."),
        ("bridge", "Two bridges cross the river."),
        ("church", "There are churches in the village."),
        ("city", "The cities are dense."),
        ("building", "Rows of houses."),
    ],
)
def test_a_class_is_named_by_synonyms_plurals_and_hyphens(anchor: str, text: str) -> None:
    assert is_named(anchor, text)


@pytest.mark.parametrize(
    ("anchor", "text"),
    [
        ("plane", "A level plain of farmland."),
        ("ship", "Houses show careful workmanship and friendship."),
        ("small vehicle", "Carpets of grass cover the field."),
        ("harbor", "An airport with a runway."),
        ("bridge", "Cambridge Road passes by."),
        ("storage tank", "A pond beside a field."),
        ("building", "Two planes are seen, one in the center and one at the centre of the apron."),
    ],
)
def test_another_word_is_no_name(anchor: str, text: str) -> None:
    assert not is_named(anchor, text)


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("Small_Car", "Cars line the street."),
        ("StorageTanks", "A tank stands by the road."),
        ("wind mill", "Windmills turn on the hill."),
        ("gazebos", "A gazebo stands in the park."),
        ("Hut/Tent", "A tent stands in the sand."),
        ("Mixed forest", "A forest covers the slope."),
        (
            "Land principally occupied by agriculture, with significant areas of natural vegetation",
            "Farmland and trees.",
        ),
        ("Moors, heathland and sclerophyllous vegetation", "Shrubs cover the slope."),
        ("Industrial or commercial units", "Warehouses of an industrial area."),
    ],
)
def test_a_users_label_is_read_as_captions_would_say_it(label: str, text: str) -> None:
    assert is_named(label, text)


@pytest.mark.parametrize(
    "text",
    [
        "No ships can be seen near the pier.",
        "The basin is free of cranes, ships and buoys.",
        "The harbor lies without any boats or ships.",
        "Ships are not visible in the basin.",
        "The roof is shaped like a ship.",
        "The jetty is ship-shaped.",
    ],
)
def test_a_class_that_is_denied_or_compared_with_is_not_named(text: str) -> None:
    assert not is_named("ship", text)


@pytest.mark.parametrize(
    "text",
    [
        "No cranes, but ships fill the basin.",
        "There are no cranes on the ships.",
        "The harbor has no cranes, and ships lie at the pier.",
        "No fewer than five ships lie there.",
        "The ship's bow is not visible.",
    ],
)
def test_a_denial_ends_with_what_it_denies(text: str) -> None:
    assert is_named("ship", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("two planes", [(2, "exact")]),
        ("12 large, white planes", [(12, "exact")]),
        ("a pair of planes", [(2, "exact")]),
        ("one hundred and five planes", [(105, "exact")]),
        ("1,204 planes", [(1204, "exact")]),
        ("about twenty-one planes", [(21, "about")]),
        ("more than 20 planes", [(20, "more")]),
        ("dozens of planes", [(24, "vague")]),
        ("two roads and planes", []),
        ("a plane near the building", []),
        ("two rows of planes", []),
        ("a four-engine plane", []),
        ("Four houses, planes beside them", []),
        ("two planes on the left and three planes on the right", [(2, "exact"), (3, "exact")]),
    ],
)
def test_a_number_counts_the_noun_that_follows_it(text: str, said: list[tuple[int, str]]) -> None:
    found = [q for q in quantities(read(text)) if q.noun is not None and "plane" in q.noun.classes]
    assert [(q.low, q.kind) for q in found] == said


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (3, "Four planes stand there."),
        (3, "Two planes stand there."),
        (1, "A pair of planes stands there."),
        (2, "Several planes stand there."),
        (4, "Ten planes on the left and two planes on the right."),
        (7, "Two planes on the left and two more on the right."),
        (5, "One plane stands there."),
        (40, "About 20 planes stand there."),
        (15, "More than 20 planes stand there."),
        (5, "Many planes stand there."),
        (6, "The number of planes is 14."),
        (6, "Planes, thirteen in all, stand there."),
    ],
)
def test_a_number_that_is_not_the_labels_is_found(count: int, text: str) -> None:
    assert ANCHOR_COUNT.find(make_answer(text, anchors=(Anchor("plane", count),))) is not None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (3, "Three planes stand there."),
        (3, "Planes stand there."),
        (5, "Two planes on the left and three planes on the right."),
        (5, "Several planes stand there."),
        (None, "Nine planes stand there."),
        (1, "A plane stands there."),
        (5, "A plane stands there."),
        (5, "Two planes are on the left and three on the right."),
        (5, "Three planes are parked and the other two planes taxi."),
        (5, "Two of the planes are white."),
        (5, "One plane taxies while the others are parked."),
        (22, "About 20 planes stand there."),
        (6, "Each of the two terminals has three planes."),
        (9, "Planes stand in two rows."),
        (9, "There is space for 60 planes."),
    ],
)
def test_the_labels_number_a_part_of_it_or_none_passes(count: int | None, text: str) -> None:
    assert ANCHOR_COUNT.find(make_answer(text, anchors=(Anchor("plane", count),))) is None


def test_all_missing_classes_are_told_at_once() -> None:
    anchors = (Anchor("plane", 1), Anchor("ship", 2), Anchor("bridge", 1))
    found = ANCHOR_MISSING.find(make_answer("A ship passes.", anchors=anchors))
    assert found == "The answer did not mention: plane, bridge. Mention each of them."
