"""The object classes of remote-sensing data sets, what captions call them, and what each implies (vocabulary.yaml)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

_DATA = Path(__file__).with_name("vocabulary.yaml")
_PART = re.compile(r"\s*(?:[,;/|]|\b(?:and|or|with)\b)\s*")
_SIZES = {"small", "big", "large", "huge", "medium", "other", "old", "new", "unknown", "misc", "general", "generic"}


@dataclass(frozen=True, slots=True)
class Name:
    """The classes a phrase names (several if it is ambiguous), in the plural or not, surely or weakly.

    It is weak, too, in a text that holds one of its `cues`: the words that go with another meaning of it.
    """

    classes: frozenset[str]
    plural: bool
    weak: bool
    cues: frozenset[str] = frozenset()


@dataclass(slots=True)
class Trie:
    """Phrases by their words; the longest one that begins at a word wins."""

    after: dict[str, Trie] = field(default_factory=dict)
    value: Any = None

    def add(self, phrase: Iterable[str]) -> Trie:
        """The node of a phrase, created if it is missing."""
        node = self
        for word in phrase:
            node = node.after.setdefault(word, Trie())
        return node

    def longest(self, tokens: Sequence[str], start: int) -> tuple[int, Any]:
        """End and value of the longest phrase that begins at a token; (start, None) where none does."""
        node, end, value = self, start, None
        for position in range(start, len(tokens)):
            following = node.after.get(tokens[position])
            if following is None:
                break
            node = following
            if node.value is not None:
                end, value = position + 1, node.value
        return end, value


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The classes and their relations; every mapping goes from a class to classes.

    Attributes:
        phrases: all names of it, as they are listed.
        looks: words for its look and its parts, with those of what it is a kind of.
        general: itself and its kinds-of, all the way up; `special` is the way down.
        part: what is always there with it, one step, with what that is a kind of.
        kinds_of_part: the kinds of those parts, but for parts as broad as "building".
        signs: classes that are enough to call a scene so; `loose`: more general classes that may stand for it.
        scenery: classes that nobody would call invented; `natural`: those that do not show people building;
            `scene`: kinds of scenes, which are no objects; `generic`: those that every built-up scene has.
    """

    names: Trie
    phrases: Mapping[str, tuple[str, ...]]
    looks: Mapping[str, frozenset[str]]
    general: Mapping[str, frozenset[str]]
    special: Mapping[str, frozenset[str]]
    part: Mapping[str, frozenset[str]]
    kinds_of_part: Mapping[str, frozenset[str]]
    signs: Mapping[str, frozenset[str]]
    loose: Mapping[str, frozenset[str]]
    scenery: frozenset[str]
    natural: frozenset[str]
    scene: frozenset[str]
    generic: frozenset[str]


_SAME = ("craft", "series", "people", "sheep", "cattle", "premises", "means")  # plural is singular
_IN_S = ("gases", "canvases", "atlases", "irises")  # not of a noun that ends in "se", as "houses" is
_IRREGULAR = {"person": "people", "man": "men", "woman": "women", "child": "children", "leaf": "leaves"}
_IRREGULAR |= {"shelf": "shelves", "wharf": "wharves", "bus": "buses", "foot": "feet"}
_IRREGULAR |= {word: word for word in ("crossroads", "works")}
_SINGULAR = {plural: word for word, plural in _IRREGULAR.items()}


def plural_of(noun: str) -> str:
    """The plural of an English noun; a noun that is a plural already would get a second ending."""
    if noun.endswith(_SAME):
        return noun
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if re.search(r"(?:[^aeiou]|qu)y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(?:s|x|z|ch|sh)$", noun) else "s")


def singular_of(noun: str) -> str:
    """The singular of an English noun in the plural; a noun in the singular comes back as it is."""
    if noun in _SINGULAR:
        return _SINGULAR[noun]
    if noun.endswith((*_SAME, "ss", "us", "is")):
        return noun
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    if re.search(r"(?:ou|r|[aio])ses$", noun) and noun not in _IN_S:
        return noun[:-1]
    return re.sub(r"(?<=s|x|z)es$|(?<=ch|sh)es$|s$", "", noun)


def _forms(name: str) -> tuple[tuple[tuple[str, ...], bool], ...]:
    """Singular and plural of a name, each also joined to one word, as (words, whether it is the plural)."""
    words = name.replace("-", " ").replace(",", "").split()
    plural = [*words[:-1], plural_of(words[-1])]
    spelt = {tuple(words): plural == words, tuple(plural): True}
    if 1 < len(words) < 5:
        spelt |= {("".join(form),): is_plural for form, is_plural in spelt.items()}
    return tuple(spelt.items())


def _closure(direct: Mapping[str, Iterable[str]], start: str) -> frozenset[str]:
    found, open_ends = {start}, [start]
    while open_ends:
        new = set(direct.get(open_ends.pop(), ())) - found
        found |= new
        open_ends += new
    return frozenset(found)


def _names(
    classes: Mapping[str, Mapping[str, Any]], nothing: Iterable[str], doubtful: Mapping[str, Iterable[str]]
) -> Trie:
    trie = Trie()
    cues = {form: frozenset(words) for word, words in doubtful.items() for form, _ in _forms(word)}
    spelt: dict[tuple[str, ...], list[tuple[str, bool, bool]]] = {}
    for name, about in classes.items():
        weak = set(about.get("weak", ()))
        for phrase in dict.fromkeys((name, *about.get("also", ()), *about.get("weak", ()))):
            for form, plural in _forms(phrase):
                spelt.setdefault(form, []).append((name, plural, phrase in weak))
    for form, meanings in spelt.items():
        trie.add(form).value = Name(
            frozenset(name for name, _, _ in meanings),
            all(plural for _, plural, _ in meanings),
            all(weak for _, _, weak in meanings),
            cues.get(form, frozenset()),
        )
    for phrase in nothing:
        for form, plural in _forms(phrase):
            trie.add(form).value = Name(frozenset(), plural, False)
    return trie


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


@cache
def vocabulary() -> Vocabulary:
    """The classes of vocabulary.yaml, read once."""
    data = yaml.safe_load(_DATA.read_text(encoding="utf-8"))
    classes: dict[str, dict[str, Any]] = {**data["objects"], **data["scenery"]}
    kinds = {name: about.get("is", ()) for name, about in classes.items()}
    general = {name: _closure(kinds, name) for name in classes}
    special = {name: frozenset(other for other in classes if name in general[other]) for name in classes}
    broad = {name for name, about in classes.items() if about.get("broad")}
    parts = {name: {part for kind in general[name] for part in classes[kind].get("has", ())} for name in classes}
    return Vocabulary(
        names=_names(classes, data["nothing"], data["doubtful"]),
        phrases={name: (name, *about.get("also", ()), *about.get("weak", ())) for name, about in classes.items()},
        looks={name: frozenset(w for kind in general[name] for w in data["looks"].get(kind, ())) for name in classes},
        general=general,
        special=special,
        part={name: _union(general[part] for part in parts[name]) for name in classes},
        kinds_of_part={name: _union(special[part] for part in parts[name] - broad) for name in classes},
        signs={name: frozenset(about.get("signs", ())) for name, about in classes.items()},
        loose={name: frozenset(about.get("loose", ())) for name, about in classes.items()},
        scenery=frozenset(data["scenery"]),
        natural=frozenset(name for name, about in classes.items() if about.get("natural")),
        scene=frozenset(name for name, about in classes.items() if about.get("scene")),
        generic=frozenset(name for name, about in classes.items() if about.get("generic")),
    )


@dataclass(frozen=True, slots=True)
class Label:
    """A class as a user's labels call it: known classes, or phrases that are matched by their own words."""

    classes: frozenset[str] = frozenset()
    phrases: tuple[tuple[tuple[str, ...], bool], ...] = ()

    @property
    def named_by(self) -> frozenset[str]:
        """The known classes whose mention names this one: itself, its kinds, and what it may loosely be called."""
        known = vocabulary()
        return _union(known.special[name] | known.loose[name] for name in self.classes)

    @property
    def counted_by(self) -> frozenset[str]:
        """Those whose number is this one's: piers may name a harbor, but two of them are not two harbors."""
        known = vocabulary()
        return _union(known.special[name] | (known.loose[name] & known.general[name]) for name in self.classes)


def _known(words: Sequence[str]) -> frozenset[str]:
    names = vocabulary().names
    for form in (tuple(words), ("".join(words),)):
        end, name = names.longest(form, 0)
        if end == len(form) and name is not None:
            return frozenset(name.classes)
    return frozenset()


@lru_cache(maxsize=4096)
def resolve(label: str) -> Label:
    """A label's classes: "Small_Car", "StorageTanks" and "Moors, heathland" are read as captions write them."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).replace("_", " ").replace("-", " ").lower().strip()
    words = re.findall(r"[^\W\d_]+|\d+", spaced)  # as the tokens of a text: an A220 is named by "a" and "220"
    if not words:
        return Label()
    if known := _known(words):
        return Label(known)
    parts = [part for part in _PART.split(spaced) if part]
    if len(parts) > 1:
        found = [resolve(part) for part in parts]
        return Label(frozenset().union(*(f.classes for f in found)), tuple(p for f in found for p in f.phrases))
    if words[0] in _SIZES and len(words) > 1:
        return resolve(" ".join(words[1:]))
    last = singular_of(words[-1])
    phrases = {**{(*words,): last != words[-1]}, **dict(_forms(" ".join([*words[:-1], last])))}
    return Label(phrases=tuple(phrases.items()))
