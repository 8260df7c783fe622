"""Place names, dates, views and guesses are found, and what only looks like one passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrs2m_builder.checks import DATE, HEDGE, PLACE_NAME, VIEWPOINT, Check
from lrs2m_builder.schema import Anchor, Viewpoint
from tests.test_checks import cases, make_answer

FOUND = {
    PLACE_NAME: [
        "A residential area in Phoenix, Arizona.",
        "A bridge crosses the Danube.",
        "Houses along Elm Street have red roofs.",
        "Paris is seen from above.",
        "The roofs of Dubrovnik are red.",
        "Farmland lies beside Interstate 80.",
        "A stadium in chicago with a green pitch.",
        "Two fields lie next to Central Park.",
    ],
    DATE: [
        "The picture was taken in 2019.",
        "The trees are bare, as in winter.",
        "In early May the fields are green.",
        "Taken on a Sunday, the lot is empty.",
        "The photo dates from 12/03/2011.",
        "An 18th-century castle stands on the hill.",
        "It is spring, and the trees bloom.",
    ],
    HEDGE: [
        "It might be a pond.",
        "A building, perhaps a warehouse, stands at the left.",
        "The field appears to be harvested.",
        "What looks like a pier extends into the lake.",
        "The shape suggests that it is a stadium.",
    ],
}
PASSES = {
    PLACE_NAME: [
        "Orange roofs cover the houses, and Sandy soil covers the hill.",
        "Reading from left to right, there are three planes.",
        "Mobile homes stand in rows.",
        "An American football field lies beside an Olympic-size pool.",
        "The image is from Google Earth.",
        "A Ferris wheel turns beside the T-shaped pier.",
        "The Tennis Courts are next to the Parking Lot.",
        "Many Buildings And Green Trees Are In A Dense Residential Area",
    ],
    DATE: [
        "About 2000 trees stand in rows.",
        "The image has 1920 x 1080 pixels.",
        "The road may be closed, and water falls over the dam.",
        "A hot spring steams in the middle.",
        "The march of the dunes is slow.",
    ],
    HEDGE: [
        "Boats may be seen at the pier.",
        "The road appears at the top of the image.",
        "The water looks dark green.",
        "White arrows indicate the driving direction.",
    ],
}


@pytest.mark.parametrize(("check", "text"), cases(FOUND))
def test_a_claim_that_no_image_bears_out_is_found(check: Check, text: str) -> None:
    assert check.find(make_answer(text))


@pytest.mark.parametrize(("check", "text"), cases(PASSES))
def test_what_only_looks_like_such_a_claim_passes(check: Check, text: str) -> None:
    assert check.find(make_answer(text)) is None


@pytest.mark.parametrize(
    ("check", "text"), [(PLACE_NAME, "A port in Rotterdam."), (DATE, "A port in July."), (DATE, "A port in 2012.")]
)
@pytest.mark.parametrize("where", ["captions", "label", "anchors", "source"])
def test_what_was_given_may_be_named(check: Check, text: str, where: str) -> None:
    answer = make_answer(text)
    given = "rotterdam port, july 2012"
    if where == "source":
        known = replace(answer, source=given)
    else:
        value = {"captions": (given,), "label": given, "anchors": (Anchor(given),)}[where]
        known = replace(answer, sample=replace(answer.sample, **{where: value}))
    assert check.find(answer)
    assert check.find(known) is None


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("This satellite image shows a port.", {"satellite", "overhead"}),
        ("Satellite imagery of a dam.", {"satellite", "overhead"}),
        ("The port, captured by a drone.", {"drone", "overhead"}),
        ("A UAV photo of a field.", {"drone", "overhead"}),
        ("A street-level view of houses.", set()),
        ("An eye-level shot of a road.", set()),
        ("An aerial view of a port.", {"satellite", "aerial", "drone", "overhead"}),
        ("A bird's-eye view, seen from above.", {"satellite", "aerial", "drone", "overhead"}),
        ("Satellite dishes stand on the roof of a satellite town.", {"satellite", "aerial", "drone", "overhead"}),
        ("A drone lies on the lawn.", {"satellite", "aerial", "drone", "overhead"}),
    ],
)
@pytest.mark.parametrize("viewpoint", ["satellite", "aerial", "drone", "overhead"])
def test_a_view_is_that_of_the_manifest(text: str, allowed: set[str], viewpoint: Viewpoint) -> None:
    answer = replace(make_answer(text), viewpoint=viewpoint)
    assert (VIEWPOINT.find(answer) is None) == (viewpoint in allowed)


def test_a_guess_only_warns() -> None:
    assert HEDGE.level == "warn"
