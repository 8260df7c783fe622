"""Whether a text puts labelled objects where their boxes are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lrs2m_builder.checks.base import Answer, Check
from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.nouns import Mention, Text, read
from lrs2m_builder.checks.reading.numbers import Quantity, counted
from lrs2m_builder.checks.reading.place_phrases import IMAGE_WORDS, Place
from lrs2m_builder.checks.reading.placed import Placed, placed
from lrs2m_builder.checks.reading.regions import Region, can_hold_each, region_of
from lrs2m_builder.checks.reading.tokens import PREPOSITIONS, PUNCTUATION, SENTENCE_ENDS, VERBS
from lrs2m_builder.checks.reading.vocabulary import resolve
from lrs2m_builder.schema import Anchor, Box

MAX_TOLD = 100  # objects of a class that a text can tell one by one
_ALL = word_set("the these those all both")
_ARE = word_set("are lie stand sit rest remain")
_SOME = word_set(
    "most mostly mainly largely chiefly partly primarily predominantly especially particularly majority some several "
    "many few half part except concentrated clustered grouped denser densest more others other that which"
)


def _anchor_place(answer: Answer) -> str | None:
    """As many objects as a text puts at a place of the image may be said to be there, by their boxes."""
    size = answer.sample.image_size
    if size is None or not any(anchor.boxes for anchor in answer.sample.anchors):
        return None
    text = read(answer.text)
    numbers = {quantity.noun.start: quantity for quantity, _ in counted(text) if quantity.noun is not None}
    one_by_one: dict[int, list[Place]] = defaultdict(list)  # by noun: "one on the left, two at the top" are three
    for found in placed(text):
        boxes = _boxes(found.mention, answer.sample.anchors)
        if found.beside is not None or not boxes or not _is_of_image(text.tokens, found.place):
            continue
        region = region_of(found.place.axes, text.tokens[found.place.start : found.place.end])
        number = _number(text.tokens, found.quantity or numbers.get(found.mention.start))
        if _is_said_of_all(text.tokens, found):
            number = len(boxes)
        if sum(region.may_hold(box, size) for box in boxes) < min(number, len(boxes)):
            return _problem(text, found)
        if found.quantity is not None and number <= len(boxes) <= MAX_TOLD:
            each = one_by_one[found.mention.start]
            each += [found.place] * number
            if len(each) == len(boxes) and not can_hold_each(_told_apart(text.tokens, each), boxes, size):
                return _problem(text, found)
    return None


def _told_apart(tokens: Sequence[str], places: Sequence[Place]) -> list[Region]:
    """The regions of places at which the objects of a class are told one by one."""
    every = {place.axes for place in places}
    return [region_of(place.axes, tokens[place.start : place.end], every) for place in places]


def _boxes(mention: Mention, anchors: Sequence[Anchor]) -> tuple[Box, ...]:
    """The boxes of the labelled objects that a mention may speak of; none if those of some are not known."""
    meant = [anchor for anchor in anchors if not mention.classes.isdisjoint(resolve(anchor.name).named_by)]
    if not all(anchor.boxes for anchor in meant):
        return ()
    return tuple(box for anchor in meant for box in anchor.boxes)


def _is_of_image(tokens: Sequence[str], place: Place) -> bool:
    """Whether a thing is at a place of the image: not "opens toward the top", nor "the upper part is full of cars"."""
    first = tokens[place.start]
    if first in {"toward", "towards"}:
        return place.start == 0 or tokens[place.start - 1] in VERBS | PUNCTUATION
    return first in PREPOSITIONS or not IMAGE_WORDS.isdisjoint(tokens[place.start : place.end])


def _number(tokens: Sequence[str], quantity: Quantity | None) -> int:
    """At least how many objects a number says are there; of "most of the four" it is one."""
    if quantity is None or quantity.kind != "exact" or quantity.low != quantity.high or quantity.each:
        return 1
    return quantity.low if _SOME.isdisjoint(tokens[max(0, quantity.start - 3) : quantity.start]) else 1


def _is_said_of_all(tokens: Sequence[str], found: Placed) -> bool:
    """Whether all of a kind are said to be there, and nowhere else: "the ships lie in the upper left"."""
    thing, place = found.thing, found.place
    if thing is None or found.adjacent or not thing.plural or thing.determiner not in _ALL or thing.end > place.start:
        return False
    between = tokens[thing.end : place.start]
    begin = next((i + 1 for i in range(thing.start - 1, -1, -1) if tokens[i] in SENTENCE_ENDS), 0)
    goes_on = tokens[place.end : place.end + 1] in {("and",), ("or",), (",",)} and not PREPOSITIONS.isdisjoint(
        tokens[place.end + 1 : place.end + 3]
    )
    return (
        not _ARE.isdisjoint(between)
        and PREPOSITIONS.isdisjoint(between)
        and _SOME.isdisjoint(tokens[begin : place.start])
        and not goes_on
    )


def _problem(text: Text, found: Placed) -> str:
    words = " ".join(text.tokens[found.mention.start : found.mention.end])
    where = " ".join(text.tokens[found.place.start : found.place.end])
    return f'The answer put "{words}" {where} of the image, where the labels have none or fewer. Look again.'


# It warns: one in six findings is false on natural captions (docs/checks.md).
ANCHOR_PLACE = Check("anchor_place", _anchor_place, "warn")
