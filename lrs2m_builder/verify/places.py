"""Where a text puts things: at a place of the image, or beside another thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.nouns import Mention
from lrs2m_builder.checks.reading.numbers import counted
from lrs2m_builder.checks.reading.place_phrases import Place, centers_of, places_of, things_of
from lrs2m_builder.checks.reading.tokens import DETERMINERS, PREPOSITIONS
from lrs2m_builder.checks.reading.whereabouts import facts_of
from lrs2m_builder.verify.parsed import Found, Reading, class_of

IMAGE_WORDS = word_set("image picture scene photo photograph view frame")
_RELATIONS = word_set(
    "on in inside at near beside along alongside around between behind below above under beneath over across through "
    "next close adjacent opposite within outside by"
)
_BETWEEN = (
    word_set(
        "to the a an of front top left right side edge is are was were lie lies located situated stand stands visible "
        "seen can be both sides two directly its their this these large small"
    )
    | _RELATIONS
)
_FINITE = word_set("is are was were lie lies located situated stand stands visible seen can be")
_OF_SIDE = word_set("front left right side sides edge top")
_SIDE_OF = {
    **{(-1, 0): "to the left of", (1, 0): "to the right of", (0, 1): "above", (0, -1): "below"},
    **{(-1, 1): "to the upper left of", (1, 1): "to the upper right of"},
    **{(-1, -1): "to the lower left of", (1, -1): "to the lower right of"},
}
MAX_BETWEEN = 7


def placed(reading: Reading) -> Iterator[Found]:
    """Where things are, in the image or beside another."""
    text, tokens = reading.text, reading.text.tokens
    places = sorted((*places_of(tokens), *centers_of(tokens)), key=lambda place: place.start)
    by_end = {mention.end: mention for mention in text.asserted}
    by_start = {place.start: place for place in places}
    taken = set()
    for quantity, noun in counted(text):
        place = by_start.get(quantity.end)
        if quantity.noun is not None or noun is None or place is None or place.of or noun.denied:
            continue
        taken.add(place.start)  # "three planes, two on the left and one on the right"
        if quantity.kind == "exact" and quantity.low == quantity.high:
            where, be = _where(tokens, place), "is" if quantity.low == 1 else "are"
            words = f"There {be} {reading.phrase(noun).counted(quantity.low)} {where} of the image."
            covered = tuple(range(quantity.start, place.end))
            yield Found("place", words, covered, class_of(noun), quantity.low, where)
    facts = facts_of(tokens, things_of(text), places)
    beside_place = {fact.place for fact in facts if fact.adjacent}
    for fact in facts:
        mention, place = by_end.get(fact.thing.end), by_start[fact.place]
        if mention is None or fact.thing.determiner == "it" or place.start in taken:
            continue
        if not fact.adjacent and fact.place in beside_place:
            continue  # "an avenue separates the houses on the left from ...": the avenue may be elsewhere
        if not {"its", "their"}.isdisjoint(tokens[max(0, place.start - 1) : place.end]):
            continue  # of a thing, not of the image: "its left end touches a park"
        words, be, number, covered_set = reading.subject(mention)
        where_said = set(range(place.start, place.end))
        if fact.beside is None:
            where = _where(tokens, place)
            statement = f"There {be} {words} {where} of the image."
            found = tuple(sorted(covered_set | where_said, key=lambda i: (i < mention.start, i)))
            yield Found("place", statement, found, class_of(mention), number, where)
        elif (other := by_end.get(fact.beside.end)) is not None:
            one, two, side = reading.phrase(mention), reading.phrase(other), _SIDE_OF.get(fact.axes, "beside")
            covered = (*range(one.start, one.end), *sorted(where_said), *range(two.start, two.end))
            words = f"The {one.words} {one.be} {side} the {two.words}."
            yield Found("relation", words, covered, class_of(mention), None, side)


def related(reading: Reading) -> Iterator[Found]:
    """What is on, along or near another thing, in the words between both."""
    text, tokens = reading.text, reading.text.tokens
    for mention, other in pairwise(text.mentions):
        between = list(range(mention.end, other.start))
        if mention.denied or other.denied or not 0 < len(between) <= MAX_BETWEEN:
            continue
        adjectives = set(range(reading.phrase(other).start, other.start))
        plain = all(
            tokens[i] in _BETWEEN or i in adjectives or tokens[i].endswith(("ed", "ing", "ly")) for i in between
        )
        plain &= IMAGE_WORDS.isdisjoint(tokens[i] for i in between)  # "in the image's center"
        said = [tokens[i] for i in between if i not in adjectives]
        if not plain or _RELATIONS.isdisjoint(said) or ("of" in said and _OF_SIDE.isdisjoint(said)):
            continue
        if tokens[between[0]] in _FINITE and _is_led(reading, mention):
            continue  # "a station with two towers stands beside a canal" is said of the station
        while tokens[between[0]] in _FINITE:
            between.pop(0)
        words, be, number, covered = reading.subject(mention)
        relation = reading.between(between[0], other.end)
        found = tuple(sorted({*covered, *range(mention.end, other.end)}, key=lambda i: (i < mention.start, i)))
        yield Found("relation", f"There {be} {words} {relation}.", found, class_of(mention), number)


def _is_led(reading: Reading, mention: Mention) -> bool:
    """Whether a preposition stands before the phrase of a mention, which then is no subject."""
    position = min(reading.phrase(mention).start, getattr(reading.numbers.get(mention.start), "start", mention.start))
    while position and reading.text.tokens[position - 1] in DETERMINERS:
        position -= 1
    return position > 0 and reading.text.tokens[position - 1] in PREPOSITIONS


def _where(tokens: Sequence[str], place: Place) -> str:
    """A place of the image in the plainest words: "in the upper left", "in the left half"."""
    across = {-1: "left", 0: "", 1: "right"}[place.axes[0]]
    down = {-1: "lower", 0: "", 1: "upper"}[place.axes[1]]
    said = set(tokens[place.start : place.end])
    if not across and not down:
        return "in the center"
    if "half" in said and not (across and down):
        return f"in the {down or across} half"
    if across and down:
        return f"in the {down} {across}" + (" corner" if "corner" in said else "")
    return f"on the {across}" if across else f"at the {'top' if down == 'upper' else 'bottom'}"
