"""Where a text names objects, and whether it says that they are there: denials and comparisons do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lrs2m_builder.checks.vocabulary import Label, resolve, vocabulary

_TOKEN = re.compile(
    r"(?:(?<=\w)-)?(?:\d+(?:[.,]\d+)*[^\W\d_]*|[^\W\d_]+(?:['’][^\W\d_]+)*)|[.,;:!?()—–]",
)


def words(listed: str) -> frozenset[str]:
    """A set of words, listed with spaces between them."""
    return frozenset(listed.split())


SENTENCE_ENDS = frozenset(".!?;")
PUNCTUATION = SENTENCE_ENDS | frozenset(",:()—–")
PREPOSITIONS = words(
    "in on at near along around beside besides by next between within across from to over under behind above below "
    "beneath inside outside with through into onto towards toward against amid among amidst alongside for of beyond "
    "past off throughout opposite upon about as during"
)
VERBS = words(
    "is are was were be been being has have had can could may might will would should do does did lies lie stands "
    "stand sits sit occupies occupy runs run crosses cross stretches stretch extends extend fills fill covers cover "
    "surround surrounds shows show features feature contains contain includes include appear appears remain remains "
    "line lines connects connect dominates dominate forms form lead leads make makes seems seem dot dots border "
    "borders flank flanks float floats rest rests moored docked parked located situated visible seen scattered "
    "arranged"
)
CONJUNCTIONS = words("and or but nor while which that who where whose when there although though yet so if")
DETERMINERS = words("a an the this that these those its their his her our some any each every another all both")
STOPS = PUNCTUATION | PREPOSITIONS | VERBS | CONJUNCTIONS | DETERMINERS

_VERBS_TOO = words(
    "park parks dock docks house houses bridge bridges farm farms pool pools ship ships bank banks harbor harbors "
    "harbour harbours tower towers moor moors ferry ferries store stores crane cranes dam dams shop shops berth berths"
)

_IS = words("it's that's there's here's what's let's")

_NO = frozenset(
    ["no", "without", "neither", "nor", "lacks", "lack", "lacking", "devoid", "absence", "never", "zero", "none"]
)
_NOT = frozenset(
    [
        "not",
        "cannot",
        "can't",
        "isn't",
        "aren't",
        "doesn't",
        "don't",
        "wasn't",
        "weren't",
        "nothing",
        "hardly",
        "nowhere",
    ]
)
_NO_DENIAL = {("no", "more"), ("no", "fewer"), ("no", "less"), ("no", "longer"), ("no", "doubt"), ("not", "only")}
_NO_DENIAL |= {("no", "shortage"), ("no", "lack"), ("no", "two"), ("nothing", "but"), ("nothing", "other")}
_NO_DENIAL |= {("not", "far"), ("not", "just"), ("not", "all"), ("not", "every"), ("not", "fully"), ("not", "much")}
_NO_DENIAL |= {("not", "entirely"), ("not", "quite"), ("no", "less"), ("not", "completely"), ("not", "very")}
_GONE = words("visible present seen found observed there discernible apparent evident shown noticeable identifiable")
_ABSENT = frozenset(["absent", "missing", "lacking", "nowhere"])
_INSTEAD = {("rather", "than"), ("instead", "of"), ("free", "of"), ("empty", "of"), ("void", "of"), ("bare", "of")}
_INSTEAD |= {("clear", "of"), ("other", "than")}
_LIKE = frozenset(
    ["like", "resembling", "resembles", "resemble", "resembled", "mimicking", "unlike", "evoking", "evokes"]
)
_AS_OF = {("similar", "to"), ("reminiscent", "of"), ("as", "if"), ("shape", "of"), ("form", "of"), ("size", "of")}
_AS_OF |= {("sense", "of"), ("akin", "to"), ("compared", "to"), ("comparable", "to"), ("shapes", "of")}
_LOOKS = words(
    "look looks looking looked shaped seem seems appear appears appearing appeared spread just much more arranged "
    "laid curved curving winding winds snakes running fan something almost"
)
_MADE_LIKE = frozenset(["shaped", "like", "style", "styled", "colored", "coloured", "sized", "free", "themed", "esque"])
_MASSES = frozenset(["sea", "river", "island", "forest", "lake", "desert", "wave", "water"])
_TRIGGERS = _NO | _NOT | _ABSENT | _LIKE | {"than", "of", "to", "if", "as"}


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


def _tokens(text: str) -> tuple[tuple[str, ...], frozenset[int], frozenset[int]]:
    found = _TOKEN.findall(text.lower().replace("’", "'"))
    glued = frozenset(i for i, token in enumerate(found) if token[0] == "-")
    owners = frozenset(i for i, token in enumerate(found) if token.endswith(("'s", "s'")) and token not in _IS)
    plain = (token.lstrip("-").removesuffix("'s") if "'" in token or token[0] == "-" else token for token in found)
    return tuple(plain), glued, owners


@lru_cache(maxsize=4096)
def read(text: str) -> Text:
    """The words of a text and the classes it names; the longest name wins, so that a "tennis court" is no "court"."""
    tokens, glued, owners = _tokens(text)
    names, mentions, position = vocabulary().names, list[Mention](), 0
    starts = names.after
    away = _away(tokens, glued)
    while position < len(tokens):
        if tokens[position] in starts:
            end, name = names.longest(tokens, position)
            if name is not None:
                if name.classes and not _is_verb(tokens, mentions, position, end):
                    denied = position in away or end - 1 in away or _is_figure(tokens, glued, end, name.classes)
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
    """Whether a class stands for its shape or mass alone: "ship-shaped", "a sea of red", "islands of trees"."""
    if end in glued and tokens[end] in _MADE_LIKE:
        return True
    masses = tokens[end : end + 1] == ("of",) and not _MASSES.isdisjoint(classes)
    return masses and tokens[end + 1 : end + 2] != () and tokens[end + 1] not in DETERMINERS


def _shares_head(tokens: Sequence[str], start: int, end: int, denied: bool) -> Mention | None:
    """The class before "and" whose noun stands only once: "basketball and tennis courts", "two tennis and two ..."."""
    before = next((i for i in range(start - 1, max(start - 3, 0), -1) if tokens[i] in {"and", "or"}), 0)
    if end - start < 2 or not before:
        return None
    found, name = vocabulary().names.longest((tokens[before - 1], tokens[end - 1]), 0)
    if found < 2 or not name.classes:
        return None
    return Mention(before - 1, before, name.classes, name.plural, name.weak, denied)


def _is_verb(tokens: Sequence[str], mentions: Sequence[Mention], position: int, end: int) -> bool:
    """Whether a class's name is a verb here: "planes park near", "a road bridges the river"."""
    if end - position > 1 or tokens[position] not in _VERBS_TOO:
        return False
    if position and tokens[position - 1] in {"to", "can", "could", "may", "they"}:
        return tokens[position] in {"park", "dock", "house", "bridge", "farm"}
    if position and tokens[position - 1] in {"that", "which", "who"} and tokens[position].endswith("s"):
        return tokens[end : end + 1] != () and tokens[end] in DETERMINERS
    if not mentions or mentions[-1].end != position:
        return False
    following = tokens[end] if end < len(tokens) else "."
    return mentions[-1].plural != tokens[position].endswith("s") and following in PREPOSITIONS | DETERMINERS


def _away(tokens: Sequence[str], glued: frozenset[int]) -> set[int]:
    """Positions of the words under a denial ("no ships or docks") or in a comparison ("shaped like a ship")."""
    away: set[int] = set()
    if _TRIGGERS.isdisjoint(tokens):
        return away
    for i, token in enumerate(tokens):
        if token not in _TRIGGERS:
            continue
        pair = (tokens[i - 1] if i else "", token)
        after = (token, tokens[i + 1] if i + 1 < len(tokens) else "")
        if token in _NO and after not in _NO_DENIAL:
            away |= _phrase(tokens, i + 1 + (after[1] == "of"), lists=True)
        elif token in _NOT and after not in _NO_DENIAL:
            away |= _after_not(tokens, i + 1)
        elif token == "as" and i > 1 and tokens[i - 2] == "as":  # "as flat as a runway"
            away |= _phrase(tokens, i + 1, lists=False)
        elif pair in _INSTEAD or pair in _AS_OF or (token in _LIKE and _compares(tokens, glued, i)):
            away |= _phrase(tokens, i + 1, lists=pair in _INSTEAD)
            if token == "like" and pair[0] != "shaped":  # "like ships in a harbor"
                last = max(away & set(range(i + 1, len(tokens))), default=i)
                if tokens[last + 1 : last + 3] in {("in", "a"), ("on", "a"), ("at", "a")}:
                    away |= _phrase(tokens, last + 2, lists=False)
    return away


def _compares(tokens: Sequence[str], glued: frozenset[int], position: int) -> bool:
    """Whether "like" compares ("like a ship") or gives examples ("facilities like courts and pools")."""
    if tokens[position] != "like":
        return True
    before = tokens[position - 1] if position else ""
    following = tokens[position + 1] if position + 1 < len(tokens) else ""
    example = (before.endswith("s") and before not in _LOOKS) or before == ","
    return position not in glued and (not example or following in {"a", "an", "the"})


_THROUGH = words("a an any the of other single visible sign signs trace traces evidence or nor and either large")


def _phrase(tokens: Sequence[str], start: int, *, lists: bool) -> set[int]:
    """Positions of the noun phrase that begins here, and of those that a list adds to it."""
    end = start
    while end < len(tokens):
        token = tokens[end]
        if token == ",":
            if not (lists and _list_goes_on(tokens, end + 1)):
                break
        elif token == "and":
            if not lists or tokens[end + 1 : end + 2] == () or tokens[end + 1] in DETERMINERS | {"there"}:
                break
        elif token in {"a", "an", "the"} and end > start and tokens[end - 1] not in {"of", "or", "nor", "and", ","}:
            break  # after a verb: "a lake without boats reflects a bridge"
        elif token in STOPS and token not in _THROUGH and not (token in VERBS and tokens[end - 1] in DETERMINERS):
            break
        end += 1
    return set(range(start, end))


def _list_goes_on(tokens: Sequence[str], start: int) -> bool:
    """Whether a comma of a list is followed by a further member: up to three words, then "," or "or"."""
    if tokens[start : start + 1] and tokens[start] in {"or", "nor", "and", "no"}:
        rest = next((i for i in range(start, len(tokens)) if tokens[i] in PUNCTUATION), len(tokens))
        return tokens[start] != "and" or (DETERMINERS | VERBS | {"there"}).isdisjoint(tokens[start + 1 : rest])
    for token in tokens[start : start + 4]:
        if token in {",", "or", "nor", "and"}:
            return True
        if token in STOPS:
            return False
    return False


def _after_not(tokens: Sequence[str], start: int) -> set[int]:
    """What a "not" denies: the object of a verb ("does not show any ships", "not crossed by a bridge")."""
    end = start
    while end < len(tokens) and end < start + 3 and tokens[end] not in PUNCTUATION:
        if tokens[end] in {
            "the",
            "its",
            "this",
            "these",
            "their",
        }:  # what is spoken of is there: "does not cross the river"
            return set()
        if tokens[end] in {"a", "an", "any"}:
            return _phrase(tokens, end + 1, lists=True)
        if tokens[end] in _GONE:
            return set()
        if tokens[end] in PREPOSITIONS and tokens[end] != "by":
            return set()
        end += 1
    return _phrase(tokens, start + 1, lists=True) if tokens[start : start + 1] else set()


def _without_said_gone(tokens: Sequence[str], mentions: list[Mention]) -> tuple[Mention, ...]:
    """Marks the subjects of "cannot be seen", "are not visible" and "are absent"."""
    if (_NOT | _ABSENT).isdisjoint(tokens):
        return tuple(mentions)
    for i, token in enumerate(tokens):
        gone = token in _ABSENT and i > 0 and tokens[i - 1] in VERBS | {"entirely", "completely", "notably"}
        if token in _NOT:
            rest = [word for word in tokens[i + 1 : i + 4] if word not in {"be", "been", "directly"}]
            gone = bool(rest) and rest[0] in _GONE
        if not gone:
            continue
        begin = max((j + 1 for j in range(i) if tokens[j] in PUNCTUATION | {"but", "while", "which"}), default=0)
        subject_end = next((j for j in range(begin, i) if tokens[j] in PREPOSITIONS), i)
        mentions = [_denied(m) if begin <= m.start < subject_end and not _owns(tokens, m) else m for m in mentions]
    return tuple(mentions)


def _owns(tokens: Sequence[str], mention: Mention) -> bool:
    """Whether a part is what is gone: in "the plane's head is not visible" the plane is there."""
    return mention.end < len(tokens) and tokens[mention.end] not in STOPS | _NOT | {"themselves"}


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
                if not ({start, end - 1} & _away(text.tokens, text.glued)):
                    found.append(Mention(start, end, frozenset(), plural))
    return found


def is_named(name: str, text: str) -> bool:
    """Whether the text says that a label's class is there, by its own word, a synonym or a kind of it."""
    return bool(find_label(read(text), resolve(name)))
