"""Whether a text contradicts itself about where one thing is: both left and right, or A left of B and B left of A."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from lrs2m_builder.checks.base import Answer, Check
from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.nouns import read
from lrs2m_builder.checks.reading.place_phrases import BESIDE, ONE, WHERE, Thing, things_of
from lrs2m_builder.checks.reading.tokens import SENTENCE_ENDS, STOPS
from lrs2m_builder.checks.reading.vocabulary import vocabulary
from lrs2m_builder.checks.reading.whereabouts import Fact, facts_of

MAX_FACTS = 60  # facts of a text that are compared; a caption has ten
_SAME_AGAIN = frozenset(["the", "this", "that", "same", "it"])
_ANOTHER = frozenset(["another", "other", "others", "second", "third"])
_SPREAD = frozenset(["road", "railway", "river", "watercourse", "shore", "sea", "beach", "path", "forest", "grass"])
_SPREAD |= {"vegetation", "ground", "field"}
_SPREAD_WORDS = word_set(
    "wall fence line boundary hedge ditch dike border strip belt band row chain pipeline conveyor trail valley ridge "
    "slope area land terrain landscape density amount number density growth concentration water soil"
)
_DEGREES = word_set("more less most least mostly mainly largely partly especially particularly predominantly further")
_GRADED = word_set(
    "dens high low wid narrow thick thinn spars light dark bright larg small tall long short steep deep clos rough "
    "green busi clear heavi fewer great strong weak old new"
)
_EACH_OTHER = {("each", "other"), ("one", "another")}
_MORE = _ANOTHER | frozenset(["two", "both", "pair", "either", "each"])


def _contradict(one: Fact, other: Fact, introduced: frozenset[frozenset[str]]) -> bool:
    """Whether a later fact puts the same single thing at the opposite place of an earlier one."""
    if (one.beside is None) != (other.beside is None):
        return False
    turned = (
        one.beside is not None
        and other.beside is not None
        and (_alike(one.thing, other.beside) and _alike(one.beside, other.thing) and not _alike(one.thing, one.beside))
    )
    same = (
        _alike(one.thing, other.thing)
        and not (one.beside is not None and _is_spread(one.thing))
        and (one.beside is None or (other.beside is not None and _alike(one.beside, other.beside)))
    )
    if not (same or turned):
        return False
    opposite = any(a * b < 0 for a, b in zip(one.axes, other.axes, strict=True))
    alike = any(a * b > 0 for a, b in zip(one.axes, other.axes, strict=True))
    if turned:
        return alike and not opposite
    if one.whole and not one.adjacent and opposite and other.thing.determiner in _SAME_AGAIN:
        return True
    if not opposite or one.whole != other.whole or not (one.whole or _is_same(one.thing, other.thing)):
        return False
    if one.thing.plural and not one.whole:
        return False
    distinguished = (
        one.adjacent and other.adjacent and one.thing.key not in introduced and "same" not in other.thing.adjectives
    )
    return not distinguished or one.beside is not None


def _alike(one: Thing, other: Thing) -> bool:
    """Whether two phrases name one kind of thing; a later one may be shorter: "the water tank", then "the tank"."""
    shortened = bool(other.head) and one.head == other.head and other.end - other.start <= 2 and one.start < other.start
    return one.key == other.key or shortened


def _is_same(one: Thing, other: Thing) -> bool:
    if one == other:
        return True
    mine, theirs = one.adjectives - {"same"}, other.adjectives - {"same"}
    described_alike = mine <= theirs or theirs <= mine
    return one.determiner in ONE and other.determiner in _SAME_AGAIN and described_alike


def _direction(answer: Answer) -> str | None:
    text = read(answer.text)
    if sum(token in WHERE or token in BESIDE for token in text.tokens) < 2:
        return None
    things = things_of(text)
    several = {
        word
        for t in things
        if (t.plural and "all" not in text.tokens[max(0, t.start - 2) : t.end + 2])
        or t.determiner in _MORE
        or t.adjectives & _MORE
        if t.determiner not in {"its", "their"}
        for word in t.key
    }
    facts = [
        fact
        for fact in facts_of(text.tokens, things)
        if (fact.beside is not None or not _is_spread(fact.thing))
        and not _is_compared(text.tokens, fact)
        and (
            fact.whole
            or (_is_single(fact.thing, several) and _is_landmark(fact.beside, several))
            or (fact.thing.plural and fact.thing.determiner == "the" and fact.beside is not None)
        )
    ]
    introduced = frozenset(t.key for t in things if t.determiner in {"a", "an", "one", "single"})
    for one, other in combinations(facts[:MAX_FACTS], 2):
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
    """Whether a second thing of the kind is mentioned between the two mentions or shortly after."""
    for i in range(one.start, min(len(tokens), other.end + 12)):
        if tokens[i] in _ANOTHER and not (
            (tokens[i] == "third" and tokens[i - 1] in WHERE)
            or tuple(tokens[i - 1 : i + 1]) in _EACH_OTHER
            or tuple(tokens[i - 2 : i]) == ("to", "the")  # "from one edge to the other"
        ):
            following = tokens[i + 1] if i + 1 < len(tokens) else "."
            if following in {"one", "ones"} or (following in STOPS and tokens[i] not in {"second", "third"}):
                return True
            if any(i <= t.start <= i + 3 and not t.key.isdisjoint(one.key) for t in things):
                return True
    return False


def _is_landmark(thing: Thing | None, several: set[str]) -> bool:
    """Whether the landmark is a definite thing: "the tower", "the courts"."""
    return thing is None or _is_single(thing, several) or (thing.plural and thing.determiner in _SAME_AGAIN)


def _is_single(thing: Thing, several: set[str]) -> bool:
    return not thing.plural and thing.determiner in ONE and several.isdisjoint(thing.key)


def _is_spread(thing: Thing) -> bool:
    """Whether a thing is so long or wide that it may be at two sides: a road, a river, a coast, a forest."""
    special = vocabulary().special
    return thing.head in _SPREAD_WORDS or any(not thing.key.isdisjoint(special[name]) for name in _SPREAD)


def _is_compared(tokens: Sequence[str], fact: Fact) -> bool:
    """Whether the place is one where a thing is more or less so: "denser on the right than on the left"."""
    first, last = sorted((fact.thing.end, fact.place))
    stop = next((i for i in range(last, len(tokens)) if tokens[i] in SENTENCE_ENDS), len(tokens))
    begin = next((i + 1 for i in range(first - 1, -1, -1) if tokens[i] in SENTENCE_ENDS), 0)
    if any(tokens[i] == "than" and tokens[i - 1] not in {"rather", "other"} for i in range(max(1, begin), stop)):
        return True
    return any(
        token in _DEGREES or (token.endswith("er") and token[:-2] in _GRADED and token not in WHERE)
        for token in tokens[first : last + 1]
    )


DIRECTION = Check("direction", _direction, "warn")
