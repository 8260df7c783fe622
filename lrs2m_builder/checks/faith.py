"""Checks of a long text against what is known of the image: the hints and the classes and counts of vector labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lrs2m_builder.checks.base import Answer, Check
from lrs2m_builder.checks.grammar import STOPS
from lrs2m_builder.checks.nouns import Mention, Text, find_label, is_named, read
from lrs2m_builder.checks.numbers import REACH, Quantity, counted
from lrs2m_builder.checks.support import classes_of, classes_of_label, implied_scenes, movable, supported, unsupported
from lrs2m_builder.checks.vocabulary import resolve, vocabulary
from lrs2m_builder.schema import Anchor, Sample

ABOUT = 0.2  # "about 20" is said of 16 to 24
_OTHERS = frozenset(["other", "others", "another", "remaining", "rest", "remainder", "more", "additional"])


def _anchor_missing(answer: Answer) -> str | None:
    """Every class that the labels say is there is named."""
    missing = [anchor.name for anchor in answer.sample.anchors if not is_named(anchor.name, answer.text)]
    return f"The answer did not mention: {', '.join(missing)}. Mention each of them." if missing else None


def agrees(quantity: Quantity, count: int) -> bool:
    """Whether a number may be said of so many: exactly it, near it where the text says "about", or vaguely."""
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
    """Whether some of the numbers are the parts of a whole."""
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
    """The number in a text that contradicts a class's count, if there is one."""
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
    alone = [quantity.low for quantity, _ in exact if not quantity.further and not _is_left_out(quantity)]
    if vague or not alone or _are_parts(text, anchor, exact, count):
        return None
    return alone[0]


def _is_left_out(quantity: Quantity) -> bool:
    """Whether the number stands without the noun it counts: "three on the right"."""
    return quantity.noun is None and quantity.head == ""


def _are_parts(text: Text, anchor: Anchor, exact: Sequence[tuple[Quantity, Mention]], count: int) -> bool:
    """Whether numbers that are each less than the count can be parts of it."""
    label = resolve(anchor.name)
    mentions = find_label(text, label)
    singles = [
        m for m in mentions if not m.plural and set(text.tokens[max(0, m.start - 4) : m.start]) & {"a", "an", "another"}
    ]
    counted_at = {noun.start for _, noun in exact}
    ones = [1 for mention in singles if mention.start not in counted_at]
    others = [i for i, token in enumerate(text.tokens) if token == "another"]
    ones += [1 for i in others if not any(0 < mention.start - i < REACH for mention in mentions)]
    if adds_up([*(quantity.low for quantity, _ in exact), *ones], count):
        return True
    # Numbers of kinds ("three trucks") are parts where other kinds are there, too.
    kinds = {noun.classes for _, noun in exact}
    if all(noun.classes and noun.classes.isdisjoint(label.classes) for _, noun in exact):
        return any(mention.classes not in kinds for mention in mentions)
    return _speaks_of_others(text, exact[0][0].end, [mention.start for mention in mentions])


def _speaks_of_others(text: Text, start: int, mentions: Sequence[int]) -> bool:
    """Whether the text goes on with more of the same that it does not count ("while the others are parked")."""
    tokens = text.tokens
    counted_at = {position for quantity, _ in counted(text) for position in range(quantity.start - 1, quantity.end + 1)}
    for i in range(start, len(tokens)):
        if tokens[i] in _OTHERS and i not in counted_at:
            following = tokens[i + 1] if i + 1 < len(tokens) else "."
            if (
                tokens[i] in {"others", "rest"}
                or following in STOPS | {"ones"}
                or any(i < mention < i + 4 for mention in mentions)
            ):
                return True
    return False


def _anchor_count(answer: Answer) -> str | None:
    """Where the text gives a number for a class, it is the labels' or, said of a part of them, less."""
    anchors = answer.sample.anchors
    text = read(answer.text)
    for anchor in anchors:
        if anchor.count is None:
            continue
        wrong = _wrong_number(text, anchor, anchor.count, [other for other in anchors if other is not anchor])
        if wrong is not None:
            return f"The answer gave {wrong} as the number of {anchor.name}; there are {anchor.count}."
    return None


def _known(sample: Sample) -> frozenset[str]:
    """The classes that hints, label and anchors name."""
    hints = (classes_of(read(caption)) for caption in sample.captions)
    anchors = (resolve(anchor.name).classes for anchor in sample.anchors)
    return classes_of_label(sample.label).union(*hints, *anchors)


def _unsupported_object(answer: Answer) -> str | None:
    """An object that nothing known of the image names or implies may be invented."""
    sample = answer.sample
    if not (sample.captions or sample.label or sample.anchors):
        return None
    words = unsupported(read(answer.text), _known(sample), special=True)
    if not words:
        return None
    return f"Nothing known of the image speaks of: {', '.join(words)}. Name only what can be seen with confidence."


def _anchor_extra(answer: Answer) -> str | None:
    """Where labels count the objects of an image, a text counts no others.

    Labels without counts are those of a mask: they say what covers the image, not all that it holds.
    """
    sample = answer.sample
    if all(anchor.count is None for anchor in sample.anchors):
        return None
    given = _known(sample)
    classes = vocabulary()
    named = frozenset().union(*(classes.general[name] | classes.special[name] for name in given))
    parts = frozenset().union(*(classes.part[scene] for scene in implied_scenes(given)))
    implied = (supported(given, special=True) | parts) - movable()
    allowed = named | implied | classes.natural | classes.scene | classes.generic | classes.scenery
    text = read(answer.text)
    for quantity, noun in counted(text):
        if noun is None or noun.denied or noun.weak or not noun.classes or quantity.kind == "vague":
            continue
        if not noun.plural and quantity.low > 1:  # "two harbor cranes' worth": not what is counted
            continue
        if allowed.isdisjoint(noun.classes):
            said = " ".join(text.tokens[noun.start : noun.end])
            return f"The answer counted {said}, which no label names. Count only what the labels name."
    return None


ANCHOR_EXTRA = Check("anchor_extra", _anchor_extra)
ANCHOR_MISSING = Check("anchor_missing", _anchor_missing)
ANCHOR_COUNT = Check("anchor_count", _anchor_count)
UNSUPPORTED_OBJECT = Check("unsupported_object", _unsupported_object, "warn")
