"""Whether a text contradicts itself about where one thing is: both left and right, or A left of B and B left of A."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from lrs2m_builder.checks.base import Answer, Check
from lrs2m_builder.checks.nouns import (
    PREPOSITIONS,
    PUNCTUATION,
    SENTENCE_ENDS,
    STOPS,
    VERBS,
    Mention,
    Text,
    read,
    words,
)
from lrs2m_builder.checks.vocabulary import singular_of

Axes = tuple[int, int]  # of the image: -1 left, 1 right; -1 bottom, 1 top; 0 where nothing is said
_LEFT, _RIGHT, _TOP, _BOTTOM = (-1, 0), (1, 0), (0, 1), (0, -1)
_WHERE: dict[str, Axes] = {
    **dict.fromkeys(["left", "west", "western", "leftmost", "lefthand"], _LEFT),
    **dict.fromkeys(["right", "east", "eastern", "rightmost", "righthand"], _RIGHT),
    **dict.fromkeys(["top", "upper", "north", "northern", "uppermost", "topmost"], _TOP),
    **dict.fromkeys(["bottom", "lower", "south", "southern", "bottommost", "lowermost"], _BOTTOM),
    **dict.fromkeys(["northwest", "northwestern"], (-1, 1)),
    **dict.fromkeys(["northeast", "northeastern"], (1, 1)),
    **dict.fromkeys(["southwest", "southwestern"], (-1, -1)),
    **dict.fromkeys(["southeast", "southeastern"], (1, -1)),
}
_COMMA = frozenset([",", "and", "while", "but", "which", "where", "whereas"])
_BESIDE = {"above": _TOP, "below": _BOTTOM, "beneath": _BOTTOM}  # of another thing
_SIDES = words(
    "side sides corner corners edge edges part parts half portion section area third quarter quadrant region end hand "
    "center centre middle margin most far very extreme boundary border"
)
_IMAGE = words("image picture scene frame photo photograph view imagery shot")
_LEADING = frozenset(
    ["in", "on", "at", "to", "along", "near", "toward", "towards", "within", "by", "occupying", "around"]
)
_MOVING = words(
    "run runs running extend extends extending stretch stretches stretching lead leads leading wind winds winding curve "
    "curves curving flow flows flowing cross crosses crossing turn turns turning bend bends bending head heading point "
    "points pointing facing faces face sweep sweeps sweeping slopes sloping branches branching goes going continues "
    "continuing connects connecting falls fall falling casts cast casting from snakes snaking meanders meandering passes passing moving moves travels driving "
    "spans spanning narrows widens tapers veers veering leans oriented transitions across through toward towards"
)
_ONE = frozenset(["a", "an", "one", "single", "the", "this", "that", "same", "it"])
_SAME_AGAIN = frozenset(["the", "this", "that", "same", "it"])
_ANOTHER = frozenset(["another", "other", "others", "second", "third"])
_MORE = _ANOTHER | frozenset(["two", "both", "pair", "either", "each"])
_ADVERBS = words(
    "also just partly mainly mostly clearly directly located situated visible prominently up down over off"
)


@dataclass(frozen=True, slots=True)
class Thing:
    """A noun phrase: what it names (known classes, or its last word), how it is introduced and described."""

    start: int
    end: int
    key: frozenset[str]
    determiner: str
    adjectives: frozenset[str]
    plural: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A phrase that says where: "in the upper left corner", or beside something: "to the left of the road"."""

    start: int
    end: int
    axes: Axes
    of: bool = False


def _things(text: Text) -> list[Thing]:
    """The noun phrases of a text, in order."""
    tokens, found, position = text.tokens, list[Thing](), 0
    at = {mention.start: mention for mention in text.mentions}
    while position < len(tokens):
        token = tokens[position]
        if token in {"it", "another"} or token in _ONE:
            thing = _phrase(tokens, at, position)
        elif position in at:
            thing = _thing(tokens, at[position], position, "")
        else:
            thing = None
        if thing is None:
            position += 1
            continue
        found.append(thing)
        position = max(thing.end, position + 1)
    return found


def _thing(tokens: Sequence[str], mention: Mention, start: int, determiner: str) -> Thing:
    adjectives = frozenset(tokens[start : mention.start]) - _ONE - {"another"}
    before = tokens[start - 1] if start else ""
    return Thing(
        start,
        mention.end,
        mention.classes,
        determiner or before,
        adjectives,
        mention.plural and not determiner_is_one(determiner),
    )


def determiner_is_one(determiner: str) -> bool:
    """Whether a determiner stands before a single thing alone: "an aircraft"."""
    return determiner in {"a", "an", "one", "single", "this", "that"}


def _phrase(tokens: Sequence[str], at: dict[int, Mention], start: int) -> Thing | None:
    """The noun phrase after a determiner; None where a place or the image stands there."""
    if tokens[start] == "it":
        return Thing(start, start + 1, frozenset(["it"]), "it", frozenset(), False)
    position = start + 1
    while position < min(len(tokens), start + 7):
        token = tokens[position]
        if mention := at.get(position):
            if mention.end not in at:
                return _thing(tokens, mention, start, tokens[start])
            position = mention.end
            continue
        if token in _IMAGE or (token in _SIDES and token != "very"):
            return None
        following = tokens[position + 1] if position + 1 < len(tokens) else "."
        participle = token.endswith(("ed", "ing")) and following in PREPOSITIONS
        if (token in STOPS and token not in _ONE) or participle:
            break
        position += 1
    head = tokens[position - 1]
    if position == start + 1 or head in _WHERE or head in _ONE or head in STOPS:
        return None
    adjectives = frozenset(tokens[start + 1 : position - 1]) - _ONE
    return Thing(start, position, frozenset([singular_of(head)]), tokens[start], adjectives, head != singular_of(head))


def _places(tokens: Sequence[str]) -> Iterator[Place]:
    position = 0
    while position < len(tokens):
        place = _place(tokens, position) if tokens[position] in _WHERE or tokens[position] in _BESIDE else None
        if place is not None:
            yield place
        position = place.end if place is not None else position + 1


def _place(tokens: Sequence[str], first: int) -> Place | None:
    """The place phrase around a word like "left"; None where that word says something else."""
    if axes := _BESIDE.get(tokens[first]):
        return Place(first, first + 1, axes, of=True)
    x, y, end, opposite = 0, 0, first, False
    while end < len(tokens) and (tokens[end] in _WHERE or tokens[end] in _SIDES or _joins(tokens, end)):
        new_x, new_y = _WHERE.get(tokens[end], (0, 0))
        opposite |= x * new_x < 0 or y * new_y < 0 or tokens[end] in {"sides", "corners", "edges", "and"}
        x, y, end = new_x or x, new_y or y, end + 1
    start = first
    while start and tokens[start - 1] in _SIDES | {"the", "its", "image"}:
        start -= 1
    article = not {"the", "its"}.isdisjoint(tokens[start:first])
    leading = start > 0 and tokens[start - 1] in _LEADING
    following = tokens[end] if end < len(tokens) else "."
    compound = end - first > 1
    starts_clause = start == 0 or tokens[start - 1] in PUNCTUATION
    of = following == "of" and not _of_image(tokens, end)
    bare_of = of and end == first + 1
    plain = (
        tokens[end - 1] in _SIDES or following in STOPS or following in {"there", "hand"} or following.endswith("ly")
    )
    if (
        opposite
        or not plain
        or not (article or compound or bare_of or (leading and tokens[first] not in {"right", "left"}))
    ):
        return None
    if not (leading or starts_clause or bare_of or article):
        return None
    start -= leading
    if "from" in tokens[max(0, start - 2) : start + 1] or _moves(tokens, start):
        return None
    if of and not (bare_of or tokens[end - 1] == "side"):
        return None  # a part of a thing
    return Place(start, end + (0 if of else _image_length(tokens, end)), (x, y), of)


def _joins(tokens: Sequence[str], position: int) -> bool:
    return (
        tokens[position] in {"and", "or"}
        and tokens[position + 1 : position + 2] != ()
        and (tokens[position + 1] in _WHERE or tokens[position + 1 : position + 3][-1] in _WHERE)
    )


def _of_image(tokens: Sequence[str], end: int) -> bool:
    return not _IMAGE.isdisjoint(tokens[end + 1 : end + 5])


def _image_length(tokens: Sequence[str], end: int) -> int:
    """Words of "of the image" after a place."""
    if tokens[end : end + 1] != ("of",):
        return 0
    return next((i + 1 for i, token in enumerate(tokens[end : end + 5]) if token in _IMAGE), 0)


def _moves(tokens: Sequence[str], start: int) -> bool:
    """Whether the phrase says where something leads to, not where it is."""
    begin = next((i for i in range(start - 1, -1, -1) if tokens[i] in PUNCTUATION), -1)
    before = tokens[begin + 1 : start]
    if tokens[start] in {"to", "toward", "towards"}:
        return not _MOVING.isdisjoint(before)
    return "from" in before or (bool(before) and before[-1] in {"across", "through", "toward", "towards"})


@dataclass(frozen=True, slots=True)
class Fact:
    """That a thing is at a place, of the image or beside another thing."""

    thing: Thing
    axes: Axes
    beside: Thing | None
    adjacent: bool


def _facts(text: Text) -> list[Fact]:
    tokens = text.tokens
    things, found = _things(text), list[Fact]()
    for place in _places(tokens):
        beside = next((t for t in things if place.end <= t.start <= place.end + 1), None) if place.of else None
        if place.of and beside is None:
            continue
        for thing in _subjects(tokens, things, place, beside):
            if thing != beside:
                found.append(Fact(thing, place.axes, beside, thing.end == place.start))
    return found


def _last(tokens: Sequence[str], marks: frozenset[str], end: int, begin: int = 0) -> int:
    """Position after the last of the marks before `end`."""
    return next((i + 1 for i in range(end - 1, begin - 1, -1) if tokens[i] in marks), begin)


def _subjects(tokens: Sequence[str], things: Sequence[Thing], place: Place, beside: Thing | None) -> list[Thing]:
    """What is at the place: the phrase before it, the subject of its clause, or what follows a place said first."""
    begin = _last(tokens, SENTENCE_ENDS, place.start)
    clause = _last(tokens, _COMMA, place.start, begin)
    after = beside.end if beside is not None else place.end
    before = [t for t in things if begin <= t.start < place.start]
    inside = [t for t in before if t.start >= clause]
    if not inside and before and tokens[clause - 1] == "which":
        return [_resolved(things, before[-1])]
    fronted = tokens[begin] in PREPOSITIONS | _WHERE.keys() and VERBS.isdisjoint(tokens[begin : place.start])
    if fronted or (not inside and not (before and _is_apposition(tokens, clause, place, after))):
        stop = next((i for i in range(after, len(tokens)) if tokens[i] in SENTENCE_ENDS), len(tokens))
        return [t for t in things if after <= t.start < stop][:1]
    if not inside:
        return [_resolved(things, before[0])]
    last = place.start - 1
    while last > clause and (tokens[last] in _ADVERBS or tokens[last].endswith(("ed", "ing", "ly"))):
        last -= 1
    if tokens[last] in VERBS:
        return [_resolved(things, inside[0])]
    # "A dam closes the valley at the left": both are there.
    between = set(tokens[inside[0].end : inside[-1].start])
    if inside[0] == inside[-1] or PREPOSITIONS & between:
        return [_resolved(things, inside[-1])]
    # The place where a bridge spans a river is not the river's.
    both = [inside[0]] if _MOVING & between else [inside[0], inside[-1]]
    return [_resolved(things, thing) for thing in both]


def _is_apposition(tokens: Sequence[str], clause: int, place: Place, after: int) -> bool:
    """Whether a place between commas belongs to what is before them: "the court, in the right half, is blue"."""
    return clause > 0 and tokens[clause - 1] == "," and (after >= len(tokens) or tokens[after] in PUNCTUATION)


def _resolved(things: Sequence[Thing], thing: Thing) -> Thing:
    """What "it" stands for: the thing that the sentence before spoke of first."""
    if thing.determiner != "it":
        return thing
    earlier = [t for t in things if t.end <= thing.start and t.determiner != "it"]
    if not earlier:
        return thing
    return Thing(thing.start, thing.end, earlier[0].key, "it", frozenset(), earlier[0].plural)


def _contradict(one: Fact, other: Fact, introduced: frozenset[frozenset[str]]) -> bool:
    """Whether a later fact says of the same single thing the opposite of an earlier one."""
    if (one.beside is None) != (other.beside is None):
        return False
    turned = (
        one.beside is not None
        and other.beside is not None
        and (
            one.thing.key == other.beside.key and one.beside.key == other.thing.key and one.thing.key != one.beside.key
        )
    )
    same = one.thing.key == other.thing.key and (one.beside is None or one.beside.key == other.beside.key)  # type: ignore[union-attr]
    if not (same or turned):
        return False
    opposite = any(a * b < 0 for a, b in zip(one.axes, other.axes, strict=True))
    alike = any(a * b > 0 for a, b in zip(one.axes, other.axes, strict=True))
    if turned:
        return alike and not opposite
    if not opposite or not _is_same(one.thing, other.thing):
        return False
    distinguished = one.adjacent and other.adjacent and one.thing.key not in introduced
    return not distinguished or one.beside is not None


def _is_same(one: Thing, other: Thing) -> bool:
    if one == other:
        return True
    described_alike = one.adjectives <= other.adjectives or other.adjectives <= one.adjectives
    return one.determiner in _ONE and other.determiner in _SAME_AGAIN and described_alike


def _direction(answer: Answer) -> str | None:
    text = read(answer.text)
    if _WHERE.keys().isdisjoint(text.tokens) and _BESIDE.keys().isdisjoint(text.tokens):
        return None
    things = _things(text)
    several = {word for t in things if t.plural or t.determiner in _MORE or t.adjectives & _MORE for word in t.key}
    facts = [
        f for f in _facts(text) if _is_single(f.thing, several) and (f.beside is None or _is_single(f.beside, several))
    ]
    introduced = frozenset(t.key for t in things if t.determiner in {"a", "an", "one", "single"})
    for one, other in combinations(facts, 2):
        if (
            _contradict(one, other, introduced)
            and not _introduced_there(facts, other)
            and not _another(text.tokens, things, one.thing, other.thing)
        ):
            said = " ".join(text.tokens[other.thing.start : other.thing.end])
            return f'The answer put "{said}" at two opposite places. Say once where it is.'
    return None


def _introduced_there(facts: Sequence[Fact], later: Fact) -> bool:
    """Whether a thing of the kind was introduced at that place: "a house on the left and a house on the right"."""
    return any(
        fact.thing.determiner in {"a", "an"}
        and fact.thing.start < later.thing.start
        and fact.thing.key == later.thing.key
        and (fact.beside is None) == (later.beside is None)
        and all(a * b >= 0 for a, b in zip(fact.axes, later.axes, strict=True))
        for fact in facts
    )


def _another(tokens: Sequence[str], things: Sequence[Thing], one: Thing, other: Thing) -> bool:
    """Whether a second thing of the kind is spoken of from one mention to a little after the other."""
    for i in range(one.start, min(len(tokens), other.end + 12)):
        if tokens[i] in _ANOTHER:
            following = tokens[i + 1] if i + 1 < len(tokens) else "."
            if following in {"one", "ones"} or (following in STOPS and tokens[i] not in {"second", "third"}):
                return True
            if any(i <= t.start <= i + 3 and not t.key.isdisjoint(one.key) for t in things):
                return True
    return False


def _is_single(thing: Thing, several: set[str]) -> bool:
    return not thing.plural and thing.determiner in _ONE and several.isdisjoint(thing.key)


DIRECTION = Check("direction", _direction)
