"""What a check is: a named pure function that says what is wrong with an answer, or None."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeVar, cast, get_args

from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.schema import Sample, Viewpoint

T = TypeVar("T")
MAX_READ = 10_000  # characters of a text that the checks read: six times the longest that fits CLIP
Level = Literal["error", "warn", "off"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W_]+(?:(?:['’.-]|(?<=\d),(?=\d{3}))[^\W_]+)*")
_WRITING = re.compile(
    r"""\b(?:says?|saying|reads?|reading|words?|letters?|lettering|painted|spell\w*|signs?|inscription|writ\w+|marked|named|characters?|symbols?|ideographs?|glyphs?|slogan|text)
    \W{1,3}(?:\w+\W+){0,2}?["“][^"“”]{1,50}["”]""".replace("\n    ", "")
)


_BOARD = re.compile(
    r"\b(?:description|information|info|caption|text|notice|instruction|message|label)\s+(board|panel|plaque"
    r"|sign|plate)(s?)\b"
)
_CAPITALS = re.compile(r"\b[A-Z]{3,}(?:\W{1,2}[A-Z]{2,})*\b")
_IN_LETTERS = re.compile(
    r"\b(?:letters|letter(?:ed|ing)|sprayed|painted|written|writ|spelled|spelt|reads?|inscri\w+|laid\s+out)\b"
)


# "The image does not contain any discernible text." speaks of the scene, which has no writing in it.
_THAT_SCENE_HOLDS = (
    r"(?:texts?|writings?|words?|letters|lettering|watermarks?|captions?|annotations?|inscriptions?|logos?"
    r"|labels?|numbers?)"
)
_SEEN_WRITING = (
    r"(?:discernible|visible|legible|readable|recogni[sz]able|identifiable|noticeable|apparent|distinguishable"
    r"|clear|present|seen|evident|printed|written)"
)
_NO_WRITING = re.compile(
    rf"""(?:(?<=[.!?]\s)|^)[^.!?"]{{0,80}}?\b(?:no|not|without|n['’]t|nor|any|free\sof|lacks|neither)\b[^.!?"]{{0,60}}?
    (?:\b{_SEEN_WRITING}\s+(?:or\s+\w+\s+)?{_THAT_SCENE_HOLDS}\b(?:\s+(?:or|and|nor)\s+\w+|,\s\w+)*
      |\b{_THAT_SCENE_HOLDS}\b(?:\s+(?:or|and|nor)\s+\w+|,\s\w+)*\s+(?:(?:is|are|can\s+be
          |that\s+\w+)\s+)?{_SEEN_WRITING})\b
    (?:\s+(?:in|on|within|anywhere|at|here|throughout)\b(?:\s+(?:the|this|it|any|image|picture|scene|photo\w*
          |view|of|its|parts?|buildings?|roofs?|surfaces?))*)?\s*[.!]""",
    re.IGNORECASE | re.VERBOSE,
)


class _Late:
    """Stands for what a function makes, and has it made when it is first asked for anything."""

    def __init__(self, make: Callable[..., Any], *args: Any) -> None:
        self._make, self._args = make, args

    @cached_property
    def _made(self) -> Any:
        return self._make(*self._args)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._made, name)
        setattr(self, name, value)
        return value


def late(make: Callable[..., T], *args: Any) -> T:
    """`make(*args)`, but when it is first used: large patterns take tenths of a second that few commands need."""
    return cast("T", _Late(make, *args))


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


def listed(cues: str) -> tuple[str, ...]:
    """The cues of a list with bars between them; blanks are part of a cue."""
    return tuple(cues.split("|"))


def without_writing(text: str) -> str:
    """The text without what it quotes from a sign or a roof: '... a sign that says "I'M SORRY" stands ...'.

    Capitals need no quotation marks: "MAYBE is sprayed on the roof".
    """
    text = beginning(text)
    text = _NO_WRITING.sub(" ", text)
    text = _BOARD.sub(r"\1\2", _WRITING.sub('"', text) if '"' in text or "“" in text else text)
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
        source: the text the answer was made from, where the step rewrites one; else "".
        viewpoint: from where the manifest says the image was taken.
    """

    text: str
    raw: str
    finish_reason: str
    num_tokens: int
    sample: Sample
    source: str = ""
    viewpoint: Viewpoint = "overhead"

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
