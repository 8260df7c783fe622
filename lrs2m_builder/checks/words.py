"""Which words are ordinary English ones: what tells a name from a word, and English from another language."""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib.resources import files


def word_set(listed: str) -> frozenset[str]:
    """The words of a list written in one string."""
    return frozenset(listed.split())


@lru_cache(maxsize=1)
def english_words() -> frozenset[str]:
    """The 40,000 commonest lower-case words with their inflections (SCOWL, sizes 10 to 35; see NOTICE)."""
    packed = files("lrs2m_builder.checks").joinpath("english_words.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split())
