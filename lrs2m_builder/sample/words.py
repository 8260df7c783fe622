"""The vocabulary of the sample world: words for classes, counts, colours and positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrs2m_builder.sample.drawing.placing import KINDS
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
IN_CELL = {
    "upper left": "in the upper left",
    "top": "at the top",
    "upper right": "in the upper right",
    "left": "on the left",
    "center": "in the center",
    "right": "on the right",
    "lower left": "in the lower left",
    "bottom": "at the bottom",
    "lower right": "in the lower right",
}
# The words for a scene, and for positions in it.
SCENES = {
    "airport": ("an airport", "at the airport"),
    "harbor": ("a harbor", "in the harbor"),
    "open water": ("a stretch of open water", "on open water"),
    "storage tank farm": ("a storage tank farm", "in a storage tank farm"),
    "residential area": ("a residential area", "in a residential area"),
    "parking lot": ("a large parking lot", "in the parking lot"),
    "industrial area": ("an industrial area", "in an industrial area"),
    "roundabout": ("a roundabout", "at the roundabout"),
    "school": ("a school ground", "at a school"),
    "sports park": ("a sports park", "in a sports park"),
    "soccer ground": ("a sports ground", "on a sports ground"),
    "baseball park": ("a baseball park", "in a baseball park"),
    "park": ("a park", "in a park"),
    "farmland": ("farmland", "in farmland"),
    "solar farm": ("a solar farm", "on a solar farm"),
    "wind farm": ("a wind farm", "on a wind farm"),
    "river": ("a river crossed by a bridge", "at a river with a bridge"),
    "forest": ("a forest", "in a forest"),
    "desert": ("a desert", "in the desert"),
}
COVERS = {
    "grass": "grass",
    "bare soil": "bare soil",
    "sand": "desert sand",
    "crops": "farmland",
    "ploughed": "farmland",
    "stubble": "farmland",
    "forest": "forest",
    "water": "water",
    "concrete": "concrete",
    "gravel": "gravel",
}
OF_COVER = {
    "grass": "The grass is uneven in tone, with lighter and darker patches all over it",
    "bare soil": "The soil is brown, rough and without any plants",
    "desert sand": "The wind has left long curved ridges in the yellow sand",
    "farmland": "Parallel furrows mark the fields and show how they are worked",
    "forest": "The crowns of the forest stand close together and look dark green",
    "water": "Fine ripples cover the dark blue surface of the water",
    "concrete": "Joints divide the gray concrete into square slabs of slightly different tone",
    "gravel": "The ground is pale gravel with a rough and even surface",
}
# True of every drawn object of the class; {n} is the noun, {be} its verb.
OF_CLASS = {
    "plane": "the wings of the {n} are swept back and stand out from the ground",
    "ship": "the {n} {be} long and narrow and pointed at the bow",
    "storage tank": "the {n} {be} round, with seams on the roof",
    "tennis court": "white lines and a dark net in the middle mark the {n}",
    "basketball court": "white lines and a center circle mark the {n}",
    "soccer field": "white lines, a center circle and penalty areas are marked on the striped grass of the {n}",
    "ground track field": "red lanes surround the green infield of the {n}",
    "baseball diamond": "the brown infield of the {n} meets a fan of green grass",
    "swimming pool": "the water of the {n} is bright blue",
    "house": "the sloping roof of the {n} is brighter on the side toward the sun",
    "wind turbine": "thin pale blades and a long shadow make the {n} easy to see",
    "solar panel": "the {n} {be} made of dark blue cells in pale frames",
    "greenhouse": "the glass roof of the {n} is pale and ribbed",
    "pond": "the bank of the {n} is uneven and brown",
    "roundabout": "a green island fills the middle of the {n}",
    "runway": "white markings run along the {n}",
    "bridge": "the pale deck of the {n} lies above the water",
    "parking lot": "white lines divide the {n} into stalls",
    "helipad": "a large white letter marks the {n}",
    "tree": "the {n} {be} dark green and round, with a shadow beside each crown",
    "building": "small machines stand on the flat roof of the {n}",
}
ALSO_CALLED = {
    "plane": ("plane", "airplane"),
    "ground track field": ("running track", "ground track field"),
    "soccer field": ("soccer field", "football field"),
}
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
