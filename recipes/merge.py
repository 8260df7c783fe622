"""Paradigm 1 of the paper: published long and short texts of the same image are joined. No model is asked."""

from lrs2m_builder import Recipe
from lrs2m_builder.checks import CLIP_LONG, CLIP_SHORT, PUBLISHED, clip_budget

RECIPE = Recipe(
    name="merge",
    version=1,
    reads=("caption_long", "captions"),
    given=("caption_short", "caption_long"),
    steps=(),
    given_checks={
        "caption_long": (*PUBLISHED, clip_budget(CLIP_LONG, "warn")),
        "caption_short": (*PUBLISHED, clip_budget(CLIP_SHORT, "warn")),
    },
)
