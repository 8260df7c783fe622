"""Positions in the image: the noun phrases of a text and the phrases that put them left, right, above or below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.lexicon import word_sets
from lrs2m_builder.checks.reading.nouns import Mention, Text
from lrs2m_builder.checks.reading.tokens import PREPOSITIONS, PUNCTUATION, STOPS
from lrs2m_builder.checks.reading.vocabulary import singular_of, vocabulary

Axes = tuple[int, int]  # of the image: -1 left, 1 right; -1 bottom, 1 top; 0 if not stated
_LEFT, _RIGHT, _TOP, _BOTTOM = (-1, 0), (1, 0), (0, 1), (0, -1)
WHERE: dict[str, Axes] = {
    **dict.fromkeys(["left", "west", "western", "leftmost", "lefthand", "leftward", "westward", "westerly"], _LEFT),
    **dict.fromkeys(
        ["right", "east", "eastern", "rightmost", "righthand", "rightward", "eastward", "easterly"], _RIGHT
    ),
    **dict.fromkeys(["top", "upper", "north", "northern", "uppermost", "topmost", "northward", "northerly"], _TOP),
    **dict.fromkeys(
        ["bottom", "lower", "south", "southern", "bottommost", "lowermost", "southward", "southerly"], _BOTTOM
    ),
    **dict.fromkeys(["northwest", "northwestern"], (-1, 1)),
    **dict.fromkeys(["northeast", "northeastern"], (1, 1)),
    **dict.fromkeys(["southwest", "southwestern"], (-1, -1)),
    **dict.fromkeys(["southeast", "southeastern"], (1, -1)),
}
BESIDE = {"above": _TOP, "below": _BOTTOM, "beneath": _BOTTOM, "underneath": _BOTTOM}  # of another thing
_WORDS = word_sets("reading")
_SIDES, MOVING, PASSING = _WORDS["sides"], _WORDS["moving"], _WORDS["passing"]
IMAGE_WORDS = word_set("image picture scene frame photo photograph view imagery shot")
_MIDDLE = word_set("center centre middle central")
_BEFORE_CENTER = word_set("in at near occupies occupying fills filling dominates dominating")
_BEFORE_MIDDLE = IMAGE_WORDS | {"the", "very", "exact", "its"}
_LEADING = frozenset(
    ["in", "on", "at", "to", "along", "near", "toward", "towards", "within", "by", "occupying", "around"]
)
_JUTTING = word_set("jutting juts reaching reaches projecting projects protruding protrudes sticking sticks")
_CUTTING = word_set("crosses crossing cuts cutting clips clipping traverses traversing touches grazes")
_NOT_THERE = frozenset(["not", "never", "nor"])
_AFTER_PLACE = word_set("there hand too again instead also alone only as where")
ONE = frozenset(["a", "an", "one", "single", "the", "this", "that", "same", "it"])
_ONE_SEES = word_set("finds sees can could may might notices observes spots will would recognises recognizes")
_ARTICLES = frozenset(["a", "an", "the"])
_NOT_ADJECTIVES = (ONE - {"same"}) | {"another", "only"}


@dataclass(frozen=True, slots=True)
class Thing:
    """A noun phrase: what it names (known classes, or its last word), how it is introduced and described."""

    start: int
    end: int
    key: frozenset[str]
    determiner: str
    adjectives: frozenset[str]
    plural: bool
    head: str = ""  # the last word of its name


@dataclass(frozen=True, slots=True)
class Place:
    """A phrase that gives a position: "in the upper left corner", or beside something: "to the left of the road"."""

    start: int
    end: int
    axes: Axes
    of: bool = False


def things_of(text: Text) -> list[Thing]:
    """The noun phrases of a text, in order."""
    tokens, found, position = text.tokens, list[Thing](), 0
    at = {mention.start: mention for mention in text.mentions}
    while position < len(tokens):
        token = tokens[position]
        if token == "one" and tokens[position + 1 : position + 2] and tokens[position + 1] in _ONE_SEES:
            thing = None  # "on the right one finds the stadium"
        elif token in {"it", "another"} or token in ONE:
            thing = _phrase(tokens, at, text.owners, position)
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
    adjectives = frozenset(tokens[start : mention.start]) - _NOT_ADJECTIVES
    before = tokens[start - 1] if start else ""
    return Thing(
        start,
        mention.end,
        mention.classes,
        determiner or before,
        adjectives,
        mention.plural and not determiner_is_one(determiner),
        singular_of(tokens[mention.end - 1]),
    )


def determiner_is_one(determiner: str) -> bool:
    """Whether a determiner precedes a single thing and nothing else: "an aircraft"."""
    return determiner in {"a", "an", "one", "single", "this", "that"}


def _phrase(tokens: Sequence[str], at: dict[int, Mention], owners: frozenset[int], start: int) -> Thing | None:
    """The noun phrase after a determiner; None if it names a place or the image."""
    if tokens[start] == "it":
        return Thing(start, start + 1, frozenset(["it"]), "it", frozenset(), False)
    position = start + 1
    while position < min(len(tokens), start + 7):
        token = tokens[position]
        if mention := at.get(position):
            if mention.end not in at and mention.end - 1 not in owners:
                return _thing(tokens, mention, start, tokens[start])
            position = mention.end
            continue
        if token in IMAGE_WORDS or (token in _SIDES and token != "very"):
            return None
        if token in _ARTICLES:
            break  # "at the right the same pond"
        following = tokens[position + 1] if position + 1 < len(tokens) else "."
        participle = token.endswith(("ed", "ing")) and following in PREPOSITIONS
        if (token in STOPS and token not in ONE) or participle:
            break
        position += 1
    head = tokens[position - 1]
    if position == start + 1 or head in WHERE or head in ONE or head in STOPS:
        return None
    adjectives = frozenset(tokens[start + 1 : position - 1]) - _NOT_ADJECTIVES
    return Thing(
        start,
        position,
        frozenset([singular_of(head)]),
        tokens[start],
        adjectives,
        head != singular_of(head),
        singular_of(head),
    )


def places_of(tokens: Sequence[str]) -> Iterator[Place]:
    position = 0
    while position < len(tokens):
        place = _place(tokens, position) if tokens[position] in WHERE or tokens[position] in BESIDE else None
        if place is not None:
            yield place
        position = place.end if place is not None else position + 1


def centers_of(tokens: Sequence[str]) -> Iterator[Place]:
    """The phrases for the middle of the image: "in the center", "in the middle part of the image"."""
    for first, token in enumerate(tokens):
        if token not in _MIDDLE or tokens[max(0, first - 1)] in WHERE:
            continue
        start, end = first, first + 1
        while start and tokens[start - 1] in _BEFORE_MIDDLE:
            start -= 1
        while end < len(tokens) and tokens[end] in _SIDES:
            end += 1
        of_thing = tokens[end : end + 1] == ("of",) and not _of_image(tokens, end)
        if start and tokens[start - 1] in _BEFORE_CENTER and start < first and not of_thing:
            yield Place(start - 1, end + _image_length(tokens, end), (0, 0))


def _place(tokens: Sequence[str], first: int) -> Place | None:
    """The place phrase around a word like "left"; None if that word says something else."""
    if axes := BESIDE.get(tokens[first]):
        return Place(first, first + 1, axes, of=True)
    x, y, end, opposite = 0, 0, first, False
    while end < len(tokens) and (tokens[end] in WHERE or tokens[end] in _SIDES or _joins(tokens, end)):
        new_x, new_y = WHERE.get(tokens[end], (0, 0))
        opposite |= x * new_x < 0 or y * new_y < 0 or tokens[end] in {"sides", "corners", "edges", "and"}
        x, y, end = new_x or x, new_y or y, end + 1
    start = first
    while start and tokens[start - 1] in _SIDES | {"the", "its"} | IMAGE_WORDS:
        start -= 1
    article = not {"the", "its"}.isdisjoint(tokens[start:first])
    leading = start > 0 and tokens[start - 1] in _LEADING
    following = tokens[end] if end < len(tokens) else "."
    compound = end - first > 1
    starts_clause = start == 0 or tokens[start - 1] in PUNCTUATION
    of = following == "of" and not _of_image(tokens, end)
    bare_of = of and end == first + 1 and tokens[first] not in {"top", "bottom", "upper", "lower"}
    verb = compound and following.endswith("s") and following not in vocabulary().names.after
    plain = tokens[end - 1] in _SIDES or following in STOPS | _AFTER_PLACE or following.endswith("ly") or verb
    of_image = following == "of" and not of
    if (
        opposite
        or not plain
        or not (
            article
            or compound
            or bare_of
            or of_image
            or (leading and (tokens[first] not in {"right", "left"} or tokens[start - 1] == "at"))
        )
    ):
        return None
    if not (leading or starts_clause or bare_of or of_image or article):
        return None
    start -= leading
    if start and tokens[start - 1] in BESIDE:
        return None  # "a platform below its top"
    if (start and tokens[start - 1] in _NOT_THERE) or tokens[max(0, start - 2) : start] in {
        ("rather", "than"),
        ("instead", "of"),
    }:
        return None
    if ("from" in tokens[max(0, start - 2) : start + 1] and not _juts(tokens, start, end)) or _moves(tokens, start):
        return None
    if of and not (bare_of or tokens[end - 1] == "side"):
        return None  # a part of a thing
    return Place(start, end + (0 if of else _image_length(tokens, end)), (x, y), of)


def _joins(tokens: Sequence[str], position: int) -> bool:
    return (
        tokens[position] in {"and", "or"}
        and tokens[position + 1 : position + 2] != ()
        and (tokens[position + 1] in WHERE or tokens[position + 1 : position + 3][-1] in WHERE)
    )


def _of_image(tokens: Sequence[str], end: int) -> bool:
    return not IMAGE_WORDS.isdisjoint(tokens[end + 1 : end + 5])


def _image_length(tokens: Sequence[str], end: int) -> int:
    """Words of "of the image" after a place."""
    if tokens[end : end + 1] != ("of",):
        return 0
    return next((i + 1 for i, token in enumerate(tokens[end : end + 5]) if token in IMAGE_WORDS), 0)


def _moves(tokens: Sequence[str], start: int) -> bool:
    """Whether the phrase is where something leads to, not where it is."""
    begin = next((i for i in range(start - 1, -1, -1) if tokens[i] in PUNCTUATION), -1)
    before = tokens[begin + 1 : start]
    if tokens[start] in {"to", "toward", "towards"}:
        return not MOVING.isdisjoint(before)
    if not PASSING.isdisjoint(before):
        return True
    leads = bool(before) and before[-1] in {"across", "through", "toward", "towards"} | _CUTTING
    return leads or ("from" in before and _JUTTING.isdisjoint(before))


def _juts(tokens: Sequence[str], start: int, end: int) -> bool:
    """Whether a thing is at the place it comes from: "a jetty reaching out from the bottom"."""
    return not _JUTTING.isdisjoint(tokens[max(0, start - 4) : start]) and not {"to", "toward"} & set(
        tokens[end : end + 6]
    )
