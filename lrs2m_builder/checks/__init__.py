"""What a caption must satisfy: pure functions, each with its reason name (docs/checks.md lists them)."""

from lrs2m_builder.checks.base import Answer, Check, Level, override_levels, parse_levels, split_words
from lrs2m_builder.checks.directions import DIRECTION
from lrs2m_builder.checks.faith import ANCHOR_COUNT, ANCHOR_MISSING, UNSUPPORTED_OBJECT
from lrs2m_builder.checks.form import CLIP_LONG, CLIP_SHORT, CUT_OFF, EMPTY, REPETITION, clip_budget, word_range
from lrs2m_builder.checks.summary import COPY, SUMMARY_COUNT, SUMMARY_OBJECT
from lrs2m_builder.checks.voice import HINT_LEAK, PREAMBLE, REFUSAL

# What every answer must be; those that find a loop come first, before patterns look for words in it.
WELL_FORMED = (EMPTY, CUT_OFF, REPETITION, REFUSAL, PREAMBLE, HINT_LEAK)

__all__ = [
    "ANCHOR_COUNT",
    "ANCHOR_MISSING",
    "CLIP_LONG",
    "CLIP_SHORT",
    "COPY",
    "CUT_OFF",
    "DIRECTION",
    "EMPTY",
    "HINT_LEAK",
    "PREAMBLE",
    "REFUSAL",
    "REPETITION",
    "SUMMARY_COUNT",
    "SUMMARY_OBJECT",
    "UNSUPPORTED_OBJECT",
    "WELL_FORMED",
    "Answer",
    "Check",
    "Level",
    "clip_budget",
    "override_levels",
    "parse_levels",
    "split_words",
    "word_range",
]
