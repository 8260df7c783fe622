"""Paradigm 1 of the paper: published long and short texts of the same image are joined. No model is asked."""

from lrs2m_builder.recipe import Recipe

RECIPE = Recipe(
    name="merge",
    version=1,
    reads=("caption_long", "captions"),
    given=("caption_short", "caption_long"),
    steps=(),
)
