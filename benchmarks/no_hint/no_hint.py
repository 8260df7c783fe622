"""short_to_long without its hint, so that the two can be compared; a text is checked as there."""

from dataclasses import replace

from lrs2m_builder.declared.recipe import load_recipe

_WITH_HINT = load_recipe("short_to_long")
RECIPE = replace(
    _WITH_HINT, name="no_hint", steps=tuple(replace(step, prompt="no_hint.v1") for step in _WITH_HINT.steps)
)
