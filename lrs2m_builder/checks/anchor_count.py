"""Whether the numbers of a text are those that labels, or all hints, give for a class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from lrs2m_builder.checks.base import Answer, Check
from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.nouns import Mention, Text, find_label, read
from lrs2m_builder.checks.reading.numbers import REACH, Quantity, counted
from lrs2m_builder.checks.reading.tokens import DETERMINERS, STOPS
from lrs2m_builder.checks.reading.vocabulary import resolve, singular_of, vocabulary
from lrs2m_builder.schema import Anchor, Sample

ABOUT = 0.2  # "about 20" means 16 to 24
MAX_BACK = 40  # words between "the others" and the things they belong to
_OTHERS = frozenset(["other", "others", "another", "remaining", "rest", "remainder", "more", "additional"])
_DEFINITE = word_set("the these those both all its their such")
_ORDINAL_WORDS = ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ORDINALS = {word: number for number, word in enumerate(_ORDINAL_WORDS, 3)}
_LONG = ("road", "railway", "river", "path", "lane mark")  # annotators disagree about their number


def agrees(quantity: Quantity, count: int) -> bool:
    """Whether a number in the text agrees with a count: equal, near it after "about", or vague."""
    near = abs(quantity.low - count) <= ABOUT * count
    match quantity.kind:
        case "vague":
            return count >= quantity.low
        case "about":
            return near or quantity.low <= count <= quantity.high
        case "more":
            return quantity.low <= count
        case "fewer":
            return count <= quantity.high
    return quantity.low <= count <= quantity.high


def adds_up(numbers: Iterable[int], count: int) -> bool:
    """Whether some of the numbers are parts of a total."""
    sums = {0}
    for number in numbers:
        sums |= {partial + number for partial in sums if partial + number <= count}
    return count in sums


def _said(text: Text, anchor: Anchor) -> list[tuple[Quantity, Mention]]:
    """The numbers that a text gives for a label's class."""
    label = resolve(anchor.name)
    mentions = {(mention.start, mention.end): mention for mention in find_label(text, label)}
    said = []
    for quantity, noun in counted(text):
        if noun is None and quantity.head:
            ends = (m for m in mentions.values() if 0 <= m.start - quantity.end < REACH and not m.classes)
            noun = next((m for m in ends if text.tokens[m.end - 1] == quantity.head), None)
        if noun is None or quantity.each or (noun.start, noun.end) not in mentions:
            continue
        if not noun.classes or not noun.classes.isdisjoint(label.counted_by):
            said.append((quantity, noun))
    return said


def _wrong_number(text: Text, anchor: Anchor, count: int, others: Sequence[Anchor]) -> int | None:
    """The number in a text that contradicts a class's count; None if no number does."""
    label, whole = resolve(anchor.name), count
    own = label.classes
    if count == 1 and any(
        text.tokens[m.start - 1] in {"second", "another"} for m in find_label(text, label) if m.start
    ):
        return 2
    rivals = [other for other in others if not resolve(other.name).classes <= own]
    exact: list[tuple[Quantity, Mention]] = []
    vague = False
    for quantity, noun in _said(text, anchor):
        sharing = [rival for rival in rivals if not noun.classes.isdisjoint(resolve(rival.name).named_by)]
        limit = whole
        if sharing and noun.classes.isdisjoint(own):
            limit += sum(rival.count or 10**6 for rival in sharing)
        if _is_left_out(quantity) and quantity.kind == "exact" and quantity.low > limit:
            return quantity.low
        if quantity.further or _is_left_out(quantity):  # "three on the right": a part, if of anything
            exact.append((quantity, noun))
        elif quantity.kind == "vague" or quantity.kind == "more":
            if not agrees(quantity, limit):
                return quantity.low
            vague = True
        elif quantity.low > limit and not agrees(quantity, limit):
            return quantity.low
        elif agrees(quantity, limit) or sharing:
            vague = True
        elif not quantity.part:
            exact.append((quantity, noun))
    exact = _without_shares(exact)
    alone = [quantity.low for quantity, _ in exact if not quantity.further and not _is_left_out(quantity)]
    if vague or not alone or _are_parts(text, anchor, exact, count):
        return None
    return alone[0]


def _is_left_out(quantity: Quantity) -> bool:
    """Whether the noun that the number counts is left out: "three on the right"."""
    return quantity.noun is None and quantity.head == ""


def _without_shares(said: Sequence[tuple[Quantity, Mention]]) -> list[tuple[Quantity, Mention]]:
    """The numbers without those that divide an earlier one: "two trains, one white and one red"."""
    kept: list[tuple[Quantity, Mention]] = []
    for left_out, group in groupby(said, key=lambda pair: pair[0].noun is None):
        numbers = list(group)
        more = any(quantity.further for quantity, _ in numbers)
        if left_out and kept and len(numbers) > 1 and not more:
            total, whole = sum(quantity.low for quantity, _ in numbers), kept[-1][0].low
            described = all(quantity.head for quantity, _ in numbers)
            numbers = [] if total == whole or (described and total < whole) else numbers
        kept += numbers
    return kept


def _are_parts(text: Text, anchor: Anchor, exact: Sequence[tuple[Quantity, Mention]], count: int) -> bool:
    """Whether numbers that are each less than the count can be parts of it."""
    label = resolve(anchor.name)
    mentions = find_label(text, label)
    several = [quantity for quantity, _ in exact if quantity.low > 1 and quantity.noun is not None]
    if len(several) < 2 and any(_is_uncounted(text, mention) for mention in mentions):
        return True  # one or some are singled out of more
    singles = [
        m for m in mentions if not m.plural and set(text.tokens[max(0, m.start - 4) : m.start]) & {"a", "an", "another"}
    ]
    counted_at = {noun.start for _, noun in exact}
    ones = [1 for mention in singles if mention.start not in counted_at]
    others = [i for i, token in enumerate(text.tokens) if token == "another"]
    ones += [1 for i in others if not any(0 < mention.start - i < REACH for mention in mentions)]
    if adds_up([*(quantity.low for quantity, _ in exact), *ones], count) or _counts_on(text, mentions, count):
        return True
    # Numbers of kinds ("three trucks") are parts if the text has other kinds too.
    kinds = {noun.classes for _, noun in exact}
    if all(noun.classes and noun.classes.isdisjoint(label.classes) for _, noun in exact):
        return any(mention.classes not in kinds for mention in mentions)
    return _speaks_of_others(text, exact[0][0].end, mentions)


def _is_uncounted(text: Text, mention: Mention) -> bool:
    """Whether the text has more of a class, in the plural and without a number: "rows of cars", not "the cars"."""
    if not mention.plural:
        return False
    begin = max(0, mention.start - REACH)
    back = next((i + 1 for i in range(mention.start - 1, begin - 1, -1) if text.tokens[i] in STOPS), begin)
    before = text.tokens[max(0, back - 1) : mention.start]
    numbers = any(noun == mention and quantity.noun is not None for quantity, noun in counted(text))
    parts = text.tokens[max(0, back - 2) : back]
    return not numbers and _DEFINITE.isdisjoint(before) and not (parts[:1] == ("of",) and parts[-1] in DETERMINERS)


def _counts_on(text: Text, mentions: Sequence[Mention], count: int) -> bool:
    """Whether the text lists the members one by one: "a third is approaching"."""
    tokens = text.tokens
    for i in range(1, len(tokens) - 1):
        is_next = _ORDINALS.get(tokens[i], count + 1) <= count and tokens[i - 1] in {"a", "the"}
        if is_next and (tokens[i + 1] in STOPS | {"one"} or any(0 < mention.start - i < 4 for mention in mentions)):
            return True
    return False


def _speaks_of_others(text: Text, start: int, mentions: Sequence[Mention]) -> bool:
    """Whether the text continues with more of the same class without a number ("while the others are parked")."""
    tokens = text.tokens
    numbers = [quantity for quantity, _ in counted(text) if quantity.kind != "vague"]
    counted_at = {position for quantity in numbers for position in range(quantity.start - 1, quantity.end + 1)}
    counted_at |= {
        i for quantity in numbers for i in range(quantity.end, quantity.end + 4) if tokens[i : i + 1] == ("ones",)
    }
    for i in range(start, len(tokens)):
        if tokens[i] not in _OTHERS | {"ones"} or i in counted_at:
            continue
        following = tokens[i + 1] if i + 1 < len(tokens) else "."
        if any(i < mention.start < i + 4 for mention in mentions):
            return True  # "other white planes", "the rest of the planes"
        alone = tokens[i] in {"others", "rest", "ones", "remainder"} or following in STOPS | {"ones"}
        if alone and following != "of" and _antecedent(text, i) in mentions:
            return True
    return False


def _antecedent(text: Text, position: int) -> Mention | None:
    """The last things in the plural, or with a number, before a word: those that "others" refers to."""
    numbered = {noun for _, noun in counted(text)}
    before = (m for m in reversed(text.asserted) if m.end <= position and m.start >= position - MAX_BACK)
    return next((mention for mention in before if mention.plural or mention in numbered), None)


def hinted_counts(sample: Sample) -> list[Anchor]:
    """The numbers from two on that the hints give for a class, if at least half of the hints give one and all agree."""
    special = vocabulary().special
    long = frozenset[str]().union(*(special[name] for name in _LONG))
    opinions: dict[frozenset[str], list[set[int]]] = {}
    names: dict[frozenset[str], str] = {}
    for hint in sample.captions:
        for name, numbers in _counts_of(read(hint)).items():
            classes = resolve(name).classes
            opinions.setdefault(classes, []).append(numbers)
            names.setdefault(classes, name)
    found = []
    for classes, said in opinions.items():
        counts = frozenset[int]().union(*said)
        given = sum(bool(numbers) for numbers in said)
        if len(counts) == 1 and min(counts) >= 2 and 2 * given >= len(said) and classes and classes.isdisjoint(long):
            found.append(Anchor(names[classes], min(counts)))
    return found


def _counts_of(text: Text) -> dict[str, set[int]]:
    """The numbers that a text gives for each class; none for one in the plural, 0 if they are no plain count."""
    found: dict[str, set[int]] = {}
    numbers = {noun: quantity for quantity, noun in counted(text) if noun is not None}
    for mention in text.asserted:
        quantity = numbers.get(mention)
        if not mention.plural and quantity is None:
            continue
        words = text.tokens[mention.start : mention.end]
        said = found.setdefault(" ".join([*words[:-1], singular_of(words[-1])]), set())
        if quantity is not None and quantity.kind != "vague":
            parts = quantity.part or quantity.further or quantity.each or quantity.noun is None
            plain = quantity.kind == "exact" and quantity.high == quantity.low and not parts
            said.add(quantity.low if plain else 0)
    return found


def _anchor_count(answer: Answer) -> str | None:
    """A number that the text gives for a class equals the labels' count, or is less if it counts a part."""
    labels = answer.sample.anchors
    text = read(answer.text)
    labelled = frozenset[str]().union(*(resolve(anchor.name).named_by for anchor in labels))
    hinted = [anchor for anchor in hinted_counts(answer.sample) if labelled.isdisjoint(resolve(anchor.name).named_by)]
    for anchor in (*labels, *hinted):
        if anchor.count is None:
            continue
        wrong = _wrong_number(text, anchor, anchor.count, [other for other in labels if other is not anchor])
        if wrong is not None:
            return f"The answer gave {wrong} as the number of {anchor.name}; there are {anchor.count}."
    return None


ANCHOR_COUNT = Check("anchor_count", _anchor_count)
