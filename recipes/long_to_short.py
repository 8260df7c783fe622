"""Paradigm 2 of the paper: a text-only model summarises the published long text. No image is sent or decoded.

The paper asks for 20 words or less and does not check it: its short texts of this kind average 32 to 39 tokens
(Table I). Here an answer of more than 20 words is asked for again.
"""

from collections.abc import Mapping
from typing import Any

from lrs2m_builder import Manifest, Recipe, Sample, Step
from lrs2m_builder.checks import CLIP_SHORT, FAITHFUL_SUMMARY, GROUNDED, PUBLISHED, WELL_FORMED, clip_budget, word_range

MAX_WORDS = 20


def variables(sample: Sample, manifest: Manifest) -> Mapping[str, Any]:
    """What the prompt sees of a sample, beside its long text."""
    return {"max_words": MAX_WORDS}


RECIPE = Recipe(
    name="long_to_short",
    version=1,
    reads=("caption_long",),
    given=("caption_long",),
    steps=(
        Step(
            prompt="long_to_short.v1",
            role="llm",
            writes="caption_short",
            variables=variables,
            checks=(
                *WELL_FORMED,
                *GROUNDED,
                *FAITHFUL_SUMMARY,
                word_range(4, MAX_WORDS),
                clip_budget(CLIP_SHORT),
            ),
            sampling={"temperature": 0.3, "top_p": 0.9, "max_tokens": 80},
        ),
    ),
    given_checks={"caption_long": PUBLISHED},
)
