"""A text with what its statements are made of: phrases, numbers, and the words between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lrs2m_builder.checks.reading.nouns import Mention, Text
from lrs2m_builder.checks.reading.numbers import Quantity, counted
from lrs2m_builder.checks.reading.vocabulary import vocabulary
from lrs2m_builder.verify.noun_phrases import Phrase, phrase_of


@dataclass(frozen=True, slots=True)
class Found:
    """A statement and the tokens that it was read from, the first of them its subject's."""

    kind: Literal["object", "count", "place", "relation", "denial"]
    words: str
    tokens: tuple[int, ...]
    name: str = ""
    number: int | None = None
    place: str = ""


@dataclass(slots=True)
class Reading:
    """A text with all that its statements are made of."""

    text: Text
    written: str
    spans: Sequence[tuple[int, int]]  # of the tokens, in characters
    phrases: dict[int, Phrase] = field(default_factory=dict)
    numbers: dict[int, Quantity] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = {q.noun.start: q for q, _ in counted(self.text) if q.noun is not None}

    def phrase(self, mention: Mention) -> Phrase:
        """The phrase around a mention."""
        if mention.start not in self.phrases:
            self.phrases[mention.start] = phrase_of(self.text, self.written, self.spans, mention)
        return self.phrases[mention.start]

    def between(self, start: int, end: int) -> str:
        """The words of some tokens, as they are written."""
        return " ".join(self.written[self.spans[start][0] : self.spans[end - 1][1]].split())

    def subject(self, mention: Mention) -> tuple[str, str, int | None, set[int]]:
        """The words for a thing, its verb, its number where that is exact, and the tokens that say so."""
        phrase = self.phrase(mention)
        covered = set(range(phrase.start - bool(phrase.vague), phrase.end))
        quantity = self.numbers.get(mention.start)
        if quantity is None or quantity.kind != "exact" or quantity.each or quantity.low != quantity.high:
            return phrase.some, phrase.be, None, covered
        be = "is" if quantity.low == 1 else "are"
        return phrase.counted(quantity.low), be, quantity.low, covered | set(range(quantity.start, phrase.end))


def class_of(mention: Mention) -> str:
    """The most special class that a mention names."""
    general = vocabulary().general
    return min(mention.classes, key=lambda name: (-len(general[name]), name), default="")
