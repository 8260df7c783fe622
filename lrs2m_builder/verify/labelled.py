"""True and false claims made from labels: with them a judge is measured.

False claims are hard: a class that goes with the classes of the image elsewhere, a number off by one to three, the
neighbouring place. What the labels do not cover is unknown, never false: nothing is said of a class that is a kind or
a part of one that is there. True and false ones are paired by their words, so that words alone tell nothing.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.number_words import spoken
from lrs2m_builder.checks.reading.vocabulary import plural_of, resolve, vocabulary
from lrs2m_builder.schema import Anchor, Box
from lrs2m_builder.verify.claims import Kind

MAX_COUNT = 8  # larger numbers are beyond what a judge, or a person at a glance, can count
MAX_OFF = 3
MARGIN = 1 / 24  # of a side: so far from the border of a cell must an object be to be surely in it or surely not
PLACES = (
    ("in the upper left", "at the top", "in the upper right"),
    ("on the left", "in the center", "on the right"),
    ("in the lower left", "at the bottom", "in the lower right"),
)
_MASS = word_set(
    "water grass soil sand vegetation forest farmland land concrete gravel pavement asphalt cropland woodland snow ice "
    "shrubland grassland wetland bareland rangeland"
)


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """What is known of an image.

    Attributes:
        size: width and height in pixels; None if it was not looked at, then no place is spoken of.
        scene: its scene class; "" without one.
    """

    sample_id: str
    anchors: tuple[Anchor, ...]
    size: tuple[int, int] | None = None
    scene: str = ""


@dataclass(frozen=True, slots=True)
class LabelledClaim:
    """A statement about an image, true or false by its labels.

    Attributes:
        off: of a false number, its distance from the true one.
        prior: of an object or a denial, how probable it is by the scene class alone, from the other images.
    """

    sample_id: str
    kind: Kind
    words: str
    is_true: bool
    name: str
    off: int | None = None
    prior: float | None = None


def labelled_claims(images: Sequence[LabelledImage], per_kind: int, seed: int = 0) -> list[LabelledClaim]:
    """Claims of each kind that the labels allow, half of them true, in the order of the images.

    Args:
        per_kind: at most so many of a kind.
    """
    rng = random.Random(seed)
    made = [*_objects(images, rng), *_counts(images, rng), *_places(images, rng)]
    chosen: list[LabelledClaim] = []
    for _, group in groupby(sorted(made, key=lambda claim: claim.kind), key=lambda claim: claim.kind):
        by_truth: dict[bool, list[LabelledClaim]] = {True: [], False: []}
        for claim in group:
            by_truth[claim.is_true].append(claim)
        size = min(per_kind // 2, *map(len, by_truth.values()))
        for claims in by_truth.values():
            chosen += rng.sample(claims, size)
    order = {image.sample_id: number for number, image in enumerate(images)}
    return sorted(chosen, key=lambda claim: (order[claim.sample_id], claim.kind, claim.words))


def _objects(images: Sequence[LabelledImage], rng: random.Random) -> Iterator[LabelledClaim]:
    """A class that is there and one that is not, each affirmed and denied in the same words."""
    together: dict[str, Counter[str]] = defaultdict(Counter)
    of_scene: dict[str, Counter[str]] = defaultdict(Counter)
    num_of_scene = Counter(image.scene for image in images)
    for image in images:
        names = {anchor.name for anchor in image.anchors}
        of_scene[image.scene].update(names)
        for name in names:
            together[name].update(names - {name})
    every = sorted(together)
    for image in images:
        there = {anchor.name: anchor for anchor in image.anchors}
        related = frozenset().union(*map(_related, there)) if there else frozenset()
        absent = [name for name in every if name not in there and not resolve(name).classes & related]
        weights = [sum(together[other][name] for other in there) for name in absent]
        if not there or not any(weights):
            continue
        present, (missing,) = rng.choice(sorted(there)), rng.choices(absent, weights)
        is_plural = (there[present].count or 1) > 1
        for name, is_there in ((present, True), (missing, False)):
            prior = None
            if image.scene and num_of_scene[image.scene] > 1:
                prior = (of_scene[image.scene][name] - is_there) / (num_of_scene[image.scene] - 1)
            denied = None if prior is None else 1 - prior
            words, denial = _there_is(name, is_plural), f"There {_no(name)} in the image."
            yield LabelledClaim(image.sample_id, "object", words, is_there, name, prior=prior)
            yield LabelledClaim(image.sample_id, "denial", denial, not is_there, name, prior=denied)


def _counts(images: Sequence[LabelledImage], rng: random.Random) -> Iterator[LabelledClaim]:
    """As many false claims as true ones of each number that is said."""
    counted = [
        (image.sample_id, anchor.name, anchor.count)
        for image in images
        for anchor in image.anchors
        if anchor.count is not None and 1 <= anchor.count <= MAX_COUNT + MAX_OFF
    ]
    for said in range(1, MAX_COUNT + 1):
        right = [(sample_id, name) for sample_id, name, count in counted if count == said]
        by_off: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for sample_id, name, count in counted:
            if 1 <= abs(count - said) <= MAX_OFF:
                by_off[abs(count - said)].append((sample_id, name))
        wrong = [(*pair, off) for off, pairs in by_off.items() for pair in pairs]
        size = min(len(right), len(wrong))
        for sample_id, name in rng.sample(right, size):
            yield LabelledClaim(sample_id, "count", _counted(said, name), True, name)
        for sample_id, name, off in rng.sample(wrong, size):
            yield LabelledClaim(sample_id, "count", _counted(said, name), False, name, off)


def _places(images: Sequence[LabelledImage], rng: random.Random) -> Iterator[LabelledClaim]:
    """One of a class in a cell of three by three, and in a neighbouring cell that surely has none."""
    for image in images:
        boxes = {anchor.name: anchor.boxes for anchor in image.anchors if anchor.boxes}
        if image.size is None or not boxes:
            continue
        name = rng.choice(sorted(boxes))
        cells = [(row, column) for row in range(3) for column in range(3)]
        inside = [cell for cell in cells if any(_is_inside(box, cell, image.size) for box in boxes[name])]
        empty = [cell for cell in cells if not any(_may_touch(box, cell, image.size) for box in boxes[name])]
        if not inside:
            continue
        row, column = rng.choice(inside)
        near = [cell for cell in empty if max(abs(cell[0] - row), abs(cell[1] - column)) == 1] or empty
        if not near:
            continue
        for cell, is_true in (((row, column), True), (rng.choice(near), False)):
            words = f"{_there_is(name, False).removesuffix(' in the image.')} {PLACES[cell[0]][cell[1]]} of the image."
            yield LabelledClaim(image.sample_id, "place", words, is_true, name)


def _cell(cell: tuple[int, int], size: tuple[int, int], grow: float) -> Box:
    (row, column), (width, height) = cell, size
    return (
        width * (column / 3 - grow),
        height * (row / 3 - grow),
        width * ((column + 1) / 3 + grow),
        height * ((row + 1) / 3 + grow),
    )


def _is_inside(box: Box, cell: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the middle of an object is in a cell, and not near a border that it shares with another."""
    (row, column), (width, height) = cell, size
    x, y = (box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height
    return all(
        (number == 0 or value >= number / 3 + MARGIN) and (number == 2 or value <= (number + 1) / 3 - MARGIN)
        for value, number in ((x, column), (y, row))
    )


def _may_touch(box: Box, cell: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether any of an object is in a cell or near it."""
    left, top, right, bottom = _cell(cell, size, MARGIN)
    return box[0] < right and box[2] > left and box[1] < bottom and box[3] > top


@cache
def _related(name: str) -> frozenset[str]:
    """The classes that a class is, or may be, or has as a part."""
    known = vocabulary()
    classes = resolve(name).classes
    return frozenset().union(
        classes, *(known.general[c] | known.special[c] | known.part[c] | known.kinds_of_part[c] for c in classes)
    )


def _is_mass(name: str) -> bool:
    return name.split()[-1] in _MASS


def _there_is(name: str, is_plural: bool) -> str:
    if _is_mass(name):
        return f"There is {name} in the image."
    if is_plural:
        return f"There are {plural_of(name)} in the image."
    return f"There is {'an' if name[0] in 'aeiou' else 'a'} {name} in the image."


def _no(name: str) -> str:
    return f"is no {name}" if _is_mass(name) else f"are no {plural_of(name)}"


def _counted(number: int, name: str) -> str:
    if number == 1:
        return f"There is one {name} in the image."
    return f"There are {spoken(number)} {plural_of(name)} in the image."
