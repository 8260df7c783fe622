"""Words for numbers: "twenty-one", "a pair", "half a dozen"; and those that say at least how many: "several"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from lrs2m_builder.checks.reading.vocabulary import Trie

Kind = Literal["exact", "about", "more", "fewer", "vague"]

_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_ONES += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_COUNTS = {
    "single": 1, "a single": 1, "one single": 1, "lone": 1, "solitary": 1, "sole": 1, "only one": 1, "pair": 2,
    "a pair": 2, "one pair": 2, "couple": 2, "a couple": 2, "both": 2, "twin": 2, "trio": 3, "a trio": 3, "quartet": 4,
    "a quartet": 4, "half dozen": 6, "half a dozen": 6, "a half dozen": 6, "dozen": 12, "a dozen": 12, "one dozen": 12,
    "two dozen": 24, "three dozen": 36, "four dozen": 48, "a hundred": 100,
    "hundred": 100, "a thousand": 1000, "a score": 20,
}  # fmt: skip
# The least number each word means; no count can contradict "some" and "various".
_AT_LEAST = {
    "several": 3, "a few": 3, "quite a few": 3, "multiple": 2, "many": 6, "numerous": 6, "countless": 6, "a lot": 6,
    "lots": 6, "plenty": 6, "a multitude": 6, "a large number": 6, "large numbers": 6, "a great number": 6,
    "a great many": 6, "a handful": 3, "dozens": 24, "tens": 20, "scores": 40, "hundreds": 100, "thousands": 1000,
    "more than one": 2, "a large amount": 6, "a great deal": 6, "a good many": 6, "a host": 6,
}  # fmt: skip


def spoken(number: int) -> str:
    """A number from 0 to 999,999 in words."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f" {_ONES[number % 10]}" if number % 10 else "")
    unit, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    return f"{spoken(number // unit)} {name}" + (f" {spoken(number % unit)}" if number % unit else "")


@cache
def number_words() -> Trie:
    """Words for numbers, to 999 and the full thousands, as (number, kind)."""
    trie = Trie()
    for number in (*range(1, 1000), *range(1000, 21000, 1000)):
        words = spoken(number).split()
        trie.add(words).value = (number, "exact")
        if "hundred" in words[:-1]:
            place = words.index("hundred") + 1
            trie.add([*words[:place], "and", *words[place:]]).value = (number, "exact")
    for phrase, number in _COUNTS.items():
        trie.add(phrase.split()).value = (number, "exact")
    for phrase, number in _AT_LEAST.items():
        trie.add(phrase.split()).value = (number, "vague")
    return trie


def _digits(token: str) -> int | None:
    plain = token.replace(",", "")
    return int(plain) if plain.isdecimal() and len(plain) < 8 else None


def number_at(tokens: Sequence[str], start: int) -> tuple[int, int, Kind] | None:
    """End, value and kind of the number that begins at a token."""
    if tokens[start] in number_words().after:
        end, value = number_words().longest(tokens, start)
        return None if value is None else (end, *value)
    if tokens[start][0].isdecimal() and (value := _digits(tokens[start])) is not None:
        return start + 1, value, "exact"
    return None
