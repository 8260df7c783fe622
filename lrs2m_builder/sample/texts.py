"""The texts of a scene, all from its truth: a long one, a short one and five captions in human style."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lrs2m_builder.checks import split_words
from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.relations import BANDS, Relation, relations
from lrs2m_builder.sample.words import (
    COVERS,
    IN_CELL,
    NUMBERS,
    OF_CLASS,
    OF_COVER,
    SCENES,
    ObjectGroup,
    counted_list,
    groups,
    listed,
    sentence,
)

MIN_WORDS, MAX_WORDS, MAX_SENTENCES = 60, 110, 6
SHORT_WORDS = 20
NUM_CAPTIONS = 5
PADDING = (
    "the picture is clear and evenly lit, and all outlines in it are sharp",
    "the ground fills most of the view and gives the scene a calm and open look",
    "the colors are natural, and the light comes from one side",
)
_EDGE = 6.0  # pixels from the image's edge at which a band counts as reaching it


@dataclass(frozen=True, slots=True)
class SceneTexts:
    """The texts of a scene; every statement is true."""

    long: str
    short: str
    captions: tuple[str, ...]


def write_texts(scene: Scene) -> SceneTexts:
    """The texts of a scene, always the same."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([scene.seed, scene.index, 1])))
    by_class = groups(scene, random)
    return SceneTexts(_long(scene, by_class, random), _short(scene, by_class), _captions(scene, by_class, random))


def _pick(random: np.random.Generator, *values: str) -> str:
    return values[int(random.integers(len(values)))]


def _long(scene: Scene, by_class: list[ObjectGroup], random: np.random.Generator) -> str:
    """An opening, the position of each class, then more sentences until the text is long enough."""
    count_first = bool(random.integers(2))
    opening = _opening(scene, by_class if count_first else [], random)
    inside = _inside(scene, by_class)
    details = [_detail(group, random, counted=not count_first and group in inside) for group in by_class]
    size = -(-len(details) // 3)
    middle = [_joined(details[i : i + size], random) for i in range(0, len(details), size)]
    spare = _spare(scene, by_class, random)
    num_words = int(random.integers(MIN_WORDS, MIN_WORDS + 22))
    while spare and len(split_words(" ".join([opening, *middle]))) < num_words:
        text = spare.pop(0)
        if len(middle) + 1 < MAX_SENTENCES:
            middle.append(text)
        else:
            middle[-1] += f", and {text[0].lower()}{text[1:]}"
    return " ".join(sentence(text) for text in [opening, *middle])


def _joined(clauses: list[str], random: np.random.Generator) -> str:
    """Clauses as one sentence, separated by semicolons if one contains commas."""
    if len(clauses) == 2 and "," not in "".join(clauses):
        return _pick(random, ", and ", ", while ").join(clauses)
    return "; ".join(clauses)


def _opening(scene: Scene, by_class: list[ObjectGroup], random: np.random.Generator) -> str:
    view = _pick(random, "The image shows", "This overhead view shows", "Seen from above,", "The overhead image covers")
    what = SCENES[scene.name][0]
    start = f"{view} {what}" if not view.endswith(",") else f"{view} this is {what}"
    inside = [group.counted for group in _inside(scene, by_class)]
    return f"{start} with {listed(inside)}" if inside else start


def _detail(group: ObjectGroup, random: np.random.Generator, *, counted: bool) -> str:
    """The positions of the objects of a class and, if it has a colour, their colours."""
    subject = group.counted if counted else f"the {'' if group.count > 1 else group.color}{group.nouns}"
    if group.name in BANDS:
        return f"{subject} {_course(group)}"
    verb = _pick(random, f"{group.be} seen", "lies" if group.count == 1 else "lie", f"{group.be} visible")
    if group.name in {"building", "house", "storage tank", "tree", "wind turbine", "greenhouse"}:
        verb = _pick(random, "stands" if group.count == 1 else "stand", f"{group.be} visible")
    where = _where(group)
    return f"{subject}{_colors(group, counted)} {verb}{', ' if where.startswith(NUMBERS) else ' '}{where}"


def _colors(group: ObjectGroup, counted: bool) -> str:
    colors = [thing.color for thing in group.things]
    if group.count == 1 or not group.tells_color:
        return ""
    if len(set(colors)) == 1:
        return ""
    if len(set(colors)) > 3 or group.count > 12:
        return " in different colors"
    return f", {counted_list(colors)},"


def _course(group: ObjectGroup) -> str:
    """The direction of roads, rivers and runways, from edge to edge."""
    if group.count > 1:
        return "run through the scene"
    left, top, right, bottom = group.things[0].box
    across, down = left < _EDGE and right > SIDE - _EDGE, top < _EDGE and bottom > SIDE - _EDGE
    if across and not down:
        return "runs from left to right"
    if down and not across:
        return "runs from top to bottom"
    return "runs through the scene"


def _where(group: ObjectGroup) -> str:
    """The cells of the objects; for more than three, whether they are spread or on one side."""
    cells = list(dict.fromkeys(thing.cell for thing in group.things))
    if len(cells) == 1:
        return IN_CELL[cells[0]]
    if len(cells) <= 3:
        if group.count <= 12:
            return counted_list([IN_CELL[thing.cell] for thing in group.things])
        return listed([IN_CELL[cell] for cell in cells])
    return _half(group.things) or "at many places of the image"


def _half(things: tuple[SceneObject, ...]) -> str:
    tests: dict[str, Callable[[SceneObject], bool]] = {
        "in the left half of the image": lambda thing: thing.center[0] < SIDE / 2,
        "in the right half of the image": lambda thing: thing.center[0] > SIDE / 2,
        "in the upper half of the image": lambda thing: thing.center[1] < SIDE / 2,
        "in the lower half of the image": lambda thing: thing.center[1] > SIDE / 2,
    }
    return next((words for words, test in tests.items() if all(map(test, things))), "")


def _spare(scene: Scene, by_class: list[ObjectGroup], random: np.random.Generator) -> list[str]:
    """Further true sentences: relations first, then ground, appearance and light, a few of each in random order."""
    related = [_related(relation, {group.name: group for group in by_class}) for relation in relations(scene)]
    random.shuffle(related)
    looks = [OF_CLASS[g.name].format(n=g.nouns, be=g.be) for g in by_class if g.name in OF_CLASS]
    random.shuffle(looks)
    covers = list(dict.fromkeys(COVERS[name] for name in scene.land_cover))
    ground = [OF_COVER[cover] for cover in covers]
    if len(covers) > 1:
        ground.insert(0, f"{listed(covers)} cover the ground")
    rest = [*ground, *looks[:3], *([_light(scene)] if scene.sketch.shadows else [])]
    random.shuffle(rest)
    return [*related[:2], *rest, *PADDING]


def _related(relation: Relation, by_class: dict[str, ObjectGroup]) -> str:
    first, second = by_class[relation.first], by_class[relation.second]
    words = {"left of": "to the left of", "right of": "to the right of", "on": "on"}.get(relation.name, relation.name)
    if relation.name in {"on", "along"}:
        return f"the {first.nouns} {first.be} {words} the {second.nouns}"
    lies = "lies" if first.count == 1 else "lie"
    return f"the {first.nouns} {lies} {words} the {second.nouns}"


def _light(scene: Scene) -> str:
    """The direction of the shadows."""
    x, y = scene.sun
    across = "left" if x < 0 else "right"
    down = "top" if y < 0 else "bottom"
    if abs(x) > 2 * abs(y):
        return f"shadows fall toward the {across} side"
    if abs(y) > 2 * abs(x):
        return f"shadows fall toward the {down} side"
    return f"shadows fall toward the {'upper' if y < 0 else 'lower'} {across}"


def _short(scene: Scene, by_class: list[ObjectGroup]) -> str:
    """The first classes with their counts and the scene, in at most SHORT_WORDS words."""
    what, location = SCENES[scene.name]
    inside = [group.counted for group in _inside(scene, by_class)]
    while inside:
        text = f"{listed(inside)} {location}"
        if len(split_words(text)) <= SHORT_WORDS:
            return sentence(text)
        inside.pop()
    return sentence(f"{what} seen from above")


def _inside(scene: Scene, by_class: list[ObjectGroup]) -> list[ObjectGroup]:
    """The classes that the name of the scene does not imply."""
    implied = implied_by_name(scene.name)
    return [group for group in by_class if group.name not in implied or group.count > 1]


def implied_by_name(scene_name: str) -> set[str]:
    """The classes named in the words for a scene (SCENES)."""
    return {"river", "bridge"} if scene_name == "river" else {scene_name} & set(CLASSES)


def _captions(scene: Scene, by_class: list[ObjectGroup], random: np.random.Generator) -> tuple[str, ...]:
    """Five different captions: some with counts, some with classes only, some with a position or a relation."""
    what, location = SCENES[scene.name]
    main = _inside(scene, by_class)[:3] or by_class[:1]
    first = main[0]
    some, bare, counted = [g.some for g in main], [g.bare for g in main], [g.counted for g in main]
    lies = "is" if first.count == 1 else "are"
    texts = [
        f"{listed(counted)} {'are' if len(main) > 1 else lies} {location}",
        f"{what} with {listed(some)}",
        f"there {lies} {first.counted} {location}",
        f"{listed(bare)} can be seen from above",
        f"{first.some} {lies} {location}",
        f"{what} seen from above",
        f"it is {what} with {listed(bare)}",
        f"{listed(bare)} {location}",
    ]
    cells = {thing.cell for thing in first.things}
    if len(cells) == 1:
        texts.append(f"{first.some} {lies} {IN_CELL[cells.pop()]} of the image")
    texts += [_related(relation, {group.name: group for group in by_class}) for relation in relations(scene)[:2]]
    order = random.permutation(len(texts)).tolist()
    chosen = [texts[0], *(texts[i] for i in order)]
    return tuple(map(sentence, list(dict.fromkeys(chosen))[:NUM_CAPTIONS]))
