"""Names of places on the map, which a model that gives one has guessed, unless what it was given names it.

A name is told by its capital letter, by the gazetteer, and by the words around it ("in", "near", "River", "Airport").
Where a thing is in the image is another matter (positions.py, directions.py).
"""

from __future__ import annotations

import regex

from lrs2m_builder.checks.base import Answer, Check, beginning
from lrs2m_builder.checks.date import known_text
from lrs2m_builder.checks.reading.english import english_words, word_set
from lrs2m_builder.checks.reading.gazetteer import HUGE, LARGE, WORDS_AS_PLACES, fold, gazetteer, is_no_place

_CAPITAL = r"(?:(?:St|Mt|Ft)\.\s*)?\p{Lu}[\p{L}\p{M}]*(?:\.(?=\p{Lu}\.?)\p{Lu}+)*(?:['’-][\p{L}\p{M}]+)*"
_LINK = r"(?:\s+(?:of|de|du|des|del|della|di|da|do|dos|la|le|les|el|al|von|van|der|den|upon|sur)){1,2}(?:\s+the)?"
_RUN = regex.compile(rf"(?<![\p{{L}}\p{{N}}'’_-]){_CAPITAL}(?:(?:{_LINK})?\s+{_CAPITAL})*")
_SENTENCE_START = regex.compile(r"(?:^|[.!?:;…]|[\"“‘(\[]|(?:^|\s)['–—•*-])\s*[\"'“‘(*]*\s*$")
_BEFORE_PLACE = regex.compile(
    r"""\b(?:in|near|nearby|of|at|from|around|outside|across|along|over|towards?|to|through|beside|by|on|within|into
    |between|called|named|known\s+as|far\s+as|downtown|uptown|central|inner|greater|northern|southern|eastern|western
    |north|south|east|west|northeast|northwest|southeast|southwest|the|via|off|beyond|past)\s+(?:the\s+)?$""",
    regex.VERBOSE,
)
_RANGE = regex.compile(
    r"\s+(?:(?:mountain|hill)\s+)?(?:range|massif|mountains|highlands|plateau|peninsula|steppe|basin|desert)\b"
)
_LOCATIVE = regex.compile(r"\b(?:in|near|of|from|at|around|outside|downtown|central|to|towards?)\s+$")
_SMALL_NAME = regex.compile(
    r"\b(?:in|near|from|of|at|outside|downtown|above|over|around|to|across|behind|beyond|between|by|through|for)"
    r"\s+(?=(\p{Ll}{2,}(?:\s\p{Ll}{3,}){0,2}))"
)
_GEOGRAPHY = word_set(
    """
    airport airfield airbase river creek lake loch bay harbor harbour port canal strait channel sea ocean gulf
    island islands isle isles peninsula beach coast cape mountain mountains mount mt mts peak valley canyon
    desert plateau basin delta falls glacier volcano city county province prefecture region republic kingdom
    federation emirates national reef archipelago bridge tunnel dam reservoir fort
    """
)
_BUILT = word_set(
    """
    street st avenue ave boulevard blvd road rd drive dr lane way highway freeway expressway motorway parkway
    turnpike tower castle palace cathedral church temple mosque abbey basilica chapel shrine stadium arena
    coliseum square plaza park forest hills hill gardens garden zoo station terminal university college academy
    school hospital hotel museum district town village suburb borough heights springs base monument memorial
    opera hall mall center centre racecourse racetrack speedway circuit ballpark cemetery estate quarter wharf
    quay pier marina dome library
    """
)
_FIRST_TYPES = word_set(
    "lake mount mt mountain port fort cape river city university gulf bay isle island san santa los las st st. el al"
)
# Modifiers that make a plain kind of thing of a type, however they are written: "Industrial Park".
_KINDS = word_set(
    """
    a an the this that these those it its in on at near with there here many several some two three four five one
    each parking baseball tennis basketball football soccer golf cricket swimming sports sport athletic
    playground industrial residential commercial business shopping dense medium sparse storage tank railway
    railroad train bus metro subway airport port harbor ferry cruise water waste sewage treatment power electric
    solar wind gas oil fire police petrol rest primary secondary middle high elementary public private urban
    rural suburban city town village local great little small large big huge long short wide narrow old new
    modern ancient beautiful historic side center red blue green white black gray grey brown yellow orange purple
    pink dark light bright golden silver khaki round circular square rectangular oval triangular curved straight
    winding meandering river lake sea ocean beach forest mountain hill desert farm farmland agricultural meadow
    grass bare open trailer caravan mobile home amusement theme national state county community civic convention
    conference exhibition cultural art religious christian catholic buddhist hindu islamic orthodox protestant
    gothic roman olympic international domestic military naval air army car truck boat ship plane aircraft
    vehicle control observation clock bell radio cell cooling watch lookout stone wooden steel concrete brick
    suspension arch cable road rail foot pedestrian highway freeway multi single double lane dirt gravel paved
    asphalt cross busy empty crowded quiet north south east west northern southern eastern western top bottom
    left right upper lower front back toll express arterial ring inner outer cul-de-sac dead no aerial satellite
    overhead tower wave data research medical nursing botanical zoological zen japanese chinese english american
    european french italian rock rose flower vegetable roof rooftop pocket skate dog water-filled nearby adjacent
    surrounding neighboring smaller larger
    """
)
_NUMBERED = regex.compile(
    r"\b\d{1,3}(?:st|nd|rd|th)\s+(?:Street|Avenue|Ave|St)\b"
    r"|\b(?:(?:Interstate|Route|Highway|Hwy|Freeway|Autobahn|State\s+Route|US\s+Route)\s*|(?:I|US|A|M|E|SR"
    r"|CA)-)\d{1,4}\b"
)
_PLANT = regex.compile(
    r"\s+(?:grass|palms?|spruces?|pines?|cypress\w*|poplars?|cedars?|barriers?|planes?|plane\s+trees?"
    r"|bluegrass|ivy|sprouts?|cabbages?|willows?|firs?|oaks?|jasmine|chard"
    r"|peas?|beans?|cattle|cows?|sheep|horses?|terriers?|roofs?|tiles?|style)\b"
)


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
    """The words look like a place by what they are made of and what stands around them."""
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
    while words and starts and _bare(words[0]) in _FUNCTION:
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


_FUNCTION = word_set(
    """
    a an the this that these those in on at near of with there here its from to by along across around over under
    through both and but or as while where beyond behind beside between outside inside within above below like
    downtown central northern southern eastern western historic
    """
)


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
    """No country, town, water, mountain, street or landmark by name but those that are known."""
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
