"""Check that no title precedes the text: a line of its own, or words in capitals before a colon or dash."""

from __future__ import annotations

import re

from lrs2m_builder.checks.base import Answer, Check, split_words

MAX_WORDS = 12  # of a title
SHORT = 8  # words of a line that no line break of running text makes
_SMALL = 3  # letters of words that a title may leave small: "of", "the", "and"
_INLINE = re.compile(r"\s*([^.!?:\n–—]{3,90}?)\s*(?::|\s[-–—])\s+(?=[\"“]?[A-Z])")
_OPEN_END = re.compile(r"[.!?,;…][\"'”’)]*$")


def _is_headline(words: tuple[str, ...]) -> bool:
    """Whether all words that are not small begin with a capital, and two or more are there."""
    large = [word for word in words if len(word) > _SMALL]
    return len(large) >= 2 and all(word[0].isupper() for word in large) and not words[0].islower()


def _title(answer: Answer) -> str | None:
    """The text begins at once."""
    lines = [line.strip() for line in answer.raw[:2000].strip().split("\n")]
    first, rest = lines[0], [line for line in lines[1:] if line]
    words = split_words(first)
    found = ""
    if words and rest and len(words) <= MAX_WORDS and len(split_words(" ".join(rest))) > len(words):
        starts = rest[0].lstrip("\"'“‘*(")[:1]
        apart = lines[1] == "" or len(words) <= SHORT or _is_headline(words)
        if (starts.isupper() and apart and not _OPEN_END.search(first)) or _is_headline(words):
            found = first
    if not found and (inline := _INLINE.match(first)) and _is_headline(split_words(inline[1])):
        found = inline[1] if len(split_words(inline[1])) <= MAX_WORDS else ""
    return f'The answer began with a title ("{found[:60]}"). Write the text alone.' if found else None


TITLE = Check("title", _title)
