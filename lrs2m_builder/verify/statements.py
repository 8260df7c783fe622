"""The statements that a text's words make: what is there, how many, where, beside what, and what is not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.negation import denied_at
from lrs2m_builder.checks.reading.nouns import Mention, Text
from lrs2m_builder.checks.reading.numbers import Quantity, counted
from lrs2m_builder.checks.reading.tokens import PREPOSITIONS, PUNCTUATION, SENTENCE_ENDS, STOPS
from lrs2m_builder.checks.reading.vocabulary import singular_of, vocabulary
from lrs2m_builder.verify.noun_phrases import Phrase
from lrs2m_builder.verify.parsed import Found, Reading, class_of
from lrs2m_builder.verify.places import IMAGE_WORDS, placed_statements, related

_TOO_GENERAL = frozenset(["area", "ground"])  # "There is an area in the image." is true of every one
# Words that may follow a number of the whole image: what else follows says of which part it is.
_OPEN = word_set(
    "lie lies stand stands is are can be been seen visible observed found present shown there clearly in total "
    "all overall"
)
_AFTER_ALL = PUNCTUATION | word_set("and or with while as but")
_ARTICLES = word_set("a an the one this its each")


def statements(written: str, text: Text, spans: Sequence[tuple[int, int]]) -> Iterator[Found]:
    """Yield what a text states, not in its order.

    Args:
        spans: of its tokens (`token_spans`).
    """
    reading = Reading(text, written, spans)
    relations = list(related(reading))
    covered = [set(found.tokens) for found in relations]
    # "The pond lies above the road" is read as a place beside a thing, and in the words between both, which say more.
    found = placed_statements(reading)
    places = [f for f in found if f.kind == "place" or not any(set(f.tokens) <= more for more in covered)]
    elsewhere = [*places, *relations]
    yield from _objects(reading)
    yield from _counts(reading, {found.tokens[0] for found in elsewhere if found.number is not None})
    yield from elsewhere
    yield from _denials(reading)


def _objects(reading: Reading) -> Iterator[Found]:
    """That a thing is there; of what was named in more words before, those words again."""
    said: list[tuple[frozenset[str], set[str], str]] = []
    for mention in reading.text.asserted:
        phrase = reading.phrase(mention)
        if mention.weak or not mention.classes - _TOO_GENERAL or _is_name(phrase.words):
            continue
        if _is_modifier(reading.text.tokens, mention, phrase):
            continue
        tokens = tuple(range(phrase.start - bool(phrase.vague), phrase.end))
        words = {*reading.text.tokens[tokens[0] : mention.end - 1], singular_of(reading.text.tokens[mention.end - 1])}
        earlier = next((known for classes, more, known in said if mention.classes & classes and words <= more), None)
        statement = earlier or f"There {phrase.be} {phrase.some} in the image."
        said.append((mention.classes, words, statement))
        yield Found("object", statement, tokens, class_of(mention))


def _is_modifier(tokens: Sequence[str], mention: Mention, phrase: Phrase) -> bool:
    """Whether a class only describes the noun after it: "tree saplings"."""
    following = tokens[mention.end] if mention.end < len(tokens) else "."
    if following in STOPS or mention.plural:
        return False
    if following in vocabulary().names.after:
        return True
    return following.endswith("s") and tokens[max(0, phrase.start - 1)] not in _ARTICLES


def _is_name(words: str) -> bool:
    """Whether the last word of a phrase is a part of a name: "Lake Superior"."""
    head = words.rpartition(" ")[2]
    return head[:1].isupper() and not head.isupper()


def _counts(reading: Reading, said_of_part: set[int]) -> Iterator[Found]:
    """How many there are in the whole image; of two numbers for one thing the smaller is that of a part.

    Args:
        said_of_part: mentions whose number is said of a place or a relation.
    """
    largest: dict[str, Found] = {}
    for thing, found in _all_counts(reading, said_of_part):
        if thing not in largest or (largest[thing].number or 0) < (found.number or 0):
            largest[thing] = found
    yield from largest.values()


def _all_counts(reading: Reading, said_of_part: set[int]) -> Iterator[tuple[str, Found]]:
    asserted = {mention.start for mention in reading.text.asserted}
    for quantity, noun in counted(reading.text):
        if noun is None or quantity.noun is None or noun.start not in asserted or noun.start in said_of_part:
            continue
        exact = quantity.kind == "exact" and quantity.low == quantity.high
        exact &= reading.text.tokens[quantity.start] != "both"
        if not exact or quantity.part or quantity.further or quantity.each or _is_of_part(reading, quantity, noun):
            continue
        phrase = reading.phrase(noun)
        be = "is" if quantity.low == 1 else "are"
        tokens = (*range(quantity.start, quantity.end), *range(phrase.start, phrase.end))
        words = f"There {be} {phrase.counted(quantity.low)} in the image."
        yield phrase.words.lower(), Found("count", words, tokens, class_of(noun), quantity.low)


def _is_of_part(reading: Reading, quantity: Quantity, noun: Mention) -> bool:
    """Whether a number is of what is in one place: "ten cars on the road", "In the yard, there are ten cars"."""
    tokens = reading.text.tokens
    begin = next((i + 1 for i in range(quantity.start - 1, -1, -1) if tokens[i] in SENTENCE_ENDS), 0)
    if tokens[begin] in PREPOSITIONS and IMAGE_WORDS.isdisjoint(tokens[begin + 1 : begin + 4]):
        return True
    position = max(quantity.end, noun.end)
    while position < len(tokens) and tokens[position] in _OPEN:
        if tokens[position] == "in" and {*IMAGE_WORDS, "total", "all"}.isdisjoint(tokens[position + 1 : position + 3]):
            return True
        position += 1
    following = tokens[position] if position < len(tokens) else "."
    return following not in _AFTER_ALL | IMAGE_WORDS | {"the"}


def _denials(reading: Reading) -> Iterator[Found]:
    """What is said not to be there at all; what is missing in one place is left to the sentence."""
    text, tokens = reading.text, reading.text.tokens
    denied = denied_at(tokens)
    for mention in text.mentions:
        if not mention.denied or mention.start not in denied:
            continue
        begin = next((i + 1 for i in range(mention.start - 1, -1, -1) if tokens[i] in SENTENCE_ENDS), 0)
        end = next((i for i in range(mention.end, len(tokens)) if tokens[i] in SENTENCE_ENDS), len(tokens))
        after = set(tokens[mention.end : end])
        is_of_all = tokens[begin] in {"there", "no"} and (PREPOSITIONS - {"in"}).isdisjoint(after)
        if not is_of_all or ("in" in after and IMAGE_WORDS.isdisjoint(after)):
            continue
        phrase = reading.phrase(mention)
        no = next((i for i in range(mention.start, begin - 1, -1) if tokens[i] in {"no", "not", "any"}), mention.start)
        covered = tuple(dict.fromkeys((*range(phrase.start, phrase.end), no)))
        yield Found("denial", f"There {phrase.be} no {phrase.words} in the image.", covered, class_of(mention))
