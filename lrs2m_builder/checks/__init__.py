"""What a caption must satisfy: pure functions, each with its reason name (docs/checks.md lists them)."""

import importlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from lrs2m_builder.checks.anchor_count import ANCHOR_COUNT
from lrs2m_builder.checks.anchor_place import ANCHOR_PLACE
from lrs2m_builder.checks.anchors import ANCHOR_EXTRA, ANCHOR_MISSING, UNSUPPORTED_OBJECT
from lrs2m_builder.checks.base import Answer, Check, Level, override_levels, parse_levels, split_words
from lrs2m_builder.checks.date import DATE
from lrs2m_builder.checks.direction import DIRECTION
from lrs2m_builder.checks.form import CLIP_LONG, CLIP_SHORT, CUT_OFF, EMPTY, REPETITION, clip_budget, word_range
from lrs2m_builder.checks.hint_missing import HINT_MISSING
from lrs2m_builder.checks.language import LANGUAGE
from lrs2m_builder.checks.markup import MARKDOWN, MOJIBAKE
from lrs2m_builder.checks.measures import COORDINATES, RESOLUTION
from lrs2m_builder.checks.place_name import PLACE_NAME
from lrs2m_builder.checks.purpose import PURPOSE
from lrs2m_builder.checks.sensor import SENSOR
from lrs2m_builder.checks.summary import COPY, SUMMARY_COUNT, SUMMARY_OBJECT
from lrs2m_builder.checks.talk import HEDGE, HINT_LEAK, META_TEXT, PREAMBLE, REFUSAL
from lrs2m_builder.checks.title import TITLE
from lrs2m_builder.checks.viewpoint import VIEWPOINT
from lrs2m_builder.files import member_names

# Required of every answer; loop checks come first, before others look for words in a loop.
WELL_FORMED = (
    *(EMPTY, CUT_OFF, REPETITION, REFUSAL, TITLE, PREAMBLE),
    *(HINT_LEAK, META_TEXT, MARKDOWN, MOJIBAKE, LANGUAGE),
)
# Claims that no image can support, in a text that a model wrote.
GROUNDED = (PLACE_NAME, DATE, VIEWPOINT, COORDINATES, RESOLUTION, SENSOR, PURPOSE, HEDGE)
# A text made from an image must not contradict the labels, the hints, or itself.
FAITHFUL = (ANCHOR_COUNT, UNSUPPORTED_OBJECT, DIRECTION)
# Required of a short text made from a long one.
FAITHFUL_SUMMARY = (COPY, SUMMARY_OBJECT, SUMMARY_COUNT)
# Faults that published texts have: the row is kept, and the column `warnings` names them.
PUBLISHED = tuple(replace(check, level="warn") for check in (MOJIBAKE, REPETITION))

__all__ = [
    "ANCHOR_COUNT",
    "ANCHOR_EXTRA",
    "ANCHOR_MISSING",
    "ANCHOR_PLACE",
    "CLIP_LONG",
    "CLIP_SHORT",
    "COORDINATES",
    "COPY",
    "CUT_OFF",
    "DATE",
    "DIRECTION",
    "EMPTY",
    "FAITHFUL",
    "FAITHFUL_SUMMARY",
    "GROUNDED",
    "HEDGE",
    "HINT_LEAK",
    "HINT_MISSING",
    "LANGUAGE",
    "MARKDOWN",
    "META_TEXT",
    "MOJIBAKE",
    "PLACE_NAME",
    "PREAMBLE",
    "PUBLISHED",
    "PURPOSE",
    "REFUSAL",
    "REPETITION",
    "RESOLUTION",
    "SENSOR",
    "SUMMARY_COUNT",
    "SUMMARY_OBJECT",
    "TITLE",
    "UNSUPPORTED_OBJECT",
    "VIEWPOINT",
    "WELL_FORMED",
    "Answer",
    "Check",
    "Level",
    "clip_budget",
    "every_check",
    "override_levels",
    "parse_levels",
    "split_words",
    "word_range",
]


def every_check() -> dict[str, Check]:
    """Every check without settings of its own by its name: those above and those of the other files of this folder."""
    files = [importlib.import_module(f"{__name__}.{name}") for name in member_names(__path__)]
    values = (value for file in (sys.modules[__name__], *files) for value in vars(file).values())
    return {value.name: value for value in values if isinstance(value, Check)}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Check:
        """The check of a file that is not imported above, as a recipe imports it: `toy_word` is `TOY_WORD`."""
        check = every_check().get(name.lower()) if name.isupper() else None
        if check is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return check
