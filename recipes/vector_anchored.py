"""Paradigm 4 of the paper: captions from vector labels alone.

The object classes and their counts are the anchors of the long text, which a multimodal model writes from the image;
then a text-only model makes the short text from the long one. The two run one after the other over all samples.
"""

from collections.abc import Mapping
from typing import Any

from lrs2m_builder import Manifest, Recipe, Sample, Step
from lrs2m_builder.checks import (
    ANCHOR_EXTRA,
    ANCHOR_MISSING,
    ANCHOR_PLACE,
    CLIP_LONG,
    CLIP_SHORT,
    FAITHFUL,
    FAITHFUL_SUMMARY,
    GROUNDED,
    WELL_FORMED,
    clip_budget,
    word_range,
)

MIN_WORDS, MAX_WORDS = 60, 160
SHORT_WORDS = 20


def long_variables(sample: Sample, manifest: Manifest) -> Mapping[str, Any]:
    """What the prompt of the long text sees of a sample."""
    return {
        "anchors": sample.anchors,
        "view": manifest.view,
        "min_words": MIN_WORDS,
        "max_words": MAX_WORDS,
    }


def short_variables(sample: Sample, manifest: Manifest) -> Mapping[str, Any]:
    """What the prompt of the short text sees, beside the long one."""
    return {"max_words": SHORT_WORDS}


RECIPE = Recipe(
    name="vector_anchored",
    version=1,
    reads=("anchors",),
    given=(),
    steps=(
        Step(
            prompt="vector_anchored.v1",
            role="mllm",
            writes="caption_long",
            variables=long_variables,
            checks=(
                *WELL_FORMED,
                *GROUNDED,
                ANCHOR_MISSING,
                ANCHOR_EXTRA,
                ANCHOR_PLACE,
                *FAITHFUL,
                word_range(MIN_WORDS - 20, MAX_WORDS + 20),
                clip_budget(CLIP_LONG),
            ),
            sampling={"temperature": 0.7, "top_p": 0.9, "max_tokens": 400},
        ),
        Step(
            prompt="long_to_short.v1",
            role="llm",
            writes="caption_short",
            variables=short_variables,
            checks=(
                *WELL_FORMED,
                *GROUNDED,
                *FAITHFUL_SUMMARY,
                word_range(4, SHORT_WORDS),
                clip_budget(CLIP_SHORT),
            ),
            sampling={"temperature": 0.3, "top_p": 0.9, "max_tokens": 80},
        ),
    ),
)
