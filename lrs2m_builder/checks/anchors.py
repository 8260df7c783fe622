"""Checks of a long text against the hints and the classes and counts of vector labels."""

from __future__ import annotations

from lrs2m_builder.checks.base import Answer, Check
from lrs2m_builder.checks.reading.implied import (
    classes_of,
    classes_of_label,
    implied_scenes,
    movable,
    supported,
    unsupported,
)
from lrs2m_builder.checks.reading.nouns import is_named, read
from lrs2m_builder.checks.reading.numbers import counted
from lrs2m_builder.checks.reading.vocabulary import resolve, vocabulary
from lrs2m_builder.schema import Sample


def _anchor_missing(answer: Answer) -> str | None:
    """Every class of the labels is named."""
    missing = [anchor.name for anchor in answer.sample.anchors if not is_named(anchor.name, answer.text)]
    return f"The answer did not mention: {', '.join(missing)}. Mention each of them." if missing else None


def _known(sample: Sample) -> frozenset[str]:
    """The classes that hints, label and anchors name."""
    hints = (classes_of(read(caption)) for caption in sample.captions)
    anchors = (resolve(anchor.name).classes for anchor in sample.anchors)
    return classes_of_label(sample.label).union(*hints, *anchors)


def _unsupported_object(answer: Answer) -> str | None:
    """An object that neither hints, label nor anchors name or imply may be invented."""
    sample = answer.sample
    if not (sample.captions or sample.label or sample.anchors):
        return None
    words = unsupported(read(answer.text), _known(sample), special=True)
    if not words:
        return None
    return f"Nothing known of the image speaks of: {', '.join(words)}. Name only what can be seen with confidence."


def _anchor_extra(answer: Answer) -> str | None:
    """Where labels count the objects of an image, a text counts no others.

    Labels without counts are those of a mask: they say what covers the image, not all that it holds.
    """
    sample = answer.sample
    if all(anchor.count is None for anchor in sample.anchors):
        return None
    given = _known(sample)
    classes = vocabulary()
    named = frozenset().union(*(classes.general[name] | classes.special[name] for name in given))
    parts = frozenset().union(*(classes.part[scene] for scene in implied_scenes(given)))
    implied = (supported(given, special=True) | parts) - movable()
    allowed = named | implied | classes.natural | classes.scene | classes.generic | classes.scenery
    text = read(answer.text)
    for quantity, noun in counted(text):
        if noun is None or noun.denied or noun.weak or not noun.classes or quantity.kind == "vague":
            continue
        if not noun.plural and quantity.low > 1:  # "two harbor cranes' worth": not what is counted
            continue
        if allowed.isdisjoint(noun.classes):
            said = " ".join(text.tokens[noun.start : noun.end])
            return f"The answer counted {said}, which no label names. Count only what the labels name."
    return None


ANCHOR_EXTRA = Check("anchor_extra", _anchor_extra)
ANCHOR_MISSING = Check("anchor_missing", _anchor_missing)
UNSUPPORTED_OBJECT = Check("unsupported_object", _unsupported_object, "warn")
