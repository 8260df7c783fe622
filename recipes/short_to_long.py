"""Paradigm 3 of the paper: a multimodal model sees the image and the short text, and writes the long one.

The short text is a hint that decides what the scene is: without it, a model takes a desert for a marble floor
(paper, section III and Figure 5).
"""

from collections.abc import Mapping
from typing import Any

from lrs2m_builder import Manifest, Recipe, Sample, Step
from lrs2m_builder.checks import (
    CLIP_LONG,
    FAITHFUL,
    GROUNDED,
    HINT_MISSING,
    PUBLISHED,
    WELL_FORMED,
    clip_budget,
    word_range,
)

MIN_WORDS, MAX_WORDS = 60, 160  # the paper's long texts of this kind average 171 to 207 CLIP tokens


def variables(sample: Sample, manifest: Manifest) -> Mapping[str, Any]:
    """What the prompt sees of a sample."""
    return {
        "hints": sample.captions,
        "label": sample.label if manifest.hint_label else "",
        "view": manifest.view,
        "min_words": MIN_WORDS,
        "max_words": MAX_WORDS,
    }


RECIPE = Recipe(
    name="short_to_long",
    version=1,
    reads=("captions",),
    given=("caption_short",),
    steps=(
        Step(
            prompt="short_to_long.v1",
            role="mllm",
            writes="caption_long",
            variables=variables,
            # A little slack on both sides of what was asked for: a text of 165 good words is no failure.
            checks=(
                *WELL_FORMED,
                *GROUNDED,
                *FAITHFUL,
                word_range(MIN_WORDS - 20, MAX_WORDS + 20),
                clip_budget(CLIP_LONG),
                HINT_MISSING,
            ),
            sampling={"temperature": 0.7, "top_p": 0.9, "max_tokens": 400},
        ),
    ),
    given_checks={"caption_short": PUBLISHED},
)
