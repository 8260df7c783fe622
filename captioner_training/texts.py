"""What the captioner learns to say: the sample world's texts in a plainer register, the same words in the same order.

A class is always called by its own name, classes come in a fixed order and places in reading order, so that of a text
nothing has to be guessed that the image does not show. A place is no more exact than one can see: of a thing near the
border of two cells the half of the image is said, which is certain.
"""

from __future__ import annotations

from lrs2m_builder.checks import split_words
from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import CELLS, Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.relations import BANDS
from lrs2m_builder.sample.texts import MIN_WORDS, PADDING, SHORT_WORDS, _course
from lrs2m_builder.sample.words import (
    COVERS,
    IN_CELL,
    LAST,
    OF_CLASS,
    OF_COVER,
    SCENES,
    ObjectGroup,
    listed,
    number,
    sentence,
)

_ORDER = [cell for row in CELLS for cell in row]
_MOST_PLACED = 3  # of more in several cells nobody gives a list
NEAR = 6.0  # pixels from a border, of an image's 224


def plain_groups(scene: Scene) -> list[ObjectGroup]:
    """The classes of a scene in their fixed order, their objects in reading order."""
    names = sorted(scene.counts, key=lambda name: (LAST.get(name, 0), CLASSES.index(name)))
    read = {name: tuple(sorted(scene.of(name), key=lambda thing: _ORDER.index(thing.cell))) for name in names}
    return [ObjectGroup(name, name, read[name]) for name in names]


def plain_long(scene: Scene) -> str:
    """The long text: what there is, where each class is, the ground and how things look; MIN_WORDS or more."""
    known = plain_groups(scene)
    opening = f"The image shows {SCENES[scene.name][0]} with {listed([group.counted for group in known])}"
    places = [_place(group) for group in known]
    half = -(-len(places) // 2)
    texts = [opening, *("; ".join(part) for part in (places[:half], places[half:]) if part)]
    spare = _spare(scene, known)
    texts.append(spare.pop(0))
    while len(split_words(" ".join(texts))) < MIN_WORDS and spare:
        more = spare.pop(0)
        if len(texts) < 5:
            texts.append(more)
        else:
            texts[-1] += f", and {more[0].lower()}{more[1:]}"
    return " ".join(map(sentence, texts))


def plain_short(known: list[ObjectGroup], scene_name: str) -> str:
    """The summary of a plain long text: the first classes with their counts, in at most SHORT_WORDS words."""
    inside = [group.counted for group in known]
    while len(split_words(text := f"{listed(inside)} {SCENES[scene_name][1]}")) > SHORT_WORDS:
        inside.pop()
    return sentence(text)


def _place(group: ObjectGroup) -> str:
    """Where the objects of a class are."""
    subject = f"the {group.nouns}"
    if group.name in BANDS:
        return f"{subject} {_course(group)}"
    cells = [thing.cell for thing in group.things]
    different = list(dict.fromkeys(cells))
    clear = all(abs(value - SIDE * third / 3) >= NEAR for t in group.things for value in t.center for third in (1, 2))
    if clear and len(different) == 1:
        return f"{subject} {group.be} {IN_CELL[cells[0]]}"
    if clear and group.count <= _MOST_PLACED:
        found = [f"{number(cells.count(cell))} {IN_CELL[cell]}" for cell in different]
        return f"{subject} {group.be} seen, {listed(found)}"
    return f"{subject} {group.be} {_sure_half(group.things) or 'at many places of the image'}"


def _sure_half(things: tuple[SceneObject, ...]) -> str:
    """The half of the image in which all things are, farthest from its middle; "" where one is near the middle."""
    margins = {
        f"in the {side} half of the image": min(sign * (thing.center[axis] - SIDE / 2) for thing in things)
        for side, axis, sign in (("left", 0, -1), ("right", 0, 1), ("upper", 1, -1), ("lower", 1, 1))
    }
    half = max(margins, key=lambda words: margins[words])
    return half if margins[half] >= NEAR else ""


def _spare(scene: Scene, known: list[ObjectGroup]) -> list[str]:
    """Ground and looks in turn, then what is true of every image."""
    ground = [OF_COVER[cover] for cover in dict.fromkeys(COVERS[name] for name in scene.land_cover)]
    looks = [OF_CLASS[group.name].format(n=group.nouns, be=group.be) for group in known if group.name in OF_CLASS]
    pairs = [text for pair in zip(ground, looks, strict=False) for text in pair]
    shorter = min(len(ground), len(looks))
    return [*pairs, *ground[shorter:], *looks[shorter:], *PADDING]
