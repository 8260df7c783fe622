"""How claims are worded, each in one of several ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lrs2m_builder.sample.drawing.placing import KINDS
from lrs2m_builder.sample.drawing.scene import SceneObject
from lrs2m_builder.sample.words import ALSO_CALLED, NUMBERS, article, sentence

T = TypeVar("T")
MOST = 12  # more are "many"


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement about an image.

    Attributes:
        number: how many there are of what it speaks of, MOST + 1 for more; None where it speaks of no number of things.
        off: how far the number that it says is from the true one.
        about: the things of which it is true; empty where it is true of none, None where that is not said.
        among: the things of its class, or those of the second class of a relation.
        name, place, said: the class, the region and the number that it names; "" and None without one.
    """

    words: str
    is_true: bool
    kind: str
    number: int | None = None
    off: int = 0
    about: tuple[SceneObject, ...] | None = None
    among: tuple[SceneObject, ...] | None = None
    name: str = ""
    place: str = ""
    said: int | None = None


def one_of(values: Sequence[T], random: np.random.Generator) -> T:
    return values[int(random.integers(len(values)))]


def capped(count: int) -> int:
    return min(count, MOST + 1)


def noun_of(name: str, random: np.random.Generator) -> str:
    return one_of(ALSO_CALLED.get(name, (name,)), random)


def some_of(name: str, count: int, random: np.random.Generator) -> str:
    """ "a plane", of several also "planes"."""
    noun = noun_of(name, random)
    if count < 2 or random.random() < 0.2:
        return article(noun)
    return f"{'some ' if random.random() < 0.1 else ''}{noun}s"


def so_many(things: Sequence[SceneObject], said: int, random: np.random.Generator) -> str:
    """ "three planes", now and then with the colour that all of them have."""
    name = things[0].name
    colors = {thing.color for thing in things}
    tells = name in KINDS and KINDS[name].tells_color and len(colors) == 1 and random.random() < 0.3
    color = f"{things[0].color} " if tells else ""
    digits = str(said) if random.random() < 0.05 else NUMBERS[said]
    return f"{digits} {color}{noun_of(name, random)}{'' if said == 1 else 's'}"


def there_is(what: str, random: np.random.Generator, where: str = "") -> str:
    """That something is there, in one of several ways."""
    one = what.startswith(("a ", "an ", "one ", "1 ")) or (what.startswith("no ") and not what.endswith("s"))
    be, way = "is" if one else "are", random.random()
    here = where or ("in the image" if random.random() < 0.7 else "")
    if way < 0.6:
        text = f"there {be} {what} {here}"
    elif way < 0.7:
        text = f"{what} can be seen {here}"
    elif way < 0.8:
        text = f"{what} {be} {one_of(('visible', 'seen'), random)} {here}"
    elif way < 0.9 or not here:
        text = f"the image shows {what} {where}"
    else:
        text = f"{what} {be} {here}"
    return sentence(text.strip())


def all_are(name: str, count: int, where: str, random: np.random.Generator) -> str:
    noun, way = noun_of(name, random), random.random()
    subject = f"the {noun}" if count == 1 else f"{'all ' if way < 0.15 else 'the '}{noun}s"
    verbs = ("is", "lies", "stands", "is seen", "is visible") if count == 1 else ("are", "lie", "stand", "are seen")
    return sentence(f"{subject} {one_of(verbs, random)} {where}")
