"""Checks of a short text against the long text it was made from."""

from __future__ import annotations

import re
from itertools import pairwise

from lrs2m_builder.checks.anchor_count import adds_up, agrees
from lrs2m_builder.checks.base import Answer, Check, split_sentences, split_words
from lrs2m_builder.checks.reading.implied import classes_of, unsupported
from lrs2m_builder.checks.reading.lexicon import late_pattern
from lrs2m_builder.checks.reading.nouns import Mention, Text, read
from lrs2m_builder.checks.reading.numbers import Quantity, counted
from lrs2m_builder.checks.reading.vocabulary import singular_of, vocabulary

MAX_NUMBERS = 50  # of a summary that are compared
MIN_RUN = 8  # words of a sentence's beginning that make a copy of it
_ARTICLES = frozenset(["a", "an", "the"])
_LEAD_IN = late_pattern("summary", "lead_in", re.compile)


def _words(sentence: str) -> tuple[str, ...]:
    """The words of a sentence that count in a comparison: no lead-in, no articles, no case."""
    words = (word.casefold() for word in split_words(_LEAD_IN.sub("", sentence.strip())))
    return tuple(word for word in words if word not in _ARTICLES)


def _copy(answer: Answer) -> str | None:
    """A summary that is a sentence of its source adds nothing: Long-CLIP's short texts were just that."""
    mine = _words(answer.text)
    if not mine or not answer.source:
        return None
    sentences = [_words(sentence) for sentence in split_sentences(answer.source)]
    whole = tuple(word for sentence in sentences for word in sentence)
    starts = len(answer.words) >= MIN_RUN and any(mine == sentence[: len(mine)] for sentence in sentences)
    own = [_words(sentence) for sentence in split_sentences(answer.text)]
    if starts or mine in {*sentences, whole} or all(sentence in sentences for sentence in own if sentence):
        return "The answer was a sentence of the text, copied. Write a sentence of your own."
    return None


def _summary_object(answer: Answer) -> str | None:
    """A summary names no object that its source does not name; a more general word is fine."""
    if not answer.source:
        return None
    words = unsupported(read(answer.text), classes_of(read(answer.source)), special=False)
    return f"The text does not speak of: {', '.join(words)}. Name only what it names." if words else None


def _article_ones(text: Text, related: frozenset[str]) -> list[int]:
    """A one for each single thing of a class: "a ship", "another ship", "the ship" where it is not one of those."""
    ones, said = 0, frozenset[str]()
    for mention in text.asserted:
        if mention.plural or related.isdisjoint(mention.classes):
            continue
        before = set(text.tokens[max(0, mention.start - 4) : mention.start])
        if before & {"a", "an", "another"} or (before & {"the", "this"} and said.isdisjoint(mention.classes)):
            ones, said = ones + 1, said | mention.classes
    return [1] * ones


def _joined_ones(text: Text, related: frozenset[str]) -> list[int]:
    """A one for each single thing that "and" joins to others: "two ships and a small tugboat"."""
    singles = [m for m in text.asserted if not m.plural and not related.isdisjoint(m.classes)]
    before = (text.tokens[max(0, m.start - 4) : m.start] for m in singles)
    return [1 for words in before if {("and", "a"), ("and", "an")} & set(pairwise(words))]


def _is_given(number: Quantity, noun: Mention, source: Text, *, is_total: bool) -> bool:
    """Whether the source gives a number for a class, as a whole or by its parts.

    Args:
        is_total: the number is the total: "six planes in all", "both planes".
    """
    known = vocabulary()
    related = frozenset().union(
        *(known.special[name] | known.general[name] | known.loose[name] for name in noun.classes)
    )
    related |= {name for name, loose in known.loose.items() if not loose.isdisjoint(noun.classes)}
    theirs = [q for q, n in counted(source) if n is not None and not n.denied and not related.isdisjoint(n.classes)]
    exact = [q for q in theirs if q.kind != "vague"]
    if number.kind == "exact" and not exact:
        # "11 round fields" of "eleven circles"; that the one thing is there at all is `summary_object`'s to say.
        unknown = {q.low for q, n in counted(source) if n is None and q.head and q.kind == "exact" and not q.each}
        plural = any(m.plural and not related.isdisjoint(m.classes) for m in source.asserted)
        if (number.low in unknown and plural) or (number.low == 1 and not theirs and not plural):
            return True
    if number.kind == "vague":
        plural = any(m.plural and not related.isdisjoint(m.classes) for m in source.asserted)
        counted_whole = sum(q.low for q in exact)
        return len(exact) < len(theirs) or not exact or counted_whole >= number.low or (plural and not exact)
    own = frozenset().union(*(known.special[name] for name in noun.classes))
    numbers = [(q, n) for q, n in counted(source) if n and q.kind != "vague" and not own.isdisjoint(n.classes)]
    if is_total and not all(q.part for q in exact):  # "three runways, two of them parallel" are not both of them
        exact = [q for q in exact if not q.part]
        numbers = [(q, n) for q, n in numbers if not q.part]
    # "Three trucks, one blue, one red": a one without a noun of its own is among those that were counted.
    parts = [q.low for q, n in numbers if q.low > 1 or n.start >= q.end or _is_added(source, q)]
    shares = [q.low for q, n in numbers if n.start < q.start and q.low > 1]
    if sum(shares) in parts:  # "nine planes, six white and three blue"
        parts = [q.low for q, n in numbers if n.start >= q.end]
        exact = [q for q in exact if not is_total or q.low not in shares]
    if any(q.low == number.low and q.high == number.high for q in exact) or any(agrees(number, q.low) for q in exact):
        return True
    if adds_up([*parts, *_joined_ones(source, own)], number.low):
        return True
    return max(parts, default=0) <= 1 and adds_up([*parts, *_article_ones(source, own)], number.low)


def _is_added(text: Text, number: Quantity) -> bool:
    """Whether a one is one more: "four big tanks and a small one"."""
    before = text.tokens[max(0, number.start - 3) : number.start - 1]
    return before[:1] == ("and",) and before[-1] in {"a", "an"}


def _summary_count(answer: Answer) -> str | None:
    """A summary gives no number that its source does not give."""
    if not answer.source:
        return None
    text, source = read(answer.text), read(answer.source)
    for number, noun in counted(text)[:MAX_NUMBERS]:
        if number.end in text.glued and (said := _said_of(source, number.head)) and number.low not in said:
            return _wrong(text, number, number.end + 1)  # "a six-lane highway"
        if number.each or (number.noun is None and not number.head):
            continue
        both = "both" in text.tokens[number.start : number.end]
        if both and not _counts(source, noun):
            continue  # "trees on both banks"
        if noun is not None and not noun.denied:
            bare = text.tokens[noun.start] if noun.end == noun.start + 1 else ""  # "four fields", of football
            is_total = both or {("in", "all"), ("in", "total")} & {tuple(text.tokens[noun.end : noun.end + 2])} != set()
            if not _is_given(number, noun, source, is_total=is_total) and number.low not in _said_of(source, bare):
                return _wrong(text, number, noun.end)
        elif number.head and (said := _said_of(source, number.head)) and number.low not in said:
            return _wrong(text, number, number.end + 1)
    return None


def _counts(source: Text, noun: Mention | None) -> bool:
    """Whether the source gives any number for the class of a mention."""
    return noun is not None and any(
        n is not None and not n.classes.isdisjoint(noun.classes) for _, n in counted(source)
    )


def _said_of(source: Text, head: str) -> set[int]:
    """The exact numbers that the source gives for a noun of no known class."""
    same = {head, singular_of(head)}
    return {q.low for q, _ in counted(source) if q.kind != "vague" and {q.head, singular_of(q.head)} & same}


def _wrong(text: Text, number: Quantity, end: int) -> str:
    said = " ".join(text.tokens[number.start : max(end, number.end)])
    return f'The text does not give the number in "{said}". Keep its numbers, or leave them out.'


COPY = Check("copy", _copy)
SUMMARY_OBJECT = Check("summary_object", _summary_object)
SUMMARY_COUNT = Check("summary_count", _summary_count, level="warn")
