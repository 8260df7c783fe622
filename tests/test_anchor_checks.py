"""What a caption says of the labelled classes: named or not, and how many."""

from __future__ import annotations

import pytest
from lrs2m_builder.checks.objects import counts_said, is_named

from lrs2m_builder.checks import ANCHOR_COUNT, ANCHOR_MISSING
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
    ],
)
def test_another_word_is_no_name(anchor: str, text: str) -> None:
    assert not is_named(anchor, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("two planes", [(2, True)]),
        ("12 large white planes", [(12, True)]),
        ("a pair of planes", [(2, True)]),
        ("three planes and two ships", [(3, True)]),
        ("two roads and planes", []),
        ("a plane near the building", []),
        ("several planes", [(3, False)]),
        ("two rows of planes", []),
        ("Four houses, planes beside them", []),
        ("two planes on the left and three planes on the right", [(2, True), (3, True)]),
        ("a single small plane", [(1, True)]),
    ],
)
def test_the_number_of_a_class_is_the_nearest_before_it(text: str, said: list[tuple[int, bool]]) -> None:
    assert counts_said("plane", text) == said


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (3, "Four planes stand there."),
        (3, "Two planes stand there."),
        (1, "A pair of planes stands there."),
        (2, "Several planes stand there."),
        (4, "Ten planes on the left and two planes on the right."),
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
    ],
)
def test_the_labels_number_a_part_of_it_or_none_passes(count: int | None, text: str) -> None:
    assert ANCHOR_COUNT.find(make_answer(text, anchors=(Anchor("plane", count),))) is None


def test_all_missing_classes_are_told_at_once() -> None:
    anchors = (Anchor("plane", 1), Anchor("ship", 2), Anchor("bridge", 1))
    found = ANCHOR_MISSING.find(make_answer("A ship passes.", anchors=anchors))
    assert found == "The answer did not mention: plane, bridge. Mention each of them."
