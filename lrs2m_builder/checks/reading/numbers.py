"""The numbers of a text and what each counts: "two large white planes", "a dozen cars", "several of the ships"."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.lexicon import word_sets
from lrs2m_builder.checks.reading.nouns import Mention, Text
from lrs2m_builder.checks.reading.number_words import Kind, number_at, number_words
from lrs2m_builder.checks.reading.tokens import DETERMINERS, PREPOSITIONS, PUNCTUATION, SENTENCE_ENDS, STOPS, VERBS

MAX_CLAUSE = 60  # words before a number that are searched for its noun
REACH = 6  # words between a number and what it counts: "two large white commercial passenger planes"

_WORDS = word_sets("reading")
_UNITS, _GROUPS, _COLLECTIVE = _WORDS["units"], _WORDS["groups"], _WORDS["collective"]
_BEFORE: dict[tuple[str, ...], Kind] = {
    **dict.fromkeys([("about",), ("around",), ("roughly",), ("approximately",), ("nearly",), ("almost",)], "about"),
    **dict.fromkeys([("some",), ("circa",), ("close", "to"), ("an", "estimated"), ("perhaps",), ("nearly",)], "about"),
    **dict.fromkeys([("over",), ("more", "than"), ("at", "least"), ("upwards", "of"), ("above",)], "more"),
    **dict.fromkeys([("no", "fewer", "than"), ("no", "less", "than"), ("not", "less", "than")], "more"),
    **dict.fromkeys([("fewer", "than"), ("less", "than"), ("under",), ("up", "to"), ("at", "most")], "fewer"),
    **dict.fromkeys([("no", "more", "than"), ("not", "more", "than"), ("below",)], "fewer"),
}
_OTHERS = frozenset(
    ["other", "others", "another", "remaining", "rest", "remainder", "more", "additional", "further", "second"]
)
_EACH = frozenset(["each", "apiece", "per", "every"])
_ROOM = word_set("space spaces room capacity enough accommodate accommodates")  # for cars that may not be there
_IN_ALL = {("in", "all"), ("in", "total"), ("in", "number"), ("all", "told"), ("all", "together")}
_OF_THEM = {("of", "them"), ("of", "these"), ("of", "those"), ("of", "which")}
_NO_NOUN = frozenset(["", "ones", "more", "others"])
_COLOURS = word_set("red blue green white black gray grey brown yellow orange beige silver dark light large small big")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, or a word for one, and what it counts.

    Attributes:
        low, high: the number; two of them for "five to seven"; `low` alone counts for "more" and "vague".
        noun: the class mentioned after it; None if it counts another thing or the noun is left out.
        head: last word of the noun phrase after it; "" if the noun is left out ("three on the right").
        part: of a whole spoken of elsewhere ("two of the planes").
        further: beside those spoken of elsewhere ("the other two planes", "two more planes").
        each: not a total ("each with two cars").
    """

    start: int
    end: int
    low: int
    high: int
    kind: Kind
    noun: Mention | None
    head: str
    part: bool = False
    further: bool = False
    each: bool = False


def quantities(text: Text) -> tuple[Quantity, ...]:
    """All numbers of a text, in order."""
    tokens, found, position = text.tokens, list[Quantity](), 0
    at = {mention.start: mention for mention in text.mentions}
    firsts = number_words().after
    while position < len(tokens):
        if tokens[position] in firsts or tokens[position][0].isdecimal():
            quantity = _quantity(text, at, position)
            if quantity is not None:
                found.append(quantity)
                position = quantity.end
                continue
        position += 1
    return tuple(found)


def _quantity(text: Text, at: dict[int, Mention], start: int) -> Quantity | None:
    tokens = text.tokens
    number = number_at(tokens, start)
    if number is None:
        return None
    end, low, kind = number
    high = low
    if end + 1 < len(tokens) and (
        tokens[end] in {"to", "or"} or (tokens[end] == "and" and _before(tokens, start) == "between")
    ):
        upper = number_at(tokens, end + 1)
        if upper is not None and upper[2] == "exact" and upper[1] > low:
            end, high, kind = upper[0], upper[1], "about" if tokens[end] == "and" else kind
    elif end < len(tokens) and end in text.glued and tokens[end].isdecimal():  # "5-6 planes"
        high, end = max(low, int(tokens[end])), end + 1
    if kind == "exact":
        kind = _approximation(tokens, start)
    each_group, times = _groups_before(tokens, start)
    if times and kind == "exact":
        low, high = low * times, high * times
    start_noun, part = _past_of(tokens, end)
    noun, head, stop = _noun(text, at, start_noun, low)
    before = _before(tokens, start)
    further = before in _OTHERS or not _OTHERS.isdisjoint(tokens[start_noun : start_noun + 1])
    each = _is_each(tokens, start, stop) or (each_group and (not times or (noun is None and not head)))
    if end in text.glued and end < len(tokens):
        noun, head, each = None, tokens[end], True
    return Quantity(start, end, low, high, kind, noun, head, part, further, each)


def _groups_before(tokens: Sequence[str], start: int) -> tuple[bool, int]:
    """Whether a number is that of each group ("rows of six"), and of how many groups; 0 if not stated."""
    at = start - 1
    if at < 1 or tokens[at] != "of" or tokens[at - 1] not in _GROUPS:
        return False, 0
    for begin in range(max(0, at - 4), at - 1):
        number = number_at(tokens, begin)
        if number is not None and number[2] == "exact" and STOPS.isdisjoint(tokens[number[0] : at - 1]):
            return True, number[1]
    return True, 0


def _before(tokens: Sequence[str], position: int) -> str:
    return tokens[position - 1] if position else ""


def _approximation(tokens: Sequence[str], start: int) -> Kind:
    for size in (3, 2, 1):
        if size <= start and (kind := _BEFORE.get(tuple(tokens[start - size : start]))):
            return kind
    return "exact"


def _past_of(tokens: Sequence[str], end: int) -> tuple[int, bool]:
    """Where the noun phrase begins after "of (the)", and whether the number is of a part of it."""
    if tokens[end : end + 1] != ("of",):
        return end, False
    if tokens[end + 1 : end + 2] and tokens[end + 1] in DETERMINERS | {"them", "which"}:
        return end + 2, True
    return (end + 1, False) if tokens[end - 1] in _COLLECTIVE else (end + 1, True)


def _noun(text: Text, at: dict[int, Mention], start: int, number: int) -> tuple[Mention | None, str, int]:
    """The mention that a number counts, the last word of its phrase, and where that ends."""
    tokens, position, last = text.tokens, start, ""
    while position < min(len(tokens), start + REACH):
        token = tokens[position]
        if mention := at.get(position):
            following = tokens[mention.end] if mention.end < len(tokens) else "."
            if mention.end in text.glued and following.endswith(("ed", "ing")):  # "two grass-divided runways"
                position, last = mention.end + 1, following
                continue
            ends = following in STOPS or following.endswith(("ed", "ing")) or mention.end in text.glued
            if mention.plural or ends or (number == 1 and mention.end not in at):
                return mention, tokens[mention.end - 1], mention.end
            position, last = mention.end, tokens[mention.end - 1]
            continue
        if token in _UNITS | _GROUPS and position == start:
            return None, token, position + 1
        after = tokens[position + 1] if position + 1 < len(tokens) else "."
        if token in VERBS and token.endswith("ed") and after not in STOPS:  # "a dozen parked trucks"
            position, last = position + 1, token
            continue
        joined = _joins_adjectives(tokens, position, start, last)
        compound = position in text.glued or position + 1 in text.glued  # "three side-by-side courts"
        if (token in STOPS and not joined and not compound) or (token[0].isdecimal() and position > start):
            break
        last, position = token if not joined else last, position + 1
    return None, last, position


def _joins_adjectives(tokens: Sequence[str], position: int, start: int, last: str) -> bool:
    """Whether a comma or "and" joins adjectives: "two large, white planes", not "two gardens, planes"."""
    if position == start or position + 1 >= len(tokens) or tokens[position + 1] in STOPS:
        return False
    if tokens[position] == ",":
        return bool(last) and not (last.endswith("s") and not last.endswith("ss"))
    return tokens[position] == "and" and last in _COLOURS


def _is_each(tokens: Sequence[str], start: int, stop: int) -> bool:
    """Whether the number applies to each of several other things."""
    back = max(0, start - MAX_CLAUSE)
    begin = next((i + 1 for i in range(start - 1, back - 1, -1) if tokens[i] in PUNCTUATION), back)
    before = tokens[begin:start]
    after = tokens[stop : stop + 1]
    # "One diamond lies in each corner"
    end = next((i for i in range(stop, min(len(tokens), stop + 6)) if tokens[i] in PUNCTUATION), stop + 6)
    spread = any(tokens[i] in PREPOSITIONS and tokens[i + 1] in _EACH for i in range(stop, min(end, len(tokens)) - 1))
    number = number_at(tokens, start)
    if spread and number is not None and number[2] != "vague":
        return True
    return not _EACH.isdisjoint(before) or not _EACH.isdisjoint(after) or not _ROOM.isdisjoint(before)


@lru_cache(maxsize=4096)
def counted(text: Text) -> tuple[tuple[Quantity, Mention | None], ...]:
    """Every number with what it counts; one without a noun counts what the sentence named before.

    Such a number is of a part ("three on the right"), unless the text says that it is all ("thirteen in all").
    """
    pairs: list[tuple[Quantity, Mention | None]] = []
    starts = [mention.start for mention in text.mentions]
    for quantity in quantities(text):
        noun = quantity.noun
        if noun is None and (quantity.head in _NO_NOUN or quantity.head in _COLOURS):
            back = max(-1, quantity.start - MAX_CLAUSE)
            begin = _clause_begin(text.tokens, quantity.start, back)
            if text.tokens[quantity.end : quantity.end + 2] in _OF_THEM:  # of those in the sentence before
                begin = _clause_begin(text.tokens, begin, back)
            first, last = bisect_right(starts, begin), bisect_left(starts, quantity.start)
            said = text.mentions[first:last]
            noun = _total_of(text.tokens, said, quantity)
            if noun is not None:
                quantity = replace(quantity, noun=noun)
            else:
                noun = _left_out(pairs, said, begin)
        pairs.append((quantity, noun))
    return tuple(pairs)


def _clause_begin(tokens: Sequence[str], start: int, back: int) -> int:
    """Where the sentence before a token ends, no farther back than `back`."""
    return next((i for i in range(start - 1, back, -1) if tokens[i] in SENTENCE_ENDS), back)


def _total_of(tokens: Sequence[str], said: Sequence[Mention], quantity: Quantity) -> Mention | None:
    """What a number is the total of: "planes, thirteen in all", "the number of ships in the harbor is 14"."""
    if _before(tokens, quantity.start) == "(" and said and said[-1].end == quantity.start - 1:
        return said[-1]
    if tokens[quantity.end : quantity.end + 2] in _IN_ALL:
        return next((mention for mention in reversed(said) if mention.plural), None)
    if _before(tokens, quantity.start) not in VERBS | {"to", "reaches", "equals"}:
        return None
    return next((m for m in said if {"number", "total", "count"} & set(tokens[max(0, m.start - 4) : m.start])), None)


def _left_out(pairs: Sequence[tuple[Quantity, Mention | None]], said: Sequence[Mention], begin: int) -> Mention | None:
    earlier = next((noun for _, noun in pairs[:-MAX_CLAUSE:-1] if noun is not None and noun.start > begin), None)
    return earlier or next((mention for mention in reversed(said) if mention.plural), None)
