"""Which classes a text may speak of, given the classes that are known to be there."""

from __future__ import annotations

import re
from functools import lru_cache

from lrs2m_builder.checks.reading.nouns import Text, read
from lrs2m_builder.checks.reading.vocabulary import resolve, vocabulary

Classes = frozenset[str]
_LABEL_SEPARATOR = re.compile(r"\s*[;|\n]\s*|,\s*(?=[A-Z])")


def classes_of(text: Text) -> Classes:
    """The classes that a text says are there."""
    return frozenset().union(*(mention.classes for mention in text.asserted))


def classes_of_label(label: str) -> Classes:
    """The classes of a scene label or a list of them: "BareLand", "Urban fabric; Arable land"."""
    parts = [resolve(part).classes for part in _LABEL_SEPARATOR.split(label) if part]
    return resolve(label).classes.union(*parts, classes_of(read(label)))


@lru_cache(maxsize=1024)
def supported(given: Classes, *, special: bool) -> Classes:
    """The classes that the given ones name or imply.

    Args:
        given: classes that are known to be there.
        special: whether a class speaks for its kinds, as "vehicles" of a hint does for the cars of the image.
    """
    known = vocabulary()
    named = frozenset().union(*(known.general[name] for name in given))
    parts = frozenset().union(*(known.part[name] for name in given))
    found = named | (parts if special else parts & known.natural)  # a summary adds no hangar to an airport
    found = found.union(*(known.loose.get(name, ()) for name in given))
    if special:
        found = found.union(*(known.special[name] | known.kinds_of_part[name] for name in given))
    scenes = [name for name, signs in known.signs.items() if not signs.isdisjoint(named)]
    found = found.union(*(known.general[name] for name in scenes))
    stand_ins = given if special else given & known.scenery
    found = found.union(name for name, loose in known.loose.items() if not loose.isdisjoint(stand_ins))
    if given - known.natural - known.scenery:
        found |= known.generic
    return found | known.scenery


def implied_scenes(given: Classes) -> Classes:
    """The scenes that the given classes are signs of: planes of an airport."""
    signs = vocabulary().signs
    return frozenset(name for name in signs if not signs[name].isdisjoint(given))


def movable() -> Classes:
    """The classes of things that come and go: that a place could hold them does not put them there."""
    special = vocabulary().special
    return special["vehicle"] | special["aircraft"] | special["ship"] | special["train"]


def unsupported(text: Text, given: Classes, *, special: bool) -> list[str]:
    """The words of a text that name a class which the given ones neither name nor imply, each once."""
    allowed = supported(given, special=special)
    if special:  # the kind of scene and its natural ground are no invented objects
        allowed |= vocabulary().natural | vocabulary().scene
    words = (
        " ".join(text.tokens[mention.start : mention.end])
        for mention in text.asserted
        if not mention.weak and allowed.isdisjoint(mention.classes)
    )
    return list(dict.fromkeys(words))
