"""Whether a long text speaks of what its hints and its label say: the classes on which most hints agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from functools import lru_cache

from lrs2m_builder.checks.base import Answer, Check
from lrs2m_builder.checks.nouns import read
from lrs2m_builder.checks.support import Classes, classes_of, classes_of_label
from lrs2m_builder.checks.vocabulary import vocabulary
from lrs2m_builder.schema import Sample

# What stands in so many scenes that naming it does not show that the hint was followed.
_ANYWHERE = frozenset(
    ["vehicle", "small vehicle", "car", "large vehicle", "truck", "parking lot", "water", "shore", "road"]
)


def _common() -> Classes:
    known = vocabulary()
    return known.scenery | known.generic | _ANYWHERE


def expected_classes(sample: Sample) -> Classes:
    """The classes of the label, and those that more than half of the hints name; the telling ones, if there are any."""
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
    own = {other for name in names for other in known.signs[name] | known.loose[name]}
    return frozenset(found - _common()) | own | names


def _missing(named: Set[str], expected: Classes) -> bool:
    return bool(expected) and shown_by(expected).isdisjoint(named)


def _hint_missing(answer: Answer) -> str | None:
    """A text names something of what most hints, or the label, say is there."""
    expected = expected_classes(answer.sample)
    if not _missing(classes_of(read(answer.text)), expected):
        return None
    return (
        f"The answer spoke of nothing that is known of the image: {', '.join(sorted(expected))}. Say what the scene is."
    )


HINT_MISSING = Check("hint_missing", _hint_missing)
