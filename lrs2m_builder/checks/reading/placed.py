"""What a text puts at a place of the image or beside another thing, and how many of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lrs2m_builder.checks.reading.lexicon import word_sets
from lrs2m_builder.checks.reading.nouns import Mention, Text
from lrs2m_builder.checks.reading.numbers import Quantity, counted
from lrs2m_builder.checks.reading.place_phrases import Place, Thing, centers_of, places_of, things_of
from lrs2m_builder.checks.reading.tokens import VERBS
from lrs2m_builder.checks.reading.vocabulary import singular_of
from lrs2m_builder.checks.reading.whereabouts import facts_of

_GROUPS = {singular_of(word) for word in word_sets("reading")["groups"]}
_OF_THEM = {("of", "them"), ("of", "these"), ("of", "those"), ("of", "which")}
_REACH = 4  # words from a group to its members: "a row of five white buses"


@dataclass(frozen=True, slots=True)
class Placed:
    """A thing at a place.

    Attributes:
        quantity: the number whose noun is left out: "two" in "planes, two on the left"; None with a noun.
        thing: its noun phrase; None if the noun is left out.
        beside: the thing that the place is relative to; None for a place of the image.
        adjacent: whether the place follows the noun: "the planes on the left", not "the planes are on the left".
    """

    mention: Mention
    place: Place
    quantity: Quantity | None = None
    thing: Thing | None = None
    beside: Mention | None = None
    adjacent: bool = False


def placed(text: Text) -> Iterator[Placed]:
    """Yield where things of known classes are: first those whose noun is left out, then the others."""
    tokens = text.tokens
    places = sorted((*places_of(tokens), *centers_of(tokens)), key=lambda place: place.start)
    by_end = {mention.end: mention for mention in text.asserted}
    by_start = {place.start: place for place in places}
    taken = set()
    for quantity, noun in counted(text) if places else ():
        place = by_start.get(_after_verb(tokens, quantity.end))
        if quantity.noun is not None or noun is None or place is None or place.of or noun.denied:
            continue
        if _is_of_thing(tokens, place):
            continue
        taken.add(place.start)  # "three planes, two on the left and one on the right"
        yield Placed(noun, place, quantity)
    facts = facts_of(tokens, things_of(text), places) if places else []
    beside_place = {fact.place for fact in facts if fact.adjacent}
    for fact in facts:
        mention, place = by_end.get(fact.thing.end) or _members(text, fact.thing), by_start[fact.place]
        if mention is None or fact.thing.determiner == "it" or place.start in taken:
            continue
        if not fact.adjacent and fact.place in beside_place:
            continue  # "an avenue separates the houses on the left from ...": the avenue may be elsewhere
        if _is_of_thing(tokens, place):
            continue
        if fact.beside is None:
            yield Placed(mention, place, thing=fact.thing, adjacent=fact.adjacent)
        elif (other := by_end.get(fact.beside.end)) is not None:
            yield Placed(mention, place, thing=fact.thing, beside=other, adjacent=fact.adjacent)


def _is_of_thing(tokens: Sequence[str], place: Place) -> bool:
    """Whether a place is one of a thing, not of the image: "its left end touches a park"."""
    return not {"its", "their"}.isdisjoint(tokens[max(0, place.start - 1) : place.end])


def _after_verb(tokens: Sequence[str], position: int) -> int:
    """The position after "of them" and a verb: that of "on the left" in "four of them sit on the left"."""
    position += 2 * (tokens[position : position + 2] in _OF_THEM)
    return position + (tokens[position : position + 1] != () and tokens[position] in VERBS)


def _members(text: Text, thing: Thing) -> Mention | None:
    """What a group consists of: the buses in "a row of five buses"."""
    if thing.head not in _GROUPS or text.tokens[thing.end : thing.end + 1] != ("of",):
        return None
    return next((mention for mention in text.asserted if 0 < mention.start - thing.end <= _REACH), None)
