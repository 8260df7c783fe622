"""Mentions of objects in a text, and whether each is asserted: denials and comparisons are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lrs2m_builder.checks.reading.lexicon import word_sets
from lrs2m_builder.checks.reading.negation import ABSENT, GONE, NOT, away
from lrs2m_builder.checks.reading.tokens import DETERMINERS, PREPOSITIONS, PUNCTUATION, STOPS, VERBS, tokenize
from lrs2m_builder.checks.reading.vocabulary import Label, resolve, vocabulary

_WORDS = word_sets("reading")

_MADE_LIKE = frozenset(["shaped", "like", "style", "styled", "colored", "coloured", "sized", "free", "themed", "esque"])
_MASSES = frozenset(["sea", "river", "island", "forest", "lake", "desert", "wave", "water"])


@dataclass(frozen=True, slots=True)
class Mention:
    """Tokens start:end that name classes; `plural` is true of "aircraft", too."""

    start: int
    end: int
    classes: frozenset[str]
    plural: bool
    weak: bool = False
    denied: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A text as the checks read it.

    Attributes:
        tokens: lower-case words, numbers and punctuation marks; possessives without their ending.
        glued: positions of words that a hyphen ties to the one before.
        owners: positions of possessives: "the golf course's clubhouse" speaks of a clubhouse.
        mentions: of known classes, in order; `asserted` are those the text says are there.
    """

    tokens: tuple[str, ...]
    glued: frozenset[int]
    owners: frozenset[int]
    mentions: tuple[Mention, ...]

    @property
    def asserted(self) -> list[Mention]:
        """The mentions that the text does not deny or only compare with."""
        return [mention for mention in self.mentions if not mention.denied]


@lru_cache(maxsize=4096)
def read(text: str) -> Text:
    """The words of a text and the classes it names; the longest name wins, so that a "tennis court" is no "court"."""
    tokens, glued, owners = tokenize(text)
    names, mentions, position = vocabulary().names, list[Mention](), 0
    starts = names.after
    denied_at = away(tokens, glued)
    while position < len(tokens):
        if tokens[position] in starts:
            end, name = names.longest(tokens, position)
            if name is not None:
                if name.classes and not _is_verb(tokens, mentions, position, end):
                    denied = (
                        position in denied_at or end - 1 in denied_at or _is_figure(tokens, glued, end, name.classes)
                    )
                    shared = _shares_head(tokens, position, end, denied)
                    if shared and not (mentions and mentions[-1].end > shared.start):
                        mentions.append(shared)
                    weak = name.weak or not name.cues.isdisjoint(tokens)
                    mentions.append(Mention(position, end, name.classes, name.plural, weak, denied))
                position = end
                continue
        position += 1
    return Text(tokens, glued, owners, _without_said_gone(tokens, mentions))


def _is_figure(tokens: Sequence[str], glued: frozenset[int], end: int, classes: frozenset[str]) -> bool:
    """Whether the name of a class means only its shape or mass: "ship-shaped", "a sea of red", "islands of trees"."""
    if end in glued and tokens[end] in _MADE_LIKE:
        return True
    masses = tokens[end : end + 1] == ("of",) and not _MASSES.isdisjoint(classes)
    if "forest" in classes and not _WORDS["trees"].isdisjoint(tokens[end + 1 : end + 5]):
        return False
    return masses and tokens[end + 1 : end + 2] != () and tokens[end + 1] not in DETERMINERS


def _shares_head(tokens: Sequence[str], start: int, end: int, denied: bool) -> Mention | None:
    """The class before "and" that shares its noun: "basketball and tennis courts", "two tennis and two ..."."""
    before = next((i for i in range(start - 1, max(start - 3, 0), -1) if tokens[i] in {"and", "or"}), 0)
    if end - start < 2 or not before:
        return None
    found, name = vocabulary().names.longest((tokens[before - 1], tokens[end - 1]), 0)
    if found < 2 or not name.classes:
        return None
    return Mention(before - 1, before, name.classes, name.plural, name.weak, denied)


def _is_verb(tokens: Sequence[str], mentions: Sequence[Mention], position: int, end: int) -> bool:
    """Whether a class's name is a verb here: "planes park near", "a road bridges the river"."""
    if end - position > 1 or tokens[position] not in _WORDS["verbs_too"]:
        return False
    if position and tokens[position - 1] in {"to", "can", "could", "may", "they"}:
        return tokens[position] in {"park", "dock", "house", "bridge", "farm"}
    if position and tokens[position - 1] in {"that", "which", "who"} and tokens[position].endswith("s"):
        return tokens[end : end + 1] != () and tokens[end] in DETERMINERS
    if not mentions or mentions[-1].end != position:
        return False
    following = tokens[end] if end < len(tokens) else "."
    return mentions[-1].plural != tokens[position].endswith("s") and following in PREPOSITIONS | DETERMINERS


def _without_said_gone(tokens: Sequence[str], mentions: list[Mention]) -> tuple[Mention, ...]:
    """Marks the subjects of "cannot be seen", "are not visible" and "are absent"."""
    if (NOT | ABSENT).isdisjoint(tokens):
        return tuple(mentions)
    begin = 0
    for i, token in enumerate(tokens):
        if token in PUNCTUATION or token in {"but", "while", "which"}:
            begin = i + 1
            continue
        gone = token in ABSENT and i > 0 and tokens[i - 1] in VERBS | {"entirely", "completely", "notably"}
        if token in NOT:
            rest = [word for word in tokens[i + 1 : i + 4] if word not in {"be", "been", "directly"}]
            gone = bool(rest) and rest[0] in GONE
        if not gone:
            continue
        subject_end = next((j for j in range(begin, i) if tokens[j] in PREPOSITIONS), i)
        mentions = [_denied(m) if begin <= m.start < subject_end and not _owns(tokens, m) else m for m in mentions]
    return tuple(mentions)


def _owns(tokens: Sequence[str], mention: Mention) -> bool:
    """Whether only a part is absent: in "the plane's head is not visible" the plane is asserted."""
    return mention.end < len(tokens) and tokens[mention.end] not in STOPS | NOT | {"themselves"}


def _denied(mention: Mention) -> Mention:
    return Mention(mention.start, mention.end, mention.classes, mention.plural, mention.weak, True)


def find_label(text: Text, label: Label) -> list[Mention]:
    """The asserted mentions of a label's class: of its known classes, or of its own words."""
    accepted = label.named_by
    found = [mention for mention in text.asserted if not accepted.isdisjoint(mention.classes)]
    for phrase, plural in label.phrases:
        for start in range(len(text.tokens) - len(phrase) + 1):
            if text.tokens[start] == phrase[0] and text.tokens[start : start + len(phrase)] == phrase:
                end = start + len(phrase)
                if not ({start, end - 1} & away(text.tokens, text.glued)):
                    found.append(Mention(start, end, frozenset(), plural))
    return found


def is_named(name: str, text: str) -> bool:
    """Whether the text asserts a label's class, by its own word, a synonym or a kind of it."""
    return bool(find_label(read(text), resolve(name)))
