"""The published models that have a short name; reading the list needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

MODELS_PATH = Path(__file__).with_name("models.yaml")


@dataclass(frozen=True, slots=True)
class Baseline:
    """A published model.

    Attributes:
        id: its name for `clip.model.load`.
        model, size: its name and its image tower, as the paper writes them.
        context: tokens of text that it reads.
    """

    id: str
    model: str
    size: str
    context: int


@cache
def baselines() -> Mapping[str, Baseline]:
    """Every baseline by its short name."""
    content = yaml.safe_load(MODELS_PATH.read_text(encoding="utf-8"))
    return {name: Baseline(**facts) for name, facts in content.items()}
