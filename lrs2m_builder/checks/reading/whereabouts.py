"""Facts about positions: the subject of each place phrase, and what it is beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.place_phrases import BESIDE, MOVING, WHERE, Axes, Place, Thing, places_of
from lrs2m_builder.checks.reading.tokens import PREPOSITIONS, PUNCTUATION, SENTENCE_ENDS, VERBS

_COMMA = frozenset([",", "and", "while", "but", "which", "where", "whereas"])
_PARTS = word_set(
    "edge edges end ends part parts side rest corner bank banks tip fringe border outskirts piece bit half"
)
_ORDER = word_set("further farther also then now again finally lastly next meanwhile likewise similarly")
_ITS_SIDE = word_set("left right west east north south")
_ADVERBS = word_set(
    "also just partly mainly mostly clearly directly located situated visible prominently up down over off"
)


_STANDS = word_set("is stands lies sits rests")
_LINES = word_set("road river street highway railway path runway canal coast beach stream track motorway wall line row")


@dataclass(frozen=True, slots=True)
class Fact:
    """A thing at a place of the image, or beside another thing."""

    thing: Thing
    axes: Axes
    beside: Thing | None
    adjacent: bool
    place: int = 0  # where the words for the place begin
    whole: bool = False  # of all things of the kind: "the tanks are all on the left"


def facts_of(tokens: Sequence[str], things: Sequence[Thing], places: Iterable[Place] | None = None) -> list[Fact]:
    """The facts of a text about positions.

    Args:
        places: the phrases that say where; by default those of the four sides.
    """
    found = list[Fact]()
    for place in places_of(tokens) if places is None else places:
        if fact := _at_its_side(tokens, things, place):
            found.append(fact)
            continue
        ends = tokens[place.end : place.end + 1] and tokens[place.end] in SENTENCE_ENDS  # "seen from above."
        beside = next((t for t in things if place.end <= t.start <= place.end + 1), None) if place.of else None
        beside = None if ends else beside
        if place.of and beside is None:
            continue
        for thing in _subjects(tokens, things, place, beside):
            if thing != beside and not _is_part(tokens, thing):
                all_of_them = "all" in tokens[max(0, thing.start - 2) : thing.end + 2]
                found.append(Fact(thing, place.axes, beside, thing.end == place.start, place.start, all_of_them))
    return found


def _at_its_side(tokens: Sequence[str], things: Sequence[Thing], place: Place) -> Fact | None:
    """Facts from a place of "its": "the church has a school to its right", "a course with a lake on its left"."""
    words = tokens[place.start : place.end]
    if "its" not in words or words[-1] not in _ITS_SIDE or place.of:
        return None
    begin = _last(tokens, SENTENCE_ENDS, place.start)
    before = [t for t in things if begin <= t.start < place.start]
    if len(before) < 2 or before[-1].end != place.start:
        return None
    return Fact(before[-1], place.axes, _resolved(things, before[0]), adjacent=True, place=place.start)


def _is_part(tokens: Sequence[str], thing: Thing) -> bool:
    """Whether the text means only a part of the thing: "the edge of that forest"."""
    return tokens[max(0, thing.start - 1)] == "of" and tokens[max(0, thing.start - 2)] in _PARTS


def _last(tokens: Sequence[str], marks: frozenset[str], end: int, begin: int = 0) -> int:
    """Position after the last of the marks before `end`."""
    return next((i + 1 for i in range(end - 1, begin - 1, -1) if tokens[i] in marks), begin)


def _subjects(tokens: Sequence[str], things: Sequence[Thing], place: Place, beside: Thing | None) -> list[Thing]:
    """The things at the place: the phrase before it, the subject of its clause, or what follows a place said first."""
    if place.start and tokens[place.start - 1] == "one":
        return []  # "one mill is in the north, one in the south"
    begin = _last(tokens, SENTENCE_ENDS, place.start)
    clause = _last(tokens, _COMMA, place.start, begin)
    after = beside.end if beside is not None else place.end
    before = [t for t in things if begin <= t.start < place.start]
    inside = [t for t in before if t.start >= clause]
    if not inside and before and tokens[clause - 1] == "which":
        return [_resolved(things, before[-1])]
    ends = after >= len(tokens) or tokens[after] in SENTENCE_ENDS
    if not inside and before and tokens[clause - 1] == "and" and place.start == clause and place.of and ends:
        return [_resolved(things, before[0])]  # "is on the left of the road and on the right of the road"
    if not inside and before and tokens[clause] in VERBS | MOVING and tokens[clause - 1] in {",", "and", "but"}:
        return [_resolved(things, before[0])]  # "the yard, full of boxes, is above the basin"
    if {"its", "their", "whose"} & set(tokens[max(begin, place.start - 3) : place.start]):
        return []  # "the lake with its outlet at the lower end"
    if tokens[begin] in _ORDER and PUNCTUATION.isdisjoint(tokens[begin : place.start]):
        begin += 1
    named = next((t for t in before if t.end == clause - 1 and _begins_clause(tokens, t, begin)), None)
    if not inside and tokens[after : after + 1] == (",",) and not named:
        stands = tokens[after + 1] in _STANDS | {"are", "stand", "lie", "sit", "rest"}
        if turned := [t for t in things if stands and t.start == after + 2]:
            return turned  # "between them, in the upper half, lies the lake"
    fronted = tokens[begin] in PREPOSITIONS | WHERE.keys() and VERBS.isdisjoint(tokens[begin : place.start])
    if fronted or (not inside and not (before and _is_apposition(tokens, clause, place, after))):
        stop = next((i for i in range(after, len(tokens)) if tokens[i] in SENTENCE_ENDS), len(tokens))
        following = [t for t in things if after <= t.start < stop]
        if following and following[0].determiner == "it":  # "the right part, it is taken up by the harbor"
            return [t for t in following if "by" in tokens[following[0].end : t.start]][:1] or following[:1]
        return following[:1]
    if not inside:
        return [_resolved(things, named or before[0])]
    last = place.start - 1
    while last > clause and (tokens[last] in _ADVERBS or tokens[last].endswith(("ed", "ing", "ly"))):
        last -= 1
    if tokens[last] in VERBS:
        return [_resolved(things, inside[0])]
    # "A dam closes the valley at the left": both are there.
    between = set(tokens[inside[0].end : inside[-1].start])
    if inside[0] == inside[-1] or PREPOSITIONS & between:
        owner = _resolved(things, _owner(tokens, inside))
        subject = _resolved(things, inside[0])
        return [subject, owner] if _stands_there(tokens, inside, place, after) else [owner]
    # The place where a bridge spans a river is not the river's.
    if inside[0].start and tokens[inside[0].start - 1] in BESIDE:
        return [_resolved(things, inside[-1])]  # "below it is a school at the bottom"
    both = [inside[0]] if MOVING & between else [inside[0], inside[-1]]
    return [_resolved(things, thing) for thing in both]


def _begins_clause(tokens: Sequence[str], thing: Thing, begin: int) -> bool:
    """Whether a thing is the first of its clause: the sea in "and the sea, left of the beach, is calm"."""
    return thing.start == begin or tokens[thing.start - 1] in _COMMA


def _stands_there(tokens: Sequence[str], things: Sequence[Thing], place: Place, after: int) -> bool:
    """Whether the subject is where its landmark is: "the pool is behind the hotel at the bottom"; not what is long."""
    verbs = tokens[things[0].end : things[0].end + 2]
    ends = after >= len(tokens) or tokens[after] in PUNCTUATION
    return (
        ends
        and not _is_led(tokens, things[0])
        and not place.of
        and not _STANDS.isdisjoint(verbs)
        and things[0].head not in _LINES
    )


def _is_led(tokens: Sequence[str], thing: Thing) -> bool:
    """Whether a preposition precedes a thing, which then is no subject."""
    return thing.start > 0 and tokens[thing.start - 1] in PREPOSITIONS | BESIDE.keys()


def _owner(tokens: Sequence[str], things: Sequence[Thing]) -> Thing:
    """The last thing, or the thing it belongs to: the playground in "the playground of the school"."""
    last = len(things) - 1
    while last and tokens[things[last].start - 1] == "of" and things[last - 1].end == things[last].start - 1:
        last -= 1
    return things[last]


def _is_apposition(tokens: Sequence[str], clause: int, place: Place, after: int) -> bool:
    """Whether a place between commas belongs to what is before them: "the court, in the right half, is blue"."""
    return clause > 0 and tokens[clause - 1] == "," and (after >= len(tokens) or tokens[after] in PUNCTUATION)


def _resolved(things: Sequence[Thing], thing: Thing) -> Thing:
    """What "it" refers to: the first thing of the sentence before."""
    if thing.determiner != "it":
        return thing
    earlier = [t for t in things if t.end <= thing.start and t.determiner != "it"]
    if not earlier:
        return thing
    return Thing(thing.start, thing.end, earlier[0].key, "it", frozenset(), earlier[0].plural)
