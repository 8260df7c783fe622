"""Whether a long text names what its hints and label name: the classes on which most hints agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from functools import lru_cache

from lrs2m_builder.checks.base import Answer, Check
from lrs2m_builder.checks.reading.implied import Classes, classes_of, classes_of_label
from lrs2m_builder.checks.reading.lexicon import word_sets
from lrs2m_builder.checks.reading.negation import away
from lrs2m_builder.checks.reading.nouns import Text, read
from lrs2m_builder.checks.reading.tokens import STOPS
from lrs2m_builder.checks.reading.vocabulary import singular_of, vocabulary
from lrs2m_builder.schema import Sample

# Classes so common that naming them does not show that the hint was followed.
_ANYWHERE = frozenset(
    ["vehicle", "small vehicle", "car", "large vehicle", "truck", "parking lot", "water", "shore", "road"]
)
MAX_SHARED = 2  # classes that may share a word which still identifies one of them
_ANY_TEXT = word_sets("hint_missing")["any_text"]


def _common() -> Classes:
    known = vocabulary()
    return known.scenery | known.generic | _ANYWHERE


def expected_classes(sample: Sample) -> Classes:
    """The classes of the label, and those that more than half of the hints name; only the distinctive ones, if any."""
    known = vocabulary()
    hints = [classes_of(read(hint)) for hint in sample.captions]
    times = Counter(name for hint in hints for name in frozenset().union(*(known.general[c] for c in hint)))
    agreed = {name for name, count in times.items() if 2 * count > len(hints)}
    agreed |= classes_of_label(sample.label)
    # "Airport" says more than the ground that it is a kind of.
    agreed -= {general for name in agreed for general in known.general[name] - {name} if times[general] <= times[name]}
    return frozenset(agreed - _common()) or frozenset(agreed)


@lru_cache(maxsize=1024)
def shown_by(names: Classes) -> Classes:
    """The classes whose mention shows that a text speaks of one of these: kinds, parts, signs and wholes."""
    known = vocabulary()
    found = set[str]()
    for name in names:
        found |= known.special[name] | known.general[name] | known.loose[name] | known.signs[name] | known.part[name]
        found |= {
            other for other in known.general if name in known.part[other] | known.signs[other] | known.loose[other]
        }
    found |= {kind for name in found - _common() for kind in known.special[name]}
    own = {
        other for name in names for other in known.signs[name] | known.loose[name] | (known.general[name] - {"road"})
    }
    if names <= _common():  # the hint has only common classes: naming what is on a parking lot shows it
        own |= found - known.scenery
    return frozenset(found - _common()) | own | names


@lru_cache(maxsize=1)
def _name_words() -> dict[str, Classes]:
    """The words of all names of the classes, each with the classes that have it in a name."""
    found: dict[str, set[str]] = {}
    for name, phrases in vocabulary().phrases.items():
        for word in {singular_of(word) for phrase in phrases for word in phrase.replace("-", " ").split()}:
            found.setdefault(word, set()).add(name)
    return {word: frozenset(names) for word, names in found.items()}


def _telling_words(sample: Sample, expected: Classes) -> set[str]:
    """The words by which a text may speak of the hints in its own way: theirs, the label's, the classes'."""
    hints = [{singular_of(token) for token in read(hint).tokens} for hint in sample.captions]
    times = Counter(word for words in hints for word in words if not word.endswith(("ed", "ing", "ly")))
    said = {word for word, count in times.items() if 2 * count > len(hints)}
    said |= {singular_of(token) for token in read(sample.label).tokens}
    own = {word for word, names in _name_words().items() if len(names) <= MAX_SHARED and not names.isdisjoint(expected)}
    telling = {word for word in said | own if len(word) > 2 and word.isalpha()} - STOPS - _ANY_TEXT
    return telling.union(*(vocabulary().looks[name] for name in expected))


def _speaks_of(text: Text, expected: Classes) -> bool:
    """Whether a text names a class that shows it; a name that often means another thing only for itself."""
    known = vocabulary()
    shown = shown_by(expected)
    own = expected.union(*(known.general[name] | known.loose[name] | known.signs[name] for name in expected))
    own = own.union(*(known.part[name] for name in expected - known.scene)) & shown
    return any(not (own if mention.weak else shown).isdisjoint(mention.classes) for mention in text.asserted)


def _says(text: Text, words: Set[str]) -> bool:
    denied = away(text.tokens, text.glued).union(*(range(m.start, m.end) for m in text.mentions if m.denied))
    return any(singular_of(token) in words for at, token in enumerate(text.tokens) if at not in denied)


def _hint_missing(answer: Answer) -> str | None:
    """A text names at least one of the classes that most hints, or the label, name."""
    expected = expected_classes(answer.sample)
    text = read(answer.text)
    if not expected or _speaks_of(text, expected) or _says(text, _telling_words(answer.sample, expected)):
        return None
    return (
        f"The answer spoke of nothing that is known of the image: {', '.join(sorted(expected))}. Say what the scene is."
    )


HINT_MISSING = Check("hint_missing", _hint_missing)
