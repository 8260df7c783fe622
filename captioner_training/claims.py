"""Claims about a scene, as many true as false, and false ones that are hard to tell from true ones.

An absent class goes with the classes of the scene elsewhere, a number is one to three off, a place is the next one. Of
each number that is said half are true, so that the number alone says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from captioner_training.claim_words import MOST, Claim, all_are, capped, noun_of, one_of, so_many, some_of, there_is
from captioner_training.other_claims import color_claim, relation_claim, scene_claim
from captioner_training.regions import CELL, HALF, Region, Where, counted
from captioner_training.sentences import sentence_claim
from captioner_training.text_claims import TextClaims
from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.relations import BANDS


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
        self._texts = TextClaims()
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
        }

    def absent(self, scene: Scene, random: np.random.Generator) -> str:
        """A class that is not in the scene but is elsewhere with its classes."""
        names = [name for name in CLASSES if name not in scene.counts]
        weights = np.array([0.2 + sum(self._together[there][name] for there in scene.counts) for name in names])
        return names[int(random.choice(len(names), p=weights / weights.sum()))]

    def object_claim(self, scene: Scene, true: bool, random: np.random.Generator) -> Claim:
        """That a class is there."""
        name, count = self._some_class(scene, true, random)
        things = scene.of(name)
        words = there_is(some_of(name, count, random), random)
        return Claim(words, true, "object", capped(len(things)), about=things, among=things, name=name)

    def denial_claim(self, scene: Scene, true: bool, random: np.random.Generator) -> Claim:
        """That a class is not there."""
        name, count = self._some_class(scene, not true, random)
        noun = noun_of(name, random)
        plural = count > 1 or random.random() < 0.7
        words = there_is(f"no {noun}{'s' if plural else ''}", random)
        things = scene.of(name)
        return Claim(words, true, "denial", capped(len(things)), about=things, among=things, name=name)

    def count_claim(self, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """How many there are of a class."""
        name = one_of(list(scene.counts), random)
        things = scene.of(name)
        said = self._number(len(things), len(things), len(things), true, "count", random)
        if said is None:
            return None
        text = there_is(so_many(things, said, random), random)
        off = abs(len(things) - said)
        return Claim(text, true, "count", capped(len(things)), off, things, things, name, said=said)

    def some_there(self, where: Where, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """That some things of a class are at a place."""
        things, held = _placed(scene, where, random)
        region = held if true else _beside(things, where, random)
        if region is None:
            return None
        text = there_is(some_of(things[0].name, counted(things, held)[1], random), random, region.words(random))
        return placed_claim(text, true, things, where, region)

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
        text = there_is(so_many(things, said, random), random, region.words(random))
        return placed_claim(text, true, things, where, region, said)

    def all_there(self, where: Where, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """That all things of a class are at a place."""
        things, held = _placed(scene, where, random)
        region = held if true or random.random() < 0.5 else _beside(things, where, random)
        if region is None or (counted(things, region)[1 if true else 2] == len(things)) != true:
            return None
        text = all_are(things[0].name, len(things), region.words(random), random)
        return placed_claim(text, true, things, where, region)

    def sentence_claim(self, scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
        """A sentence of a text."""
        words = sentence_claim(scene, true, self.absent(scene, random), random)
        return Claim(words, true, "sentence") if words else None

    def of_text(self, scene: Scene, wanted: int, random: np.random.Generator) -> Iterator[Claim]:
        """Claims as `lrs2m verify` reads them from one text of the scene, true ones and as many false ones."""
        absent = [self.absent(scene, random) for _ in range(wanted)]
        return self._texts.true_and_false(scene, absent, wanted, random)

    def _some_class(self, scene: Scene, there: bool, random: np.random.Generator) -> tuple[str, int]:
        """A class that is there or not, and how many there are or would be."""
        if there:
            name = one_of(list(scene.counts), random)
            return name, scene.counts[name]
        name = self.absent(scene, random)
        return name, one_of(self._counts[name], random)

    def _number(
        self, least: int, there: int, most: int, true: bool, kind: str, random: np.random.Generator
    ) -> int | None:
        """A number to say; one in `least` to `most` may be read as true."""
        said = there if true else there + int(random.integers(1, 4)) * int(random.choice((-1, 1)))
        if not 1 <= said <= MOST or (not true and least <= said <= most):
            return None
        return said if random.random() < self._kept[kind][true][said] else None


def placed_claim(
    words: str, true: bool, things: tuple[SceneObject, ...], where: Where, region: Region, said: int | None = None
) -> Claim:
    """A claim about the things of a class that are in a region."""
    inside = tuple(thing for thing in things if region.depth(thing) >= 0)
    off = 0 if said is None else abs(said - len(inside))
    return Claim(words, true, where.kind, capped(len(inside)), off, inside, things, things[0].name, region.name, said)


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
    things = scene.of(one_of([name for name in scene.counts if name not in BANDS] or list(scene.counts), random))
    return things, one_of([region for region in where.regions if counted(things, region)[1]], random)


def _beside(things: Sequence[SceneObject], where: Where, random: np.random.Generator) -> Region | None:
    """A region beside one that holds things, in which none may be said to be."""
    empty = [region for region in where.regions if not counted(things, region)[2]]
    near = [region for region in empty if any(region.depth(thing) > -SIDE / 3 for thing in things)]
    return one_of(near or empty, random) if empty else None
