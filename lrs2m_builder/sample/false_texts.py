"""Texts that are wrong about a scene in one class of objects: what it is, how many there are, or where they are.

They are the texts of the scene with that class changed, so that a false text is as well made as a true one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from lrs2m_builder.sample.drawing.placing import CLASSES, KINDS
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.relations import BANDS
from lrs2m_builder.sample.texts import SceneTexts, implied_by_name, write_texts

Error = Literal["object", "count", "place"]
ERRORS: tuple[Error, ...] = get_args(Error)
MAX_COUNT = 12  # texts count up to it
MAX_OFF = 3


@dataclass(frozen=True, slots=True)
class FalseTexts:
    """Texts with an error, and the class of which they are wrong; the short text may not speak of the error."""

    texts: SceneTexts
    error: Error
    name: str


def write_false_texts(scene: Scene, random: np.random.Generator) -> FalseTexts | None:
    """Texts whose long one is wrong about the scene, with an error of a kind by lot; None if the scene allows none."""
    true = write_texts(scene)
    names = [name for name in scene.counts if name not in BANDS]
    for error in random.permutation(np.array(ERRORS)):
        for name in random.permutation(np.array(names, dtype=str)):
            changed = _changed(scene, error, str(name), random)
            if changed is not None and (texts := write_texts(changed)).long != true.long:
                return FalseTexts(texts, error, str(name))
    return None


def _changed(scene: Scene, error: Error, name: str, random: np.random.Generator) -> Scene | None:
    """The scene with one class changed, or None if the change would not be an error."""
    things = scene.of(name)
    new: tuple[SceneObject, ...]
    if error == "object":
        others = set(CLASSES) - {*scene.counts, *BANDS, *implied_by_name(scene.name)}
        other = str(random.choice(sorted(others)))
        color = KINDS[other].colors[0] if other in KINDS else "blue"
        new = tuple(replace(thing, name=other, color=color) for thing in things)
    elif error == "count":
        counts = [n for n in range(1, MAX_COUNT + 1) if 1 <= abs(n - len(things)) <= MAX_OFF]
        if len(things) > MAX_COUNT or not counts:
            return None
        new = tuple(things[number % len(things)] for number in range(int(random.choice(counts))))
    else:
        axis = int(random.integers(2))
        new = tuple(_mirrored(thing, axis) for thing in things)
        if Counter(thing.cell for thing in new) == Counter(thing.cell for thing in things):
            return None
    first = next(number for number, thing in enumerate(scene.objects) if thing.name == name)
    rest = tuple(thing for thing in scene.objects[first:] if thing.name != name)
    return replace(scene, objects=(*scene.objects[:first], *new, *rest))


def _mirrored(thing: SceneObject, axis: int) -> SceneObject:
    """The object on the other side of the image."""
    box = list(thing.box)
    box[axis], box[axis + 2] = SIDE - box[axis + 2], SIDE - box[axis]
    return replace(thing, box=(box[0], box[1], box[2], box[3]))
