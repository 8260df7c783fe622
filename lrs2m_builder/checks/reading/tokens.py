"""The words of a text as the checks read it, and the small words of English that end a noun phrase."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import beginning
from lrs2m_builder.checks.reading.english import word_set

_TOKEN = re.compile(
    r"(?:(?<=\w)-)?(?:\d+(?:[.,]\d+)*[^\W\d_]*|[^\W\d_]+(?:['’][^\W\d_]+)*)|[.,;:!?()—–]",
)


SENTENCE_ENDS = frozenset(".!?;")
PUNCTUATION = SENTENCE_ENDS | frozenset(",:()—–")
PREPOSITIONS = word_set(
    "in on at near along around beside besides by next between within across from to over under behind above below "
    "beneath underneath inside outside with through into onto towards toward against amid among amidst "
    "alongside for of beyond "
    "past off throughout opposite upon about as during"
)
VERBS = word_set(
    "is are was were be been being has have had can could may might will would should do does did lies lie stands "
    "stand sits sit occupies occupy runs run crosses cross stretches stretch extends extend fills fill covers cover "
    "surround surrounds shows show features feature contains contain includes include appear appears remain remains "
    "line lines connects connect dominates dominate forms form lead leads make makes seems seem dot dots border "
    "borders flank flanks float floats rest rests moored docked parked located situated visible seen scattered "
    "arranged"
)
CONJUNCTIONS = word_set("and or but nor while which that who where whose when there although though yet so if")
DETERMINERS = word_set("a an the this that these those its their his her our some any each every another all both")
STOPS = PUNCTUATION | PREPOSITIONS | VERBS | CONJUNCTIONS | DETERMINERS
_IS = word_set("it's that's there's here's what's let's")


def token_spans(text: str) -> list[tuple[int, int]]:
    """Where each token of a text begins and ends, in characters; a hyphen before a word is part of its token."""
    return [found.span() for found in _TOKEN.finditer(_lowered(text))]


def _lowered(text: str) -> str:
    """What is read of a text in lower case, as long as it was: the one letter that would become two is left alone."""
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in beginning(text)).replace(
        "’", "'"
    )


def tokenize(text: str) -> tuple[tuple[str, ...], frozenset[int], frozenset[int]]:
    found = _TOKEN.findall(_lowered(text))
    glued = frozenset(i for i, token in enumerate(found) if token[0] == "-")
    owners = frozenset(i for i, token in enumerate(found) if token.endswith(("'s", "s'")) and token not in _IS)
    plain = (token.lstrip("-").removesuffix("'s") if "'" in token or token[0] == "-" else token for token in found)
    return tuple(plain), glued, owners
