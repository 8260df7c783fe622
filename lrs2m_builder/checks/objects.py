"""What a caption says of an object class: whether it names it, and how many it says there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

# Words by which captions name the classes of detection data sets; each line is one class.
_SYNONYMS = (
    ("plane", "airplane", "aeroplane", "aircraft", "jet", "airliner"),
    ("ship", "boat", "vessel", "yacht"),
    ("storage tank", "oil tank", "tank", "storage container"),
    ("baseball diamond", "baseball field", "baseball court"),
    ("ground track field", "track field", "running track", "athletic field", "track and field", "sports field"),
    ("soccer ball field", "soccer field", "football field", "football pitch"),
    ("small vehicle", "car", "vehicle", "automobile"),
    ("large vehicle", "truck", "bus", "lorry", "trailer", "vehicle"),
    ("swimming pool", "pool"),
    ("harbor", "harbour", "port", "dock", "pier", "marina"),
    ("roundabout", "traffic circle"),
    ("building", "house", "structure", "residence"),
    ("road", "street", "highway"),
    ("overpass", "flyover", "viaduct"),
)
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_VALUES = {word: value for value, word in enumerate(_NUMBERS, start=1)}
_VALUES |= {"single": 1, "lone": 1, "solitary": 1, "pair": 2, "couple": 2, "trio": 3, "dozen": 12}
_VAGUE = {"several": 3, "many": 4, "numerous": 5, "multiple": 2, "some": 2, "various": 3, "few": 2}
# Where the search for a number before a noun ends: what stands before belongs to another noun. "of" is none of them
# ("a pair of planes"), but "two rows of planes" says nothing of the planes' number.
_STOPS = {
    "and",
    "or",
    "with",
    "in",
    "on",
    "at",
    "near",
    "beside",
    "by",
    "to",
    "from",
    "between",
    "along",
    "the",
    "a",
    "an",
}
_STOPS |= {
    "rows",
    "row",
    "groups",
    "group",
    "lines",
    "line",
    "clusters",
    "cluster",
    "types",
    "kinds",
    "columns",
    "sides",
}
MAX_BETWEEN = 4  # words between a number and what it counts: "two large white passenger planes"


def names_of(anchor: str) -> tuple[str, ...]:
    """The words that name a class: its own and their synonyms."""
    return tuple(dict.fromkeys((anchor, *(word for line in _SYNONYMS if anchor in line for word in line))))


def _forms(word: str) -> set[str]:
    """Singular and plural of a noun phrase; its last word is what changes."""
    irregular = {"bus": "buses", "aircraft": "aircraft", "lorry": "lorries"}
    if word in irregular:
        return {word, irregular[word]}
    plural = (
        word[:-1] + "ies"
        if re.search(r"[^aeiou]y$", word)
        else word + ("es" if re.search(r"(s|x|ch|sh)$", word) else "s")
    )
    return {word, plural}


@lru_cache(maxsize=4096)
def _pattern(anchor: str) -> re.Pattern[str]:
    forms = sorted({form for name in names_of(anchor) for form in _forms(name)}, key=len, reverse=True)
    return re.compile(
        r"\b(?:" + "|".join(re.escape(form).replace(r"\ ", r"[\s-]+") for form in forms) + r")\b", re.IGNORECASE
    )


def is_named(anchor: str, text: str) -> bool:
    """Whether the text names the class, by its own word or a synonym, in singular or plural."""
    return _pattern(anchor).search(text) is not None


def counts_said(anchor: str, text: str) -> Sequence[tuple[int, bool]]:
    """How many of the class the text says there are, mention by mention.

    Returns:
        (number, whether it is exact): "two planes" is (2, True), "several planes" is (3, False): at least three.
    """
    said = [_quantity(text[: mention.start()]) for mention in _pattern(anchor).finditer(text)]
    return [quantity for quantity in said if quantity is not None]


def _quantity(before: str) -> tuple[int, bool] | None:
    """The number nearest before a mention: "two large white planes", not "two roads and planes"."""
    clause = re.split(r"[.;:,()]", before)[-1]
    for word in reversed(clause.lower().split()[-1 - MAX_BETWEEN :]):
        if word in _VAGUE:
            return _VAGUE[word], False
        if word.isdecimal():
            return int(word), True
        if word in _VALUES:
            return _VALUES[word], True
        if word in _STOPS:
            return None
    return None
