"""Checks on the form of an answer: not empty, whole, of the required length, and no loop."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from lrs2m_builder.checks.base import Answer, Check, Level, split_sentences, split_words
from lrs2m_builder.checks.reading.english import begins_word, is_word
from lrs2m_builder.checks.reading.lexicon import late_pattern, word_sets

CLIP_LONG = 248  # context length after knowledge-preserved stretching (paper, section IV-A)
CLIP_SHORT = 77
MAX_REPEATED = 0.3  # share of runs of four words that occur a second time
MIN_WORDS = 8  # of a text whose last word is looked up in the dictionary
MIN_REPEATS = 2  # runs of three words that every loop repeats
MAX_DISTANCE = 12  # words of the longest phrase that is searched for as a loop
_WORDS = word_sets("form")
_CLOSED = re.compile(r"[.!?…。！？\"'”’)\]*]\s*$")
_TRAILING = re.compile(r"[,;:(–—-]\s*$|[,.!?;]\s+there$|\([^()]*$", re.IGNORECASE)
_STRANDED = late_pattern("form", "stranded", re.compile)


def _empty(answer: Answer) -> str | None:
    return None if answer.words else "The answer was empty. Write the text that was asked for."


# How servers report that an answer was too long: "length", "MAX_TOKENS", "model_length", "token_limit".
_TOO_LONG = re.compile(r"length|max|limit|trunc|incomplete", re.IGNORECASE)
_STOPPED = re.compile(r"stop|eos|end", re.IGNORECASE)


def _is_part_of_word(text: str, words: Sequence[str]) -> bool:
    """Whether the last word is no word but the beginning of one: "rows of hou"."""
    last = words[-1]
    if not (text.endswith(last) and last.isascii() and last.isalpha() and last.islower()) or len(words) < MIN_WORDS:
        return False
    if len(last) == 1:
        return last not in {"a", "i", "m", "s"} and words[-2].lower() not in _WORDS["before_letter"]
    return not is_word(last) and begins_word(last) and words.count(last) == 1


def _cut_off(answer: Answer) -> str | None:
    reason = answer.finish_reason
    if reason == "thinking":
        return (
            "The model thought until max_tokens and wrote no text: turn thinking off or raise max_tokens. "
            "Write the text at once."
        )
    if _TOO_LONG.search(reason) and not _STOPPED.search(reason):
        return "The answer was too long and was cut off. Write a shorter text that ends with a full sentence."
    if not answer.words or _CLOSED.search(answer.text) or _STRANDED.search(answer.text[-80:]):
        return None
    last = answer.words[-1]  # a capital A is a letter, not an article
    if _TRAILING.search(answer.text[-300:]) or last in _WORDS["openers"] or _is_part_of_word(answer.text, answer.words):
        return f'The answer ended in the middle ("{answer.text[-30:].strip()}"). End with a full sentence.'
    return None


def _repeated_share(tokens: Sequence[str]) -> float:
    """Share of the runs of four tokens that repeat an earlier run: 0 none, near 1 a loop."""
    grams = [tuple(tokens[i : i + 4]) for i in range(len(tokens) - 3)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _goes_round(tokens: Sequence[str]) -> bool:
    """One word six times in a row, two to four words four times over, or a longer phrase three times over."""
    for size in range(1, min(MAX_DISTANCE, len(tokens) // 3) + 1):
        in_a_row = 0
        for ahead, behind in zip(tokens[size:], tokens, strict=False):
            in_a_row = in_a_row + 1 if ahead == behind else 0
            if in_a_row >= _enough(size):
                return True
    return False


def _enough(size: int) -> int:
    """Words that must repeat those `size` words before them until a text is a loop."""
    return 5 if size == 1 else 3 * size if size < 5 else 2 * size


# Words of printable ASCII: letters and digits in lower case, everything else as a blank.
_ASCII_WORDS = "".join(char.lower() if (char := chr(code)).isalnum() else " " for code in range(128))


def _repeats_little(tokens: Sequence[str]) -> bool:
    """Whether fewer than MIN_REPEATS runs of three tokens occur a second time."""
    return len(tokens) - 2 - len(set(zip(tokens, tokens[1:], tokens[2:], strict=False))) < MIN_REPEATS


def _repetition(answer: Answer) -> str | None:
    # Words are cut at every mark here: a repeated run of words is also a repeated run of their parts.
    if answer.text.isascii() and _repeats_little(answer.text.translate(_ASCII_WORDS).split()):
        return None
    tokens = [word.lower() for word in answer.words]
    if _repeats_little(tokens):
        return None
    sentences = Counter(tuple(split_words(s.casefold())) for s in split_sentences(answer.text) if s.count(" ") >= 2)
    if (
        any(count >= 3 for count in sentences.values())
        or _goes_round(tokens)
        or (len(tokens) >= 20 and _repeated_share(tokens) > MAX_REPEATED)
    ):
        return "The answer repeated itself. Say each thing once."
    return None


def word_range(low: int, high: int) -> Check:
    """The answer has at least `low` and at most `high` words."""

    def find(answer: Answer) -> str | None:
        count = len(answer.words)
        if low <= count <= high:
            return None
        return f"The answer had {count} words. Write between {low} and {high} words."

    return Check("word_range", find)


def clip_budget(max_tokens: int, level: Level = "error") -> Check:
    """The answer fits the context of the CLIP text encoder, the two special tokens included."""

    def find(answer: Answer) -> str | None:
        if answer.num_tokens <= max_tokens:
            return None
        return f"The answer was too long ({answer.num_tokens} tokens of at most {max_tokens}). Write a shorter text."

    return Check("clip_budget", find, level)


EMPTY = Check("empty", _empty)
CUT_OFF = Check("cut_off", _cut_off)
REPETITION = Check("repetition", _repetition)
