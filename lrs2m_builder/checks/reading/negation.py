"""Which words of a text are denied ("no ships or docks") or only compared with ("shaped like a ship")."""

from __future__ import annotations

from collections.abc import Sequence

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.lexicon import word_sets
from lrs2m_builder.checks.reading.tokens import DETERMINERS, PREPOSITIONS, PUNCTUATION, STOPS, VERBS

_WORDS = word_sets("reading")
_NO, NOT, _LOOKS = _WORDS["denials"], _WORDS["negations"], _WORDS["looks"]
_NO_DENIAL = {("no", "more"), ("no", "fewer"), ("no", "less"), ("no", "longer"), ("no", "doubt"), ("not", "only")}
_NO_DENIAL |= {("no", "shortage"), ("no", "lack"), ("no", "two"), ("nothing", "but"), ("nothing", "other")}
_NO_DENIAL |= {("not", "far"), ("not", "just"), ("not", "all"), ("not", "every"), ("not", "fully"), ("not", "much")}
_NO_DENIAL |= {("not", "entirely"), ("not", "quite"), ("no", "less"), ("not", "completely"), ("not", "very")}
GONE = word_set("visible present seen found observed there discernible apparent evident shown noticeable identifiable")
ABSENT = frozenset(["absent", "missing", "lacking", "nowhere"])
_INSTEAD = {("rather", "than"), ("instead", "of"), ("free", "of"), ("empty", "of"), ("void", "of"), ("bare", "of")}
_INSTEAD |= {("clear", "of"), ("other", "than")}
_LIKE = frozenset(
    ["like", "resembling", "resembles", "resemble", "resembled", "mimicking", "unlike", "evoking", "evokes"]
)
_AS_OF = {("similar", "to"), ("reminiscent", "of"), ("as", "if"), ("shape", "of"), ("form", "of"), ("size", "of")}
_AS_OF |= {("sense", "of"), ("akin", "to"), ("compared", "to"), ("comparable", "to"), ("shapes", "of")}
_DEFINITE = word_set("the its this these their")  # what is spoken of is there: "does not cross the river"
_COMPARING = _LIKE | {"than", "of", "to", "if", "as"}


def denied_at(tokens: Sequence[str]) -> set[int]:
    """Positions of the words under a denial: "no ships or docks", "does not show any ships"."""
    found: set[int] = set()
    if (_NO | NOT).isdisjoint(tokens):
        return found
    for i, token in enumerate(tokens):
        after = (token, tokens[i + 1] if i + 1 < len(tokens) else "")
        if token in _NO and after not in _NO_DENIAL:
            found |= _phrase(tokens, i + 1 + (after[1] == "of"), lists=True)
        elif token in NOT and after not in _NO_DENIAL:
            found |= _after_not(tokens, i + 1)
    return found


def away(tokens: Sequence[str], glued: frozenset[int]) -> set[int]:
    """Positions of the words under a denial ("no ships or docks") or in a comparison ("shaped like a ship")."""
    found = denied_at(tokens)
    if _COMPARING.isdisjoint(tokens):
        return found
    for i, token in enumerate(tokens):
        if token not in _COMPARING:
            continue
        pair = (tokens[i - 1] if i else "", token)
        if token == "as" and i > 1 and tokens[i - 2] == "as":  # "as flat as a runway"
            found |= _phrase(tokens, i + 1, lists=False)
        elif pair in _INSTEAD or pair in _AS_OF or (token in _LIKE and _compares(tokens, glued, i)):
            compared = _phrase(tokens, i + 1, lists=pair in _INSTEAD)
            found |= compared
            if token == "like" and pair[0] != "shaped":  # "like ships in a harbor"
                last = max(compared, default=i)
                if tokens[last + 1 : last + 3] in {("in", "a"), ("on", "a"), ("at", "a")}:
                    found |= _phrase(tokens, last + 2, lists=False)
    return found


def _compares(tokens: Sequence[str], glued: frozenset[int], position: int) -> bool:
    """Whether "like" compares ("like a ship") or gives examples ("facilities like courts and pools")."""
    if tokens[position] != "like":
        return True
    before = tokens[position - 1] if position else ""
    following = tokens[position + 1] if position + 1 < len(tokens) else ""
    example = (before.endswith("s") and before not in _LOOKS) or before == ","
    return position not in glued and (not example or following in {"a", "an", "the"})


_THROUGH = word_set("a an any the of other single visible sign signs trace traces evidence or nor and either large")


def _phrase(tokens: Sequence[str], start: int, *, lists: bool) -> set[int]:
    """Positions of the noun phrase that begins here, and of those that a list adds to it."""
    end = start
    while end < len(tokens):
        token = tokens[end]
        if token == ",":
            if not (lists and _list_goes_on(tokens, end + 1)):
                break
        elif lists and tokens[end : end + 2] == ("such", "as"):  # "no objects such as airplanes or cars"
            end += 1
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
        if tokens[end] in _DEFINITE:
            return set()
        if tokens[end] in {"a", "an", "any"}:
            return _phrase(tokens, end + 1, lists=True)
        if tokens[end] in GONE:
            return set()
        if tokens[end] in PREPOSITIONS and tokens[end] != "by":
            return set()
        end += 1
    return _phrase(tokens, start + 1, lists=True) if tokens[start : start + 1] else set()
