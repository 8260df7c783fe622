"""What a text claims of its image, as single statements that can be true or false.

A sentence is read for objects, numbers of the whole image, places, relations and denials, in the text's own words.
Where it says more than these do, or nothing of the kind, the sentence itself is a claim too: no word that could be
wrong is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from lrs2m_builder.checks.base import beginning
from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.nouns import read
from lrs2m_builder.checks.reading.tokens import STOPS, token_spans
from lrs2m_builder.verify.parsed import Found
from lrs2m_builder.verify.statements import statements

Kind = Literal["object", "count", "place", "relation", "denial", "sentence"]
KINDS: tuple[Kind, ...] = get_args(Kind)
VERSION = 1  # of the rules; scores of another version are other scores
MAX_CLAIMS = 60  # of one text: three times what a long caption has

_SENTENCE_END = re.compile(r"[.!?]+[\"”')\]]*(?=\s+[^\sa-z])|;(?=\s)|\n\s*\n")
# Words that claim nothing by themselves.
NEUTRAL = word_set(
    "a an the this that these those there here it its they them their and or but as also with of is are was were be "
    "been can could may has have image picture scene photo photograph view see seen show shows showing shown visible "
    "observed observe found display displays displayed depict depicts depicted feature features featuring contain "
    "contains containing include includes including present which we you one lie lies stand stands located situated "
    "overall specifically some while too both where overhead aerial satellite total all altogether objects such "
    ", . ! ? ; : ( ) — –"
)
_POINTING = word_set("they them their theirs others these those")
_POINTING_FIRST = word_set("it its")  # farther on they mostly point into their own sentence
MAX_LEAD = 6


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a text.

    Attributes:
        words: the statement, to be judged without the rest of the text.
        start, end: the characters of the text that it was read from.
        sentence: which sentence that is, counted from 0.
        name: the class it speaks of, "" without one of the vocabulary.
        number, place: what it says of these.
        leans: whether it begins with the sentence before its own, which it needs: "Some of them are white".
    """

    kind: Kind
    words: str
    start: int
    end: int
    sentence: int
    name: str = ""
    number: int | None = None
    place: str = ""
    leans: bool = False


@lru_cache(maxsize=1024)  # a build reads a text again with each answer of its sample
def claims_of(text: str) -> tuple[Claim, ...]:
    """The claims of a text, in its order; none is there twice."""
    known, spans = read(text), token_spans(text)
    found = list(statements(text, known, spans))
    claims: dict[str, Claim] = {}
    earlier = ""
    for number, (start, end) in enumerate(sentence_spans(text)):
        tokens = [i for i, span in enumerate(spans) if start <= span[0] < end]
        inside = [statement for statement in found if tokens and tokens[0] <= statement.tokens[0] <= tokens[-1]]
        for statement in inside:
            first, last = min(statement.tokens), max(statement.tokens)
            where = spans[first][0], max(spans[first][1], spans[last][1])
            claims.setdefault(statement.words.lower(), _claim(statement, where, number))
        covered = {position for statement in inside for position in statement.tokens}
        written = text[start:end]
        if not inside or _says_more(known.tokens, tokens, covered):
            points_back = _points_back(known.tokens, tokens, {m.start for m in known.asserted})
            words = f"{earlier} {as_sentence(written)}" if earlier and points_back else as_sentence(written)
            leans = bool(earlier) and points_back
            claims.setdefault(words.lower(), Claim("sentence", words, start, end, number, leans=leans))
        earlier = as_sentence(written)
    return tuple(sorted(claims.values(), key=lambda claim: (claim.sentence, KINDS.index(claim.kind), claim.start)))


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each sentence of a text begins and ends, in characters; a semicolon ends one too."""
    text, start = beginning(text), 0
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    for end in (*ends, len(text)):
        written = text[start:end]
        if any(letter.isalnum() for letter in written):
            yield start + len(written) - len(written.lstrip()), start + len(written.rstrip())
            start = end


def _claim(statement: Found, where: tuple[int, int], sentence: int) -> Claim:
    return Claim(statement.kind, statement.words, *where, sentence, statement.name, statement.number, statement.place)


def as_sentence(written: str) -> str:
    """With a capital and a full stop, in one line."""
    words = " ".join(written.split()).rstrip(";,: ")
    words = words[0].upper() + words[1:]
    return words if words[-1] in ".!?" else f"{words}."


def _says_more(tokens: Sequence[str], sentence: Sequence[int], covered: set[int]) -> bool:
    """Whether a word that could be wrong is in no claim; "in the image" says nothing."""
    for position in sentence:
        if position in covered or tokens[position] in NEUTRAL:
            continue
        ahead = tokens[position + 1 : position + 4]
        if tokens[position] in {"in", "within", "from", "on", "across"} and {"image", "picture", "scene"} & set(ahead):
            continue
        return True
    return False


def _points_back(tokens: Sequence[str], sentence: Sequence[int], mentions: set[int]) -> bool:
    """Whether a sentence needs the one before it: "Some of them are white"."""
    for number, position in enumerate(sentence[:MAX_LEAD]):
        if position in mentions:
            return False
        following = tokens[position + 1] if position + 1 < len(tokens) else "."
        stands_alone = tokens[position] not in {"these", "those"} or following in STOPS
        if (tokens[position] in _POINTING and stands_alone) or (tokens[position] in _POINTING_FIRST and number < 2):
            return True
    return False
