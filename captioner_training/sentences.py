"""Sentences of long texts, summaries and captions, true ones and such as are true of a slightly other scene.

A false sentence is one that a changed scene is described with and the scene itself is not: a thing more or less, a
thing elsewhere, another class or colour. So a false sentence is as well made as a true one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from captioner_training.texts import plain_groups, plain_long, plain_short
from lrs2m_builder.sample.drawing.placing import KINDS
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.relations import BANDS
from lrs2m_builder.sample.texts import write_texts
from lrs2m_builder.sample.words import ALSO_CALLED, COVERS, OF_CLASS, OF_COVER, sentence

CHANGES = ("number", "place", "object", "color")


def sentence_claim(scene: Scene, true: bool, absent: str, random: np.random.Generator) -> str | None:
    """A sentence about the scene, or None where the dice find none.

    Args:
        absent: a class that is not there.
    """
    way = random.random()
    if way < 0.12:
        return _looks(scene, true, absent, random)
    register = "plain" if way < 0.42 else "short" if way < 0.5 else "captions" if way < 0.6 else "long"
    if true:
        found: Sequence[str] = _sentences(scene, register)
        return found[int(random.integers(len(found)))]
    kind = CHANGES[int(random.choice(len(CHANGES), p=(0.35, 0.35, 0.2, 0.1)))]
    changed = change(scene, "object" if register == "captions" else kind, absent, random)
    if changed is None:
        return None
    other, name = changed
    found = false_sentences(scene, other, name, register)
    return found[int(random.integers(len(found)))] if found else None


def false_sentences(scene: Scene, other: Scene, name: str, register: str) -> list[str]:
    """The sentences of another scene, changed in one class, that speak of it and that the scene itself has not."""
    texts = _sentences(other, register)
    if register == "long":  # the sentences behind these are chosen by lot
        texts = texts[: 1 + len(other.counts)]
    nouns = ALSO_CALLED.get(name, (name,))
    own = set(_sentences(scene, register))
    return [text for text in texts if text not in own and any(noun in text.lower() for noun in nouns)]


def _sentences(scene: Scene, register: str) -> Sequence[str]:
    if register == "captions":
        return write_texts(scene).captions
    if register == "short":
        return plain_short(plain_groups(scene), scene.name), write_texts(scene).short
    return split_sentences(_whole(scene, register))


def split_sentences(text: str) -> list[str]:
    """The sentences of a text of the sample world, also those between semicolons."""
    return [sentence(part.rstrip(".")) for part in re.split("[.;] ", text)]


def _whole(scene: Scene, register: str) -> str:
    return plain_long(scene) if register == "plain" else write_texts(scene).long


def change(scene: Scene, kind: str, absent: str, random: np.random.Generator) -> tuple[Scene, str] | None:
    """The scene with one class changed in number, place, name or colour, and the name of that class."""
    names = list(scene.counts)
    name = names[int(random.integers(len(names)))]
    things = list(scene.of(name))
    if kind == "number":
        off = int(random.integers(1, 4)) * int(random.choice((-1, 1)))
        if len(things) + off < 1 or len(things) > 12:
            return None
        new = [*things, *(things[n % len(things)] for n in range(off))] if off > 0 else things[:off]
    elif kind == "place":
        if name in BANDS:
            return None
        if random.random() < 0.5:
            axis = int(random.integers(2))
            new = [_moved(thing, axis, SIDE - 2 * thing.center[axis]) for thing in things]
        else:
            chosen, axis = int(random.integers(len(things))), int(random.integers(2))
            by = SIDE / 3 * int(random.choice((-2, -1, 1, 2)))
            if not 0 <= things[chosen].center[axis] + by < SIDE:
                return None
            new = [_moved(thing, axis, by) if n == chosen else thing for n, thing in enumerate(things)]
    elif kind == "object":
        if absent in BANDS or name in BANDS:
            return None
        colors = KINDS[absent].colors if absent in KINDS else ("blue",)
        new = [replace(thing, name=absent, color=colors[0]) for thing in things]
        name = absent
    else:
        if name not in KINDS or not KINDS[name].tells_color or len({thing.color for thing in things}) > 1:
            return None
        others = sorted({*KINDS[name].colors} - {things[0].color})
        color = others[int(random.integers(len(others)))]
        new = [replace(thing, color=color) for thing in things]
    old = {id(thing) for thing in things}
    place = next(n for n, thing in enumerate(scene.objects) if id(thing) in old)
    rest = [thing for thing in scene.objects[place:] if id(thing) not in old]
    return replace(scene, objects=(*scene.objects[:place], *new, *rest)), name


def _moved(thing: SceneObject, axis: int, by: float) -> SceneObject:
    box = list(thing.box)
    box[axis] += by
    box[axis + 2] += by
    return replace(thing, box=(box[0], box[1], box[2], box[3]))


def _looks(scene: Scene, true: bool, absent: str, random: np.random.Generator) -> str | None:
    """How a class or a ground looks, said of what is there or is not."""
    covers = {COVERS[name] for name in scene.land_cover}
    if random.random() < 0.4:
        names = sorted(covers if true else set(OF_COVER) - covers)
        return sentence(OF_COVER[names[int(random.integers(len(names)))]])
    names = [name for name in scene.counts if name in OF_CLASS] if true else [absent] * (absent in OF_CLASS)
    if not names:
        return None
    name = names[int(random.integers(len(names)))]
    noun = ALSO_CALLED.get(name, (name,))[0]
    several = scene.counts[name] > 1 if true else bool(random.random() < 0.5)
    return sentence(OF_CLASS[name].format(n=f"{noun}s" if several else noun, be="are" if several else "is"))
