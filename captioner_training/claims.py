"""Claims about a scene, as many true as false, and false ones that are hard to tell from true ones.

An absent class goes with the classes of the scene elsewhere, a number is one to three off, a place is the next one. Of
each number that is said half are true, so that the number alone says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from captioner_training.sentences import sentence_claim, text_claim
from captioner_training.texts import NEAR
from lrs2m_builder.sample.drawing.placing import CLASSES, KINDS
from lrs2m_builder.sample.drawing.scene import CELLS, Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.relations import ALONG, BANDS, DRIVES, STANDS, around, distance, relations
from lrs2m_builder.sample.words import (
    ALSO_CALLED,
    COVERS,
    IN_CELL,
    NUMBERS,
    OF_COVER,
    SCENES,
    article,
    number,
    sentence,
)

T = TypeVar("T")
MOST = 12  # more are "many"
HALVES = {"left": (0, -1), "right": (0, 1), "upper": (1, -1), "lower": (1, 1)}
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
_WORDS = {"left of": "to the left of", "right of": "to the right of"}


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement about an image.

    Attributes:
        number: how many there are of what it speaks of, MOST + 1 for more; None where it speaks of no number of things.
        off: how far the number that it says is from the true one.
    """

    words: str
    is_true: bool
    kind: str
    number: int | None = None
    off: int = 0


@dataclass(frozen=True, slots=True)
class Region:
    """A cell of the grid of three by three, or a half of the image."""

    name: str

    @property
    def is_half(self) -> bool:
        """Whether it is a half."""
        return self.name.endswith("half")

    def depth(self, thing: SceneObject) -> float:
        """How far inside the middle of a thing is, in pixels; below 0 outside."""
        if self.is_half:
            axis, sign = HALVES[self.name.removesuffix(" half")]
            return sign * (thing.center[axis] - SIDE / 2)
        row = next(row for row in range(3) if self.name in CELLS[row])
        at = (CELLS[row].index(self.name), row)
        third, outer = SIDE / 3, 4.0 * SIDE
        return min(
            min(
                value - third * n if n else outer,
                third * (n + 1) - value if n < 2 else outer,
            )
            for value, n in zip(thing.center, at, strict=True)
        )

    def words(self, random: np.random.Generator) -> str:
        """As texts say it."""
        if self.is_half:
            return f"in the {self.name} of the image"
        ends = ["", "", " of the image", " of the image", " of the image"]
        ends += [" corner", " corner of the image"] if " " in self.name else []
        ends += [" side of the image"] if self.name in {"left", "right"} else []
        return f"{IN_CELL[self.name]}{ends[int(random.integers(len(ends)))]}"


@dataclass(frozen=True, slots=True)
class Where:
    """The regions of a kind of claims."""

    kind: str
    regions: tuple[Region, ...]


CELL = Where("place", tuple(Region(name) for row in CELLS for name in row))
HALF = Where("half", tuple(Region(f"{half} half") for half in HALVES))


def counted(things: Sequence[SceneObject], region: Region | None) -> tuple[int, int, int]:
    """How many are certainly in the region, are by their middle, and may be said to be."""
    if region is None:
        return (len(things),) * 3
    depths = [region.depth(thing) for thing in things]
    return sum(d >= NEAR for d in depths), sum(d >= 0 for d in depths), sum(d > -NEAR for d in depths)


class ClaimMaker:
    """Makes claims; what goes together and how often a number is true it takes from the scenes of a training."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._together: dict[str, Counter[str]] = {name: Counter() for name in CLASSES}
        self._counts: dict[str, list[int]] = {name: [1] for name in CLASSES}
        numbers = {"count": Counter[int](), CELL.kind: Counter[int](), HALF.kind: Counter[int]()}
        for scene in scenes:
            for name, count in scene.counts.items():
                self._together[name].update(scene.counts)
                self._counts[name].append(count)
                numbers["count"][count] += 1
                for where in (CELL, HALF):
                    numbers[where.kind].update(counted(scene.of(name), region)[1] for region in where.regions)
        self._kept = {kind: _kept(each) for kind, each in numbers.items()}
        self.ways: dict[str, Callable[[Scene, bool, np.random.Generator], Claim | None]] = {
            "object": self.object_claim,
            "count": self.count_claim,
            "some in a cell": partial(self.some_there, CELL),
            "so many in a cell": partial(self.so_many_there, CELL),
            "all in a cell": partial(self.all_there, CELL),
            "some in a half": partial(self.some_there, HALF),
            "so many in a half": partial(self.so_many_there, HALF),
            "all in a half": partial(self.all_there, HALF),
            "denial": self.denial_claim,
            "color": color_claim,
            "relation": relation_claim,
            "scene": scene_claim,
            "sentence": self.sentence_claim,
            "text": self.text_claim,
        }

    def absent(self, scene: Scene, random: np.random.Generator) -> str:
        """A class that is not in the scene but is elsewhere with its classes."""
        names = [name for name in CLASSES if name not in scene.counts]
        weights = np.array([0.2 + sum(self._together[there][name] for there in scene.counts) for name in names])
        return names[int(random.choice(len(names), p=weights / weights.sum()))]

    def object_claim(self, scene: Scene, true: bool, random: np.random.Generator) -> Claim:
        """That a class is there."""
        name, count = self._some_class(scene, true, random)
        return Claim(_there_is(_some(name, count, random), random), true, "object", _cut(scene.counts.get(name, 0)))

    def denial_claim(self, scene: Scene, true: bool, random: np.random.Generator) -> Claim:
        """That a class is not there."""
        name, count = self._some_class(scene, not true, random)
        noun = _noun(name, random)
        plural = count > 1 or random.random() < 0.7
        words = _there_is(f"no {noun}{'s' if plural else ''}", random)
        return Claim(words, true, "denial", _cut(scene.counts.get(name, 0)))

    def count_claim(self, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """How many there are of a class."""
        name = _one(list(scene.counts), random)
        things = scene.of(name)
        said = self._number(len(things), len(things), len(things), true, "count", random)
        if said is None:
            return None
        text = _there_is(_numbered(things, said, random), random)
        return Claim(text, true, "count", _cut(len(things)), abs(len(things) - said))

    def some_there(self, where: Where, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """That some things of a class are at a place."""
        things, held = _placed(scene, where, random)
        region = held if true else _beside(things, where, random)
        if region is None:
            return None
        text = _there_is(_some(things[0].name, counted(things, held)[1], random), random, region.words(random))
        return Claim(text, true, where.kind, _cut(counted(things, region)[1]))

    def so_many_there(self, where: Where, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """How many things of a class are at a place."""
        things, held = _placed(scene, where, random)
        region: Region | None = held
        if true or random.random() < 0.5:
            said = self._number(*counted(things, held), true, where.kind, random)
        else:
            region = _beside(things, where, random)
            said = self._number(*counted(things, held), True, where.kind, random)
        if region is None or said is None:
            return None
        text = _there_is(_numbered(things, said, random), random, region.words(random))
        there = counted(things, region)[1]
        return Claim(text, true, where.kind, _cut(there), abs(said - there))

    def all_there(self, where: Where, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """That all things of a class are at a place."""
        things, held = _placed(scene, where, random)
        region = held if true or random.random() < 0.5 else _beside(things, where, random)
        if region is None or (counted(things, region)[1 if true else 2] == len(things)) != true:
            return None
        text = _all_are(things[0].name, len(things), region.words(random), random)
        return Claim(text, true, where.kind, _cut(counted(things, region)[1]))

    def sentence_claim(self, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """A sentence of a text."""
        words = sentence_claim(scene, true, self.absent(scene, random), random)
        return words and Claim(words, true, "sentence")

    def text_claim(self, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """A claim as `lrs2m verify` reads it from a text."""
        words = text_claim(scene, true, self.absent(scene, random), random)
        return words and Claim(words, true, "text")

    def _some_class(self, scene: Scene, there: bool, random: np.random.Generator) -> tuple[str, int]:
        """A class that is there or not, and how many there are or would be."""
        if there:
            name = _one(list(scene.counts), random)
            return name, scene.counts[name]
        name = self.absent(scene, random)
        return name, _one(self._counts[name], random)

    def _number(
        self, least: int, there: int, most: int, true: bool, kind: str, random: np.random.Generator
    ) -> int | None:
        """A number to say; one in `least` to `most` may be read as true."""
        said = there if true else there + int(random.integers(1, 4)) * int(random.choice((-1, 1)))
        if not 1 <= said <= MOST or (not true and least <= said <= most):
            return None
        return said if random.random() < self._kept[kind][true][said] else None


def _kept(counts: Counter[int]) -> dict[bool, dict[int, float]]:
    """Of claims that say a number, which share to keep so that half of them are true."""
    off = [d for d in range(-3, 4) if d]
    true = {said: counts[said] + 1 for said in range(1, MOST + 1)}
    false = {said: sum(counts[said - d] for d in off if said - d > 0) / len(off) + 1 for said in true}
    return {
        True: {said: min(1.0, false[said] / true[said]) for said in true},
        False: {said: min(1.0, true[said] / false[said]) for said in true},
    }


def _placed(scene: Scene, where: Where, random: np.random.Generator) -> tuple[tuple[SceneObject, ...], Region]:
    """The things of a class, and a region that holds one of them."""
    things = scene.of(_one([name for name in scene.counts if name not in BANDS] or list(scene.counts), random))
    return things, _one([region for region in where.regions if counted(things, region)[1]], random)


def _beside(things: Sequence[SceneObject], where: Where, random: np.random.Generator) -> Region | None:
    """A region beside one that holds things, in which none may be said to be."""
    empty = [region for region in where.regions if not counted(things, region)[2]]
    near = [region for region in empty if any(region.depth(thing) > -SIDE / 3 for thing in things)]
    return _one(near or empty, random) if empty else None


def color_claim(scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
    """Which colour the things of a class have."""
    names = [name for name in scene.counts if name in KINDS and KINDS[name].tells_color]
    roads = {thing.color for thing in scene.of("road")}
    if len(roads) == 1 and random.random() < 0.3:
        if ("brown" in roads) != true:
            return None
        plural = len(scene.of("road")) > 1
        return Claim(_there_is("dirt roads" if plural else "a dirt road", random), true, "color")
    if not names:
        return None
    name = _one(names, random)
    things = scene.of(name)
    there = {thing.color for thing in things}
    if true:
        color = _one(sorted(there), random)
    else:
        others = sorted({*KINDS[name].colors} - there)
        if not others:
            return None
        color = _one(others, random)
    of_color = [thing for thing in things if thing.color == color]
    noun = _noun(name, random)
    if len(there) == 1 and random.random() < 0.5:
        subject = f"the {noun} is" if len(things) == 1 else f"the {noun}s are"
        return Claim(sentence(f"{subject} {color}"), true, "color", _cut(len(of_color)))
    said = len(of_color) or len(things)
    if said > MOST or random.random() < 0.5:
        phrase = article(f"{color} {noun}") if said == 1 else f"{color} {noun}s"
    else:
        phrase = f"{number(said)} {color} {noun}{'' if said == 1 else 's'}"
    return Claim(_there_is(phrase, random), true, "color", _cut(len(of_color)))


def relation_claim(scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
    """How the things of two classes lie to one another."""
    found = relations(scene)
    if true:
        if not found:
            return None
        relation = _one(found, random)
        first, name, second = relation.first, relation.name, relation.second
        if name in _OPPOSITE and random.random() < 0.5:
            first, name, second = second, _OPPOSITE[name], first
    else:
        wrong = _wrong_relations(scene)
        if not wrong:
            return None
        name = _one(sorted({each[1] for each in wrong}), random)
        first, name, second = _one([each for each in wrong if each[1] == name], random)
    one, other = len(scene.of(first)), len(scene.of(second))
    subject = f"the {_noun(first, random)}{'' if one == 1 else 's'}"
    verb = ("is", "lies", "is") if one == 1 else ("are", "lie", "are")
    verb_ = verb[0] if name in {"on", "along"} else _one(verb, random)
    end = f"the {_noun(second, random)}{'' if other == 1 else 's'}"
    start = f"{subject} {verb_}"
    if random.random() < 0.3:
        start = f"there is {article(_noun(first, random))}" if one == 1 else f"there are {_noun(first, random)}s"
    return Claim(sentence(f"{start} {_WORDS.get(name, name)} {end}"), true, "relation")


def _wrong_relations(scene: Scene) -> list[tuple[str, str, str]]:
    """Relations that clearly do not hold."""
    names = [name for name in scene.counts if name not in BANDS]
    wrong = []
    for first in names:
        for second in names:
            if first == second:
                continue
            a, b = around(scene.of(first)), around(scene.of(second))
            middle = [(b[n] + b[n + 2] - a[n] - a[n + 2]) / 2 for n in range(2)]
            gaps = {
                "left of": b[0] - a[2],
                "right of": a[0] - b[2],
                "above": b[1] - a[3],
                "below": a[1] - b[3],
            }
            toward = {"left of": middle[0], "right of": -middle[0], "above": middle[1], "below": -middle[1]}
            wrong += [(first, name, second) for name in gaps if gaps[name] < -20 and toward[name] < 10]
            if len(scene.of(first)) == len(scene.of(second)) == 1 and max(gaps.values()) > 40:
                wrong.append((first, "next to", second))
    roads = scene.of("road")
    for name in names:
        if roads and name in STANDS | DRIVES:
            away = [min(distance(thing.center, road.polygon) for road in roads) for thing in scene.of(name)]
            if name in DRIVES and max(away) > 12:
                wrong.append((name, "on", "road"))
            if name in STANDS and max(away) > 1.5 * ALONG:
                wrong.append((name, "along", "road"))
    return wrong


def scene_claim(scene: Scene, true: bool, random: np.random.Generator) -> Claim:
    """What the scene is, or its ground."""
    if random.random() < 0.4:
        covers = {COVERS[name] for name in scene.land_cover}
        others = {*OF_COVER} - covers - ({"water"} if {"pond", "river"} & {*scene.counts} else set())
        what = _one(sorted(covers if true else others), random)
        return Claim(sentence(f"there is {what} in the image"), true, "scene")
    own = {*SCENES[scene.name][0].split()} - {"a", "an"}
    names = [scene.name] if true else [name for name in SCENES if own.isdisjoint(SCENES[name][0].split())]
    what = SCENES[_one(names, random)][0]
    starts = ("the image shows", "this is", "the overhead image covers", "this overhead view shows", "there is")
    start = _one(starts, random)
    return Claim(sentence(f"{start} {what}{' in the image' * (start == 'there is')}"), true, "scene")


def _one(values: Sequence[T], random: np.random.Generator) -> T:
    return values[int(random.integers(len(values)))]


def _cut(count: int) -> int:
    return min(count, MOST + 1)


def _noun(name: str, random: np.random.Generator) -> str:
    return _one(ALSO_CALLED.get(name, (name,)), random)


def _some(name: str, count: int, random: np.random.Generator) -> str:
    """ "a plane", of several also "planes"."""
    noun = _noun(name, random)
    if count < 2 or random.random() < 0.2:
        return article(noun)
    return f"{'some ' if random.random() < 0.1 else ''}{noun}s"


def _numbered(things: Sequence[SceneObject], said: int, random: np.random.Generator) -> str:
    """ "three planes", now and then with the colour that all of them have."""
    name = things[0].name
    colors = {thing.color for thing in things}
    tells = name in KINDS and KINDS[name].tells_color and len(colors) == 1 and random.random() < 0.3
    color = f"{things[0].color} " if tells else ""
    digits = str(said) if random.random() < 0.05 else NUMBERS[said]
    return f"{digits} {color}{_noun(name, random)}{'' if said == 1 else 's'}"


def _there_is(what: str, random: np.random.Generator, where: str = "") -> str:
    """That something is there, in one of several ways."""
    one = what.startswith(("a ", "an ", "one ", "1 ")) or (what.startswith("no ") and not what.endswith("s"))
    be, way = "is" if one else "are", random.random()
    here = where or ("in the image" if random.random() < 0.7 else "")
    if way < 0.6:
        text = f"there {be} {what} {here}"
    elif way < 0.7:
        text = f"{what} can be seen {here}"
    elif way < 0.8:
        text = f"{what} {be} {_one(('visible', 'seen'), random)} {here}"
    elif way < 0.9 or not here:
        text = f"the image shows {what} {where}"
    else:
        text = f"{what} {be} {here}"
    return sentence(text.strip())


def _all_are(name: str, count: int, where: str, random: np.random.Generator) -> str:
    noun, way = _noun(name, random), random.random()
    subject = f"the {noun}" if count == 1 else f"{'all ' if way < 0.15 else 'the '}{noun}s"
    verbs = ("is", "lies", "stands", "is seen", "is visible") if count == 1 else ("are", "lie", "stand", "are seen")
    return sentence(f"{subject} {_one(verbs, random)} {where}")
