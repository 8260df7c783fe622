"""Checks on the characters of an answer: plain prose without markup, and no leftovers of a wrong decoding."""

from __future__ import annotations

import regex
from ftfy.badness import is_bad

from lrs2m_builder.checks.base import Answer, Check, beginning
from lrs2m_builder.checks.reading.lexicon import late_pattern

# Marks that a template or a chat left.
_LEFT_OVER = regex.compile(r"<\|?/?[a-z_]+\|?>|\[/?[A-Za-z_ ]{2,}\]|\{\{?\s*\w+\s*\}|```|(?:^|\s)#[A-Za-z]\w+|^#+ ")
_MARKDOWN = late_pattern("markup", "markdown", regex.compile)
_NO_MARK = regex.compile(r"[^*_`#|\[\]<>{}\\~•▪●◦‣&\n\r=/]*+")  # without these and a list there is no markup
_LIST = regex.compile(r"^\s*[-–+(\d]|1[.)]\s|\s-\s|www\.")
_BAD_CHARACTER = late_pattern("markup", "bad_character", regex.compile)
_WRONG_DECODING = late_pattern("markup", "wrong_decoding", regex.compile)


def _markdown(answer: Answer) -> str | None:
    raw = "\n".join(line for line in beginning(answer.raw).splitlines() if line.strip())
    if found := _LEFT_OVER.search(beginning(answer.text)):
        return f'The answer holds a mark of a template or a chat ("{found.group().strip()}"). Leave it out.'
    if _NO_MARK.fullmatch(raw) and not _LIST.search(raw):
        return None
    if found := _MARKDOWN.search(raw):
        return f'The answer held markup ("{found.group().strip()[:40]}"). Write plain prose without any marks or lists.'
    return None


def _mojibake(answer: Answer) -> str | None:
    text = beginning(answer.text)
    if text.isascii() and text.isprintable() and "\\" not in text and "?" not in text and "<" not in text:
        return None
    if found := _BAD_CHARACTER.search(text) or _WRONG_DECODING.search(text):
        shown = found.group().strip().encode("unicode_escape").decode() or "an odd blank"
        return f"The answer held broken characters ({shown}). Write plain letters only."
    return "The answer held broken characters. Write plain letters only." if is_bad(text) else None


MARKDOWN = Check("markdown", _markdown)
MOJIBAKE = Check("mojibake", _mojibake)
