"""Names of places on the map: a model guesses them unless its input names them.

A name is recognised by its capital letter, the gazetteer, and the words around it ("in", "near", "River", "Airport").
Positions within the image are another check (direction.py).
"""

from __future__ import annotations

import regex

from lrs2m_builder.checks.base import Answer, Check, beginning
from lrs2m_builder.checks.date import known_text
from lrs2m_builder.checks.reading.english import english_words
from lrs2m_builder.checks.reading.gazetteer import HUGE, LARGE, WORDS_AS_PLACES, fold, gazetteer, is_no_place
from lrs2m_builder.checks.reading.lexicon import late_pattern, word_sets

_CAPITAL = r"(?:(?:St|Mt|Ft)\.\s*)?\p{Lu}[\p{L}\p{M}]*(?:\.(?=\p{Lu}\.?)\p{Lu}+)*(?:['’-][\p{L}\p{M}]+)*"
_LINK = r"(?:\s+(?:of|de|du|des|del|della|di|da|do|dos|la|le|les|el|al|von|van|der|den|upon|sur)){1,2}(?:\s+the)?"
_RUN = regex.compile(rf"(?<![\p{{L}}\p{{N}}'’_-]){_CAPITAL}(?:(?:{_LINK})?\s+{_CAPITAL})*")
_SENTENCE_START = regex.compile(r"(?:^|[.!?:;…]|[\"“‘(\[]|(?:^|\s)['–—•*-])\s*[\"'“‘(*]*\s*$")
_BEFORE_PLACE = late_pattern("place_name", "before_place", regex.compile)
_RANGE = regex.compile(
    r"\s+(?:(?:mountain|hill)\s+)?(?:range|massif|mountains|highlands|plateau|peninsula|steppe|basin|desert)\b"
)
_LOCATIVE = regex.compile(r"\b(?:in|near|of|from|at|around|outside|downtown|central|to|towards?)\s+$")
_SMALL_NAME = regex.compile(
    r"\b(?:in|near|from|of|at|outside|downtown|above|over|around|to|across|behind|beyond|between|by|through|for)"
    r"\s+(?=(\p{Ll}{2,}(?:\s\p{Ll}{3,}){0,2}))"
)
_WORDS = word_sets("place_name")
_GEOGRAPHY, _BUILT = _WORDS["geography"], _WORDS["built"]
_FIRST_TYPES, _KINDS = _WORDS["first_types"], _WORDS["kinds"]
_NUMBERED = late_pattern("place_name", "numbered", regex.compile)
_PLANT = late_pattern("place_name", "plant", regex.compile)


def _is_word(word: str) -> bool:
    """An ordinary English word, whatever its case; of a hyphenated one, all parts are."""
    known = english_words()
    word = word.casefold().replace("’", "'").removesuffix("'s")
    return word in known or all(part in known or len(part) < 2 for part in word.split("-"))


def _bare(word: str) -> str:
    return fold(word).removesuffix("'s").rstrip(".")


def _listed(words: list[str], starts: bool) -> str | None:
    """The longest part of the words that the gazetteer holds; one ordinary word alone is not looked up."""
    places = gazetteer()
    for size in range(min(len(words), 4), 0, -1):
        for begin in range(len(words) - size + 1):
            part = words[begin : begin + size]
            people = places.get(" ".join(map(_bare, part)), 0)
            if not people or (size == 1 and (_is_word(part[0]) or is_no_place(_bare(part[0])) or len(part[0]) < 3)):
                continue
            if size > 1 and people < HUGE * 100 and all(_bare(word) in _KINDS or _is_kind(word) for word in part):
                continue
            if people >= LARGE or not (starts and begin == 0) or size > 1:
                return " ".join(part)
    return None


def _is_kind(word: str) -> bool:
    return _bare(word) in _GEOGRAPHY or _bare(word) in _BUILT


def _is_name(word: str) -> bool:
    """Neither a word nor a proper name of another kind, nor an abbreviation."""
    plain = _bare(word)
    if len(plain) < 2 or word.isupper() or regex.search(r"\p{Ll}\p{Lu}", word.removeprefix("Mc")):
        return False
    pieces = plain.split("-")
    if len(pieces) > 1 and word.split("-")[-1][0].islower() and pieces[1] not in {"upon", "sur", "on", "de", "le"}:
        return False  # "Olympic-size", "Chinese-style"
    return not _is_word(word) and not is_no_place(plain)


def _structured(words: list[str], before: str, after: str, starts: bool) -> bool:
    """Whether the words look like the name of a place, by their parts and their neighbours."""
    last, first = _bare(words[-1]), _bare(words[0])
    named = [word for number, word in enumerate(words) if _is_name(word) and not (starts and number == 0)]
    if len(words) > 1:
        if first in {"st", "saint"}:
            return True
        rest = [_bare(word) for word in words[:-1]]
        if last in _GEOGRAPHY or last in _BUILT:
            if any(map(_is_name, words[:-1])):
                return True
            if last in _GEOGRAPHY and all(map(is_no_place, rest)) and len(last) > 2:
                return last in {"river", "sea", "ocean", "gulf", "channel", "canal", "falls", "desert", "mountains"}
            return not any(word in _KINDS or _is_kind(word) or is_no_place(word) for word in rest)
        if first in _FIRST_TYPES and _bare(words[1]) not in _KINDS and not _is_kind(words[-1]):
            return any(map(_is_name, words[1:])) or first in {"lake", "mount", "cape", "fort"}
        linked = words[-2].islower()  # "dunes of the Namib"
        return bool(named) and (len(named) > 1 or linked or bool(_BEFORE_PLACE.search(before)))
    if not named:
        return not starts and first in WORDS_AS_PLACES and before.endswith("the ")
    kind = regex.match(r"\s+(\p{Ll}+)", after)
    if len(words[0]) < 3:
        return bool(kind and _is_kind(kind[1]))
    return bool(_BEFORE_PLACE.search(before)) or bool(kind and _is_kind(kind[1]))


def _place(text: str, found: regex.Match[str], headline: bool) -> str | None:
    words = found.group().split()
    before, after = text[max(0, found.start() - 30) : found.start()], text[found.end() : found.end() + 30]
    starts = bool(_SENTENCE_START.search(before)) if found.start() <= 30 or before.strip() else True
    while words and starts and _bare(words[0]) in _WORDS["function"]:
        before, words, starts = f"{words[0].lower()} ", words[1:], False
    if starts and len(words) > 2 and words[1].islower() and _is_word(words[0]) and not _is_kind(words[0]):
        words, before, starts = words[1:], "of ", False  # "Waves of the Pacific Ocean"
    while words and not words[0][0].isupper():
        words = words[1:]
    if not words or _PLANT.match(after):
        return None
    if not starts and _RANGE.match(after) and not _is_word(words[-1]) and not is_no_place(_bare(words[-1])):
        return " ".join(words)
    if listed := _listed(words, starts):
        return listed
    if headline:
        return None
    if not starts and len(words) == 1 and _is_word(words[0]) and not is_no_place(_bare(words[0])):
        people = gazetteer().get(_bare(words[0]), 0)
        if people > HUGE * 100 or (people >= LARGE and _LOCATIVE.search(before) and not _is_kind(words[0])):
            return words[0]
    if (
        starts
        and len(words) == 1
        and words[0].endswith(("'s", "’s"))
        and gazetteer().get(_bare(words[0]), 0) > HUGE * 100
    ):
        return words[0]
    return " ".join(words) if _structured(words, before, after, starts) else None


def _small_names(text: str) -> str | None:
    """Countries and the largest cities in small letters, as people write them: "a stadium in chicago"."""
    for found in _SMALL_NAME.finditer(text):
        words = found[1].split()
        for size in range(len(words), 0, -1):
            name = " ".join(words[:size])
            people = 0 if size == 1 and len(name) < 4 else gazetteer().get(name, 0)
            if people >= LARGE and not all(map(_is_word, words[:size])) and not is_no_place(name):
                return name
    return None


def _is_known(name: str, known: str) -> bool:
    words = [_bare(word) for word in name.split() if word[0].isupper() or name.islower()]
    telling = [word for word in words if not (word in _GEOGRAPHY or word in _BUILT)] or words
    return all(word in known for word in telling)


def _place_name(answer: Answer) -> str | None:
    """No country, town, water, mountain, street or landmark by name but those in the input."""
    text = beginning(answer.text)
    capitals = sum(word[0].isupper() for word in answer.words)
    headline = len(answer.words) > 3 and capitals > 0.6 * len(answer.words)
    names = (_place(text, found, headline) for found in _RUN.finditer(text))
    numbered = (found.group() for found in _NUMBERED.finditer(text))
    known = ""
    for name in (*filter(None, names), *numbered, *filter(None, [_small_names(text)])):
        known = known or fold(known_text(answer)) + " "
        if not _is_known(name, known):
            return f'The answer named a place ("{name}") that nothing given names. Leave place names out.'
    return None


PLACE_NAME = Check("place_name", _place_name)
