"""The words of a text as the checks read it, and the small words of English that end a noun phrase."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import beginning
from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.lexicon import word_sets

_TOKEN = re.compile(
    r"(?:(?<=\w)-)?(?:\d+(?:[.,]\d+)*[^\W\d_]*|[^\W\d_]+(?:['’][^\W\d_]+)*)|[.,;:!?()—–]",
)


SENTENCE_ENDS = frozenset(".!?;")
PUNCTUATION = SENTENCE_ENDS | frozenset(",:()—–")
_WORDS = word_sets("reading")
PREPOSITIONS, VERBS = _WORDS["prepositions"], _WORDS["verbs"]
CONJUNCTIONS = word_set("and or but nor while which that who where whose when there although though yet so if")
DETERMINERS = word_set("a an the this that these those its their his her our some any each every another all both")
STOPS = PUNCTUATION | PREPOSITIONS | VERBS | CONJUNCTIONS | DETERMINERS
_IS = word_set("it's that's there's here's what's let's")


def token_spans(text: str) -> list[tuple[int, int]]:
    """Where each token of a text begins and ends, in characters; a hyphen before a word is part of its token."""
    return [found.span() for found in _TOKEN.finditer(_lowered(text))]


def _lowered(text: str) -> str:
    """The text in lower case, with as many characters: the one letter that would become two is left alone."""
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in beginning(text)).replace(
        "’", "'"
    )


def tokenize(text: str) -> tuple[tuple[str, ...], frozenset[int], frozenset[int]]:
    found = _TOKEN.findall(_lowered(text))
    glued = frozenset(i for i, token in enumerate(found) if token[0] == "-")
    owners = frozenset(i for i, token in enumerate(found) if token.endswith(("'s", "s'")) and token not in _IS)
    plain = (token.lstrip("-").removesuffix("'s") if "'" in token or token[0] == "-" else token for token in found)
    return tuple(plain), glued, owners
