"""Paradigm 4 with places: the prompt also says where the labelled objects are, by thirds of the image.

As `vector_anchored`, of which only the prompt of the long text differs; for labels with boxes or outlines.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lrs2m_builder import Manifest, Sample, load_recipe, places_in_words

ANCHORED = load_recipe("vector_anchored")
LONG, SHORT = ANCHORED.steps


def long_variables(sample: Sample, manifest: Manifest) -> Mapping[str, Any]:
    """What the prompt of the long text sees of a sample."""
    return {**LONG.variables(sample, manifest), "places": places_in_words(sample)}


RECIPE = replace(
    ANCHORED,
    name="vector_anchored_places",
    steps=(replace(LONG, prompt="vector_anchored_places.v1", variables=long_variables), SHORT),
)
