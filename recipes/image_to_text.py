"""Both texts from the image alone, with its class as a hint if it has one: for images without any text.

A multimodal model writes the long text; then a text-only model makes the short text from the long one, as in
`long_to_short`. The paper's paradigms all start from a text or from vector labels: a hint keeps a model from taking a
desert for a marble floor, so give classes if you have them. Short texts of an image, if there are any, are hints too:
the checks hold the answer against them.
"""

from collections.abc import Mapping
from typing import Any

from lrs2m_builder import Manifest, Recipe, Sample, Step
from lrs2m_builder.checks import (
    CLIP_LONG,
    CLIP_SHORT,
    FAITHFUL,
    FAITHFUL_SUMMARY,
    GROUNDED,
    HINT_MISSING,
    WELL_FORMED,
    clip_budget,
    word_range,
)

MIN_WORDS, MAX_WORDS = 60, 160
SHORT_WORDS = 20


def long_variables(sample: Sample, manifest: Manifest) -> Mapping[str, Any]:
    """What the prompt of the long text sees of a sample."""
    return {
        "label": sample.label,
        "hints": sample.captions,
        "view": manifest.view,
        "min_words": MIN_WORDS,
        "max_words": MAX_WORDS,
    }


def short_variables(sample: Sample, manifest: Manifest) -> Mapping[str, Any]:
    """What the prompt of the short text sees, beside the long one."""
    return {"max_words": SHORT_WORDS}


RECIPE = Recipe(
    name="image_to_text",
    version=1,
    reads=(),
    given=(),
    steps=(
        Step(
            prompt="image_to_text.v1",
            role="mllm",
            writes="caption_long",
            variables=long_variables,
            checks=(
                *WELL_FORMED,
                *GROUNDED,
                HINT_MISSING,
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
