"""Which words are ordinary English ones: what tells a name from a word, and English from another language."""

from __future__ import annotations

import gzip
import re
from bisect import bisect_right
from functools import lru_cache
from importlib.resources import files


def word_set(listed: str) -> frozenset[str]:
    """The words of a list written in one string."""
    return frozenset(listed.split())


def is_word(word: str) -> bool:
    """Whether a lower-case word is an ordinary English one, or one of the vocabulary's."""
    return word in english_words() or word in _named_words()


def begins_word(letters: str) -> bool:
    """Whether an ordinary English word begins with these letters and is longer."""
    words = _sorted_words()
    at = bisect_right(words, letters)
    return at < len(words) and words[at].startswith(letters)


@lru_cache(maxsize=1)
def _sorted_words() -> tuple[str, ...]:
    return tuple(sorted(english_words()))


@lru_cache(maxsize=1)
def _named_words() -> frozenset[str]:
    listed = files("lrs2m_builder.checks.reading").joinpath("vocabulary.yaml").read_text(encoding="utf-8")
    words = frozenset(re.findall(r"[a-z]+", listed.lower()))
    return words | {f"{word}s" for word in words} | {f"{word}es" for word in words}


@lru_cache(maxsize=1)
def english_words() -> frozenset[str]:
    """The 40,000 commonest lower-case words with their inflections (SCOWL, sizes 10 to 35; see NOTICE)."""
    packed = files("lrs2m_builder.checks.reading").joinpath("english_words.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split())
