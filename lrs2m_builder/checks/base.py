"""A check: a named pure function that returns what is wrong with an answer, or None."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, cast, get_args

from lrs2m_builder.checks.reading.lexicon import late_pattern
from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.schema import Sample, Viewpoint

MAX_READ = 10_000  # characters of a text that the checks read: six times the longest that fits CLIP
Level = Literal["error", "warn", "off"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W_]+(?:(?:['’.-]|(?<=\d),(?=\d{3}))[^\W_]+)*")
_CAPITALS = re.compile(r"\b[A-Z]{3,}(?:\W{1,2}[A-Z]{2,})*\b")
_BOARD = late_pattern("writing", "board", re.compile)
_IN_LETTERS = late_pattern("writing", "in_letters", re.compile)
_NO_WRITING = late_pattern("writing", "none", re.compile)
_QUOTED = late_pattern("writing", "quoted", re.compile)


def beginning(text: str) -> str:
    """What the checks read of a text: all of a caption, the first words of a text that is far too long for one.

    So no check takes longer than for `MAX_READ` characters, however long a text is. What counts, such as `word_range`
    and `clip_budget`, sees all of it.
    """
    return text if len(text) <= MAX_READ else text[:MAX_READ].rpartition(" ")[0] or text[:MAX_READ]


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, as its full stops, question and exclamation marks divide it."""
    return _SENTENCE_END.split(text)


def cued(text: str, cues: Sequence[str]) -> str:
    """The sentences of a text that hold one of the cues (in lower case), each other one as a bare full stop.

    What a large pattern finds must hold a cue: most sentences of most captions hold none and need no search.
    """
    text = beginning(text)
    lower = f" {text.lower()} "
    held = [cue for cue in cues if cue in lower]
    if not held:
        return ""
    padded = ((sentence, f" {sentence.lower()} ") for sentence in split_sentences(text))
    return " ".join(sentence if any(cue in small for cue in held) else "." for sentence, small in padded)


def without_writing(text: str) -> str:
    """The text without what it quotes from a sign or a roof: '... a sign that says "I'M SORRY" stands ...'.

    Capitals need no quotation marks: "MAYBE is sprayed on the roof".
    """
    text = beginning(text)
    text = _NO_WRITING.sub(" ", text)
    text = _BOARD.sub(r"\1\2", _QUOTED.sub('"', text) if '"' in text or "“" in text else text)
    return _CAPITALS.sub("letters", text) if _IN_LETTERS.search(text) else text


def split_words(text: str) -> tuple[str, ...]:
    """The words of a text; a hyphenated word, a contraction and a decimal number are one word each."""
    return tuple(_WORD.findall(text))


@dataclass(frozen=True)
class Answer:
    """A model's answer as the checks see it.

    Attributes:
        text: the normalised answer, as it would be stored.
        raw: the answer as it came, with its line breaks.
        num_tokens: CLIP tokens of `text`, with the two special ones.
        source: the text the answer was made from if the step rewrites one; else "".
        viewpoint: from where the manifest says the image was taken.
        given: what the prompt told of the image's place: pixel size, platform, month.
    """

    text: str
    raw: str
    finish_reason: str
    num_tokens: int
    sample: Sample
    source: str = ""
    viewpoint: Viewpoint = "overhead"
    given: str = ""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Of `text`, see `split_words`."""
        return split_words(self.text)


@dataclass(frozen=True, slots=True)
class Check:
    """One property an answer must have.

    Attributes:
        name: the reason of a rejection or the name of a warning, in snake_case.
        find: what is wrong, worded as an instruction the model can follow when it is asked again; None if nothing is.
        level: "error" asks again and in the end rejects, "warn" keeps the row and names the check in `warnings`.
    """

    name: str
    find: Callable[[Answer], str | None]
    level: Level = "error"


def override_levels(checks: Iterable[Check], levels: Mapping[str, Level]) -> tuple[Check, ...]:
    """The checks with the user's levels; "all" sets every check not named; "off" drops a check."""
    everyone = levels.get("all")
    changed = (replace(check, level=levels.get(check.name, everyone or check.level)) for check in checks)
    return tuple(check for check in changed if check.level != "off")


def parse_levels(pairs: Iterable[str], known: Iterable[str]) -> dict[str, Level]:
    """Turn `NAME=LEVEL` settings into a mapping.

    Raises:
        UserError: not of that form, or a name or level that does not exist.
    """
    names = {*known, "all"}
    levels: dict[str, Level] = {}
    for pair in pairs:
        name, _, level = pair.partition("=")
        if level not in get_args(Level):
            raise UserError(f"--check {pair}: write NAME=LEVEL with a level of {', '.join(get_args(Level))}")
        if name not in names:
            raise UserError(f"--check {pair}: no check {name!r}{not_among(name, sorted(names))}")
        levels[name] = cast(Level, level)
    return levels
