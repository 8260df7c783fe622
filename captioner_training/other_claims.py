"""Claims of colours, of relations, and of what the scene and its ground are."""

from __future__ import annotations

import numpy as np

from captioner_training.claim_words import MOST, Claim, capped, noun_of, one_of, there_is
from lrs2m_builder.sample.drawing.placing import KINDS
from lrs2m_builder.sample.drawing.scene import Scene
from lrs2m_builder.sample.relations import ALONG, BANDS, DRIVES, STANDS, around, distance, relations
from lrs2m_builder.sample.words import COVERS, OF_COVER, SCENES, article, number, sentence

_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
_WORDS = {"left of": "to the left of", "right of": "to the right of"}


def color_claim(scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
    """Which colour the things of a class have."""
    names = [name for name in scene.counts if name in KINDS and KINDS[name].tells_color]
    roads = {thing.color for thing in scene.of("road")}
    if len(roads) == 1 and random.random() < 0.3:
        if ("brown" in roads) != true:
            return None
        all_roads = scene.of("road")
        words = there_is("dirt roads" if len(all_roads) > 1 else "a dirt road", random)
        return Claim(words, true, "color", None, 0, all_roads if true else (), all_roads, "road")
    if not names:
        return None
    name = one_of(names, random)
    things = scene.of(name)
    there = {thing.color for thing in things}
    if true:
        color = one_of(sorted(there), random)
    else:
        others = sorted({*KINDS[name].colors} - there)
        if not others:
            return None
        color = one_of(others, random)
    of_color = [thing for thing in things if thing.color == color]
    noun = noun_of(name, random)
    if len(there) == 1 and random.random() < 0.5:
        subject = f"the {noun} is" if len(things) == 1 else f"the {noun}s are"
        words = sentence(f"{subject} {color}")
        return Claim(words, true, "color", capped(len(of_color)), 0, tuple(of_color), things, name)
    said = len(of_color) or len(things)
    if said > MOST or random.random() < 0.5:
        phrase = article(f"{color} {noun}") if said == 1 else f"{color} {noun}s"
    else:
        phrase = f"{number(said)} {color} {noun}{'' if said == 1 else 's'}"
    words = there_is(phrase, random)
    return Claim(words, true, "color", capped(len(of_color)), 0, tuple(of_color), things, name)


def relation_claim(scene: Scene, true: bool, random: np.random.Generator) -> Claim | None:
    """How the things of two classes lie to one another."""
    found = relations(scene)
    if true:
        if not found:
            return None
        relation = one_of(found, random)
        first, name, second = relation.first, relation.name, relation.second
        if name in _OPPOSITE and random.random() < 0.5:
            first, name, second = second, _OPPOSITE[name], first
    else:
        wrong = _wrong_relations(scene)
        if not wrong:
            return None
        name = one_of(sorted({each[1] for each in wrong}), random)
        first, name, second = one_of([each for each in wrong if each[1] == name], random)
    one, other = len(scene.of(first)), len(scene.of(second))
    subject = f"the {noun_of(first, random)}{'' if one == 1 else 's'}"
    verb = ("is", "lies", "is") if one == 1 else ("are", "lie", "are")
    verb_ = verb[0] if name in {"on", "along"} else one_of(verb, random)
    end = f"the {noun_of(second, random)}{'' if other == 1 else 's'}"
    start = f"{subject} {verb_}"
    if random.random() < 0.3:
        start = f"there is {article(noun_of(first, random))}" if one == 1 else f"there are {noun_of(first, random)}s"
    words = sentence(f"{start} {_WORDS.get(name, name)} {end}")
    return Claim(words, true, "relation", None, 0, scene.of(first), scene.of(second), first)


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
        what = one_of(sorted(covers if true else others), random)
        return Claim(sentence(f"there is {what} in the image"), true, "scene")
    own = {*SCENES[scene.name][0].split()} - {"a", "an"}
    names = [scene.name] if true else [name for name in SCENES if own.isdisjoint(SCENES[name][0].split())]
    what = SCENES[one_of(names, random)][0]
    starts = ("the image shows", "this is", "the overhead image covers", "this overhead view shows", "there is")
    start = one_of(starts, random)
    return Claim(sentence(f"{start} {what}{' in the image' * (start == 'there is')}"), true, "scene")
