"""The smallest part of a text that can go with a false claim and leaves good prose: a number, or an item of a list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.number_words import spoken
from lrs2m_builder.verify.claims import Claim
from lrs2m_builder.verify.noun_phrases import article

MAX_NUMBER = 99
# Words that need the number behind them: "exactly two planes", "a total of planes".
_NEED_NUMBER = re.compile(
    r"\b(?:only|just|exactly|precisely|(?:total|sum|number|count|all) of|another|either|neither|first|last) $", re.I
)
_TAKE_NO_ARTICLE = re.compile(r"\b(?:the|this|that|its|each|every|no|any) $", re.I)
_NUMBERS = "|".join(spoken(number).replace(" ", "[ -]") for number in range(MAX_NUMBER, 0, -1))
_DETERMINER = re.compile(rf"(?:\b(?:an?|the|some|many|several|{_NUMBERS}|\d+) )?$", re.I)
_BETWEEN = re.compile(r", and |, | and ")
# Words behind which one thing alone does not read: "there are a car", "between a car".
_NEED_TWO = word_set(
    "is are was were between among both either neither connect connects connecting separate separates separating join "
    "joins joining combine combines combining"
)


def without_number(text: str, claim: Claim) -> tuple[str, str] | None:
    """A text without the number of a count claim: "two cars" becomes "cars", "one car" becomes "a car".

    Returns:
        The text, and the words that were there; None if the number cannot go by itself.
    """
    written, number = text[claim.start : claim.end], claim.number
    if claim.kind != "count" or number is None or not 0 < number <= MAX_NUMBER:
        return None
    said = re.match(rf"(?:{spoken(number).replace(' ', '[ -]')}|{number}) ", written, re.I)
    before = text[: claim.start]
    if said is None or _NEED_NUMBER.search(before) or (number == 1 and _TAKE_NO_ARTICLE.search(before)):
        return None
    rest = written[said.end() :]
    if rest.startswith("of "):
        return None
    if number == 1:
        rest = article(rest)
    if not before.rstrip() or before.rstrip()[-1] in ".!?":
        rest = rest[0].upper() + rest[1:]
    return f"{before}{rest}{text[claim.end :]}", written


def without_item(text: str, sentence: tuple[int, int], claim: Claim, claims: Sequence[Claim]) -> tuple[str, str] | None:
    """A text without the thing of a false object claim, if it is an item of a list of things that ends a sentence.

    Args:
        sentence: where the sentence begins and ends.
        claims: all of the text; each item of the list must be one that names a thing and no more.

    Returns:
        The text, and the item; None if it is no such list.
    """
    first, last = sentence
    starts = {}  # of the phrases of the sentence, each with its determiner, by their ends
    for each in claims:
        if each.kind == "object" and first <= each.start and each.end <= last:
            before = _DETERMINER.search(text[first : each.start])
            starts[each.end] = first + before.start() if before else each.start
    items = _list_before(text, first + len(text[first:last].rstrip(".!;")), first, starts)
    at = next((number for number, (start, end) in enumerate(items) if start <= claim.start and claim.end == end), None)
    if claim.kind != "object" or at is None or len(items) < 2:
        return None
    lead = text[first : items[0][0]].split()
    if not lead or not lead[-1].isalpha() or (len(items) == 2 and lead[-1].lower() in _NEED_TWO):
        return None
    words = [text[start:end] for start, end in items]
    item = words.pop(at)
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"{text[: items[0][0]]}{listed}{text[items[-1][1] :]}", item


def _list_before(text: str, end: int, first: int, starts: Mapping[int, int]) -> list[tuple[int, int]]:
    """The phrases in a row up to a position, with nothing between them but commas and "and"; [] if more is there.

    Args:
        first: where the sentence begins.
        starts: of phrases, by their ends.
    """
    items = list[tuple[int, int]]()
    while end in starts:
        items.insert(0, (starts[end], end))
        between = next((gap for gap in _BETWEEN.finditer(text, first) if gap.end() == starts[end]), None)
        if between is None:
            return items
        end = between.start()
    return []
