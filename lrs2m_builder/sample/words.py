"""The vocabulary of the sample world: words for classes, counts, colours and positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lrs2m_builder.sample.drawing.placing import KINDS
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORDS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"))
IN_CELL: dict[str, str] = _WORDS["in_cell"]
SCENES: dict[str, list[str]] = _WORDS["scenes"]  # the words for a scene, and for positions in it
COVERS: dict[str, str] = _WORDS["covers"]
OF_COVER: dict[str, str] = _WORDS["of_cover"]
OF_CLASS: dict[str, str] = _WORDS["of_class"]
ALSO_CALLED: dict[str, list[str]] = _WORDS["also_called"]
LAST = {"truck": 1, "car": 2, "road": 3, "tree": 4}  # classes that a caption mentions late


@dataclass(frozen=True, slots=True)
class ObjectGroup:
    """All objects of one class, with the words for them.

    Attributes:
        noun: the word chosen for the class in this text.
    """

    name: str
    noun: str
    things: tuple[SceneObject, ...]

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.things)

    @property
    def nouns(self) -> str:
        """The noun, in plural for several objects."""
        return self.noun if self.count == 1 else f"{self.noun}s"

    @property
    def be(self) -> str:
        """The verb."""
        return "is" if self.count == 1 else "are"

    @property
    def color(self) -> str:
        """The common colour followed by a space, or ""."""
        colors = {thing.color for thing in self.things}
        return f"{colors.pop()} " if len(colors) == 1 and self.tells_color else ""

    @property
    def tells_color(self) -> bool:
        """Whether a caption would mention the class's colour."""
        return self.name in KINDS and KINDS[self.name].tells_color

    @property
    def counted(self) -> str:
        """ "three white planes"; above twelve "many"."""
        return f"{number(self.count)} {self.color}{self.nouns}"

    @property
    def some(self) -> str:
        """ "a plane", "two planes", "several planes", "many planes"."""
        if self.count == 1:
            return article(f"{self.color}{self.noun}")
        words = {2: "two"} | dict.fromkeys(range(3, 8), "several")
        return f"{words.get(self.count, 'many')} {self.nouns}"

    @property
    def bare(self) -> str:
        """ "a plane", "planes"."""
        return article(self.noun) if self.count == 1 else self.nouns


def groups(scene: Scene, random: np.random.Generator) -> list[ObjectGroup]:
    """The classes of a scene, in the order in which a caption mentions them."""
    object_groups = []
    for name in sorted(scene.counts, key=lambda name: LAST.get(name, 0)):
        nouns = ALSO_CALLED.get(name, (name,))
        noun = nouns[int(random.integers(len(nouns)))]
        if name == "road" and all(road.color == "brown" for road in scene.of("road")):
            noun = "dirt road"
        object_groups.append(ObjectGroup(name, noun, scene.of(name)))
    return object_groups


def number(count: int) -> str:
    """A count as a word: exact up to twelve, above "many"."""
    return NUMBERS[count] if count < len(NUMBERS) else "many"


def article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def listed(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def counted_list(values: Sequence[str]) -> str:
    """ "two white and one gray", the most frequent first."""
    return listed([f"{number(count)} {value}" for value, count in Counter(values).most_common()])


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."
