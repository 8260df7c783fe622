"""What a prompt tells of an image's place may be in its text; what nothing told is found."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path

import pytest

from lrs2m_builder.build.prepare import prepare
from lrs2m_builder.build.stages import next_move
from lrs2m_builder.checks import GROUNDED, Answer
from lrs2m_builder.declared.place_words import given_words, place_words
from lrs2m_builder.exchange import Attempt, Request
from lrs2m_builder.schema import Place, Record, Rejection, Sample
from tests.fake_engine import FakeModule
from tests.place_data import folder_manifest, write_images
from tests.toy import toy_options

SCENES = [
    "a residential area with rows of houses and narrow streets",
    "a harbor with several boats moored along two piers",
    "a patchwork of green and brown fields crossed by a dirt road",
    "a dense forest with a small clearing near its center",
    "an industrial site with large grey roofs and a parking lot",
    "a river that curves past a sandy bank and a row of trees",
]
REST = [
    "The colors are muted and the shadows are short.",
    "Some trees stand along the edges.",
    "A road runs from the upper left to the lower right.",
    "The surroundings are mostly open ground.",
]
MONTHS = ["January", "March", "April", "June", "August", "October", "December"]
SENSORS = {
    "sentinel-2a": "Sentinel-2A",
    "landsat-8": "Landsat-8",
    "WORLDVIEW02": "WorldView-2",
    "sentinel-1b": "Sentinel-1",
    "planetscope": "PlanetScope",
    "enmap": "EnMAP",
    "pleiades": "Pleiades",
}


def answer(text: str, given: str = "") -> Answer:
    sample = Sample("a/1", "a", "1.png", None)
    return Answer(text, text, "stop", len(text.split()), sample, viewpoint="satellite", given=given)


def found(text: str, given: str = "") -> list[str]:
    return [check.name for check in GROUNDED if check.find(answer(text, given)) and check.name != "hedge"]


def plain(chance: random.Random) -> str:
    return f"The image shows {chance.choice(SCENES)}. {chance.choice(REST)}"


def invented(chance: random.Random, kind: int) -> str:
    """A sentence with a fact that no image shows."""
    lat, lon = chance.uniform(-60, 70), chance.uniform(-180, 180)
    year, month, day = chance.randint(2001, 2024), chance.choice(MONTHS), chance.randint(1, 28)
    gsd, sensor = chance.choice(["0.3", "0.5", "1", "10", "30"]), chance.choice(list(SENSORS.values()))
    options = (
        [
            f"It lies at {abs(lat):.4f}° {'N' if lat > 0 else 'S'}, {abs(lon):.4f}° {'E' if lon > 0 else 'W'}.",
            f"The scene is centered at latitude {lat:.2f} and longitude {lon:.2f}.",
            f"The coordinates of the center are {lat:.3f}, {lon:.3f}.",
        ],
        [
            f"The picture was taken on {day} {month} {year}.",
            f"It was acquired in {month}.",
            f"The acquisition date is {year}-{chance.randint(1, 12):02d}-{day:02d}.",
            f"The view dates from {month} {year}.",
        ],
        [
            f"It was captured by {sensor}.",
            f"This {sensor} scene is free of clouds.",
            f"The data come from the {sensor} satellite.",
        ],
        [
            f"The ground sampling distance is {gsd} m.",
            f"At a resolution of {gsd} meters per pixel, single houses can be told apart.",
            f"Each pixel covers {gsd} metres on the ground.",
            f"The {gsd} m resolution shows fine detail.",
        ],
    )
    return chance.choice(options[kind])


def told(chance: random.Random) -> tuple[str, Place]:
    """A sentence with a fact that the prompt gave."""
    month = chance.choice(MONTHS)
    platform, shown = chance.choice(list(SENSORS.items()))
    gsd = chance.choice([0.3, 0.5, 10.0, 30.0])
    time = dt.datetime(2020, 1 + MONTHS.index(month), 3, tzinfo=dt.UTC)
    time = time.replace(month=dt.datetime.strptime(month, "%B").month)
    sentence = chance.choice(
        [
            f"It was taken in {month}.",
            f"It was captured by {shown}.",
            f"At {gsd:g} meters per pixel, only large things are seen.",
            f"This {shown} image from {month} has a ground sampling distance of {gsd:g} m.",
            f"The {gsd:g} m resolution shows the layout of the fields.",
        ]
    )
    return sentence, Place(gsd=gsd, platform=platform, datetime=time)


def test_of_100_planted_facts_nearly_all_are_found() -> None:
    chance = random.Random(11)
    texts = [f"{plain(chance)} {invented(chance, number % 4)}" for number in range(100)]
    missed = [text for text in texts if not found(text)]
    assert len(missed) <= 5, missed


def test_of_100_texts_with_given_facts_nearly_none_is_refused() -> None:
    chance = random.Random(12)
    refused = []
    for _ in range(100):
        sentence, place = told(chance)
        text = f"{plain(chance)} {sentence}"
        if names := found(text, given_words(place, ("gsd", "platform", "month"))):
            refused.append((text, names))
    assert len(refused) <= 2, refused


def test_a_text_without_such_facts_passes() -> None:
    chance = random.Random(13)
    texts = [plain(chance) for _ in range(100)]
    assert [text for text in texts if found(text)] == []
    words = (
        "The aqua water of the pool and a modest lawn; a spot of terra cotta; three wide landings and a prisma shape."
    )
    assert "sensor" not in found(words)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(gsd=10.0023, platform="sentinel-2a", lon=1, lat=2), ("10", "Sentinel-2A", None)),
        (Place(gsd=0.3048, datetime=dt.datetime(2017, 6, 13, tzinfo=dt.UTC)), ("0.3", None, "June")),
        (Place(gsd=153.4, platform="WORLDVIEW02"), ("150", "WORLDVIEW02", None)),
        (Place(), (None, None, None)),
    ],
)
def test_a_place_in_words(place: Place, words: tuple[str | None, ...]) -> None:
    assert tuple(place_words(place).values()) == words


def test_only_a_prompt_that_names_it_sees_the_place_and_only_then_may_the_text_tell_it(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "1.png")
    folder_manifest(tmp_path, {"platform": "sentinel-2a", "datetime": "2017-06-13", "gsd": 10})
    facts = "{{ platform }}, {{ month }}{% if gsd %}, {{ gsd }} m{% endif %}"
    (tmp_path / "told.v1.jinja").write_text(f"Describe {{{{ image }}}} of {facts}.")
    (tmp_path / "untold.v1.jinja").write_text("Describe {{ image }}.")
    text = "The image shows a field beside a road. It was taken in June by Sentinel-2A at 10 meters per pixel."
    for prompt, expected in (("told", Record), ("untold", Rejection)):
        step = f"Step('{prompt}.v1.jinja', 'mllm', 'caption_long', lambda sample, manifest: {{}}, checks=GROUNDED)"
        (tmp_path / f"{prompt}.py").write_text(
            f"""from lrs2m_builder import Recipe, Step
from lrs2m_builder.checks import GROUNDED

RECIPE = Recipe(name="{prompt}", version=1, reads=(), given=("caption_short",), steps=({step},))
"""
        )
        options = toy_options(tmp_path / "mine.yaml", tmp_path / prompt, recipe=str(tmp_path / f"{prompt}.py"))
        prepared = prepare(replace(options, max_attempts=1), FakeModule())
        plan, sample = prepared.plan, next(prepared.samples())
        first = next_move(plan, sample, ())
        assert isinstance(first, Request)
        assert ("Sentinel-2A, June, 10 m" in " ".join(first.parts)) == (prompt == "told")
        attempt = Attempt(sample.sample_id, 0, 1, first.seed, text, "stop")
        move = next_move(replace(plan, max_attempts=1), sample, [attempt])
        assert isinstance(move, expected), move
