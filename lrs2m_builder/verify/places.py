"""Where a text puts things: at a place of the image, or beside another thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.nouns import Mention
from lrs2m_builder.checks.reading.place_phrases import Place
from lrs2m_builder.checks.reading.placed import placed
from lrs2m_builder.checks.reading.tokens import DETERMINERS, PREPOSITIONS
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


def placed_statements(reading: Reading) -> Iterator[Found]:
    """Where things are, in the image or beside another."""
    tokens = reading.text.tokens
    for found in placed(reading.text):
        mention, place, quantity = found.mention, found.place, found.quantity
        where_said = range(place.start, place.end)
        if quantity is not None:
            if quantity.kind == "exact" and quantity.low == quantity.high:
                where, be = _where(tokens, place), "is" if quantity.low == 1 else "are"
                words = f"There {be} {reading.phrase(mention).counted(quantity.low)} {where} of the image."
                covered = tuple(range(quantity.start, place.end))
                yield Found("place", words, covered, class_of(mention), quantity.low, where)
        elif found.beside is not None:
            one, two, side = reading.phrase(mention), reading.phrase(found.beside), _SIDE_OF.get(place.axes, "beside")
            covered = (*range(one.start, one.end), *where_said, *range(two.start, two.end))
            words = f"The {one.words} {one.be} {side} the {two.words}."
            yield Found("relation", words, covered, class_of(mention), None, side)
        else:
            words, be, number, covered_set = reading.subject(mention)
            where = _where(tokens, place)
            statement = f"There {be} {words} {where} of the image."
            covered = tuple(sorted(covered_set.union(where_said), key=lambda i: (i < mention.start, i)))
            yield Found("place", statement, covered, class_of(mention), number, where)


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
