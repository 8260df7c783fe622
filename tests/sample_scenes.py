"""Scenes of the sample world, drawn once for all tests of a process."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.sample.texts import SceneTexts, write_texts

NUM_SCENES = 120


@cache
def world() -> tuple[tuple[Scene, SceneTexts, NDArray[np.int32]], ...]:
    """Scenes with their texts and the object that each pixel shows."""
    scenes = [draw_scene(2, index) for index in range(NUM_SCENES)]
    return tuple((scene, write_texts(scene), scene.mask) for scene in scenes)
