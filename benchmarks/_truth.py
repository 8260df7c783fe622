"""Extracts classes, counts and positions from a text in the sample world's words and compares them with the truth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import CELLS, Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.texts import implied_by_name
from lrs2m_builder.sample.words import ALSO_CALLED, IN_CELL, NUMBERS, SCENES

_CLASS_OF = {noun: name for name in CLASSES for noun in (name, *ALSO_CALLED.get(name, ()))}
_NOUN = "|".join(sorted(_CLASS_OF, key=len, reverse=True))
_NUMBER = "|".join((*NUMBERS[1:], "many"))
_MENTION = re.compile(rf"(?:\b({_NUMBER}) (?:\w+ )?)??\b({_NOUN})s?\b")
_CELL_OF = {phrase: cell for cell, phrase in IN_CELL.items()}
_HALF = r"in the (left|right|upper|lower) half of the image"
_PLACE = re.compile(rf"(?:\b({_NUMBER}) )?(?:\b({'|'.join(_CELL_OF)})\b(?! half)|\b{_HALF})")
_CLAUSE = re.compile(rf"^the (?:\w+ )?({_NOUN})s?(?: (?:is|are|stands?|lies?)\b|,)(.*)$")
BORDER = 0.25  # share of an object that makes it belong to a second cell
_SCENE = re.compile("|".join(sorted((re.escape(words) for pair in SCENES.values() for words in pair), key=len)[::-1]))


@dataclass(slots=True)
class Score:
    """Correct and wrong claims of texts, summed over scenes.

    Attributes:
        places: claims judged strictly: an object is only in the cell of its middle.
        readings: claims judged leniently: an object on the border of two cells may be in either.
    """

    texts: int = 0
    found: int = 0
    missed: int = 0
    invented: int = 0
    counts: Counter[bool] = field(default_factory=Counter)
    places: Counter[bool] = field(default_factory=Counter)
    readings: Counter[bool] = field(default_factory=Counter)

    def add(self, text: str, scene: Scene) -> None:
        """Add a text about a scene."""
        named_classes, true = named(text), set(scene.counts)
        self.texts += 1
        self.found += len(named_classes & true)
        self.missed += len(true - named_classes)
        self.invented += len(named_classes - true)
        for name, number in numbers(text).items():
            if name in true:
                self.counts[_is_count(number, scene.counts[name])] += 1
        for name, number, place in places(text):
            if name in true:
                strictly = _is_place(number, place, scene.of(name))
                self.places[strictly] += 1
                self.readings[strictly or _may_be_place(number, place, scene.of(name))] += 1

    @property
    def f1(self) -> float:
        """F1 of the classes."""
        return 2 * self.found / max(1, 2 * self.found + self.missed + self.invented)

    def __str__(self) -> str:
        return (
            f"class F1 {self.f1:.3f} ({self.missed} missed, {self.invented} invented of {self.found + self.missed}); "
            f"counts exact {share(self.counts):.3f} of {self.counts.total()}; "
            f"places right {share(self.places):.3f} of {self.places.total()}, "
            f"{share(self.readings):.3f} as one may read them"
        )


def share(counter: Counter[bool]) -> float:
    """The share of true values."""
    return counter[True] / max(1, counter.total())


def named(text: str) -> set[str]:
    """Classes named in a text; the name of the scene, as in "storage tank farm", is not counted."""
    return {_CLASS_OF[match[2]] for match in _MENTION.finditer(_SCENE.sub("", text.lower()))}


def kept(text: str) -> set[str]:
    """Classes named in a summary, including those in its words for the scene: "at the roundabout"."""
    lower = text.lower()
    by_name = (implied_by_name(name) for name, words in SCENES.items() if any(phrase in lower for phrase in words))
    return named(text).union(*by_name)


def numbers(text: str) -> dict[str, str]:
    """The first number in a text for each class."""
    first: dict[str, str] = {}
    for match in re.finditer(rf"\b({_NUMBER}) (?:\w+ )?({_NOUN})s?\b", _SCENE.sub("", text.lower())):
        first.setdefault(_CLASS_OF[match[2]], match[1])
    return first


def places(text: str) -> Iterable[tuple[str, str, str]]:
    """Class, number ("" for all) and position of each claim "the planes are in the upper left, ..."."""
    for clause in re.split(r"[.;]\s*|, and (?=the )|, while ", text.lower()):
        if subject := _CLAUSE.match(clause.strip()):
            for place in _PLACE.finditer(subject[2]):
                where = f"{place[3]} half" if place[3] else _CELL_OF[place[2]]
                yield _CLASS_OF[subject[1]], place[1] or "", where


def _is_count(number: str, count: int) -> bool:
    return number == (NUMBERS[count] if count < len(NUMBERS) else "many")


def _may_be_place(number: str, place: str, things: Sequence[SceneObject]) -> bool:
    """Whether a lenient reader agrees: an object with at least a quarter in each of two cells is in both."""
    shares = [_share_in(place, thing) for thing in things]
    most, least = sum(part >= BORDER for part in shares), sum(part > 1 - BORDER for part in shares)
    if not number:
        return most == len(things)
    return any(_is_count(number, count) for count in range(max(1, least), most + 1))


def _share_in(place: str, thing: SceneObject) -> float:
    """The share of an object's box inside a cell or a half of the image, from 0 to 1."""
    left, top, right, bottom = _rectangle(place)
    x0, y0, x1, y1 = thing.box
    width, height = min(right, x1) - max(left, x0), min(bottom, y1) - max(top, y0)
    return max(0.0, width) * max(0.0, height) / max(1e-9, (x1 - x0) * (y1 - y0))


def _rectangle(place: str) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a place, in pixels."""
    if place.endswith("half"):
        half = SIDE / 2
        sides = {"left": (0, 0, half, SIDE), "right": (half, 0, SIDE, SIDE), "upper": (0, 0, SIDE, half)}
        return sides.get(place.removesuffix(" half"), (0, half, SIDE, SIDE))
    row = next(row for row in range(3) if place in CELLS[row])
    column, third = CELLS[row].index(place), SIDE / 3
    return column * third, row * third, (column + 1) * third, (row + 1) * third


def _is_place(number: str, place: str, things: Sequence[SceneObject]) -> bool:
    """Whether that number of them, or all, are at the position."""
    if half := place.removesuffix(" half") if place.endswith("half") else "":
        axis, low = (0, "left") if half in {"left", "right"} else (1, "upper")
        return all((thing.center[axis] < SIDE / 2) == (half == low) for thing in things)
    count = sum(thing.cell == place for thing in things)
    return _is_count(number, count) if number else count == len(things)
