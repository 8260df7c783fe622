"""lrs2m-builder: make, check and use remote-sensing image data with a short and a long text each.

Your own recipes, sources, engines and scripts may import the names below, `lrs2m_builder.checks`,
`lrs2m_builder.build` and `lrs2m_builder.engines` (docs/extending.md). They are imported when first used, so that
`import lrs2m_builder` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lrs2m_builder.checks.base import Answer, Check, Level
    from lrs2m_builder.declared.anchor_words import places_in_words
    from lrs2m_builder.declared.manifest import Manifest, load_manifest
    from lrs2m_builder.declared.recipe import Recipe, Step, load_recipe
    from lrs2m_builder.engines._base import Engine
    from lrs2m_builder.errors import SampleError, UserError
    from lrs2m_builder.exchange import Completion, Request
    from lrs2m_builder.schema import Anchor, Place, Record, Rejection, Sample
    from lrs2m_builder.sources._base import SourceRow

_MODULES = {
    "checks.base": ("Answer", "Check", "Level"),
    "engines._base": ("Engine",),
    "errors": ("SampleError", "UserError"),
    "declared.anchor_words": ("places_in_words",),
    "declared.manifest": ("Manifest", "load_manifest"),
    "declared.recipe": ("Recipe", "Step", "load_recipe"),
    "exchange": ("Completion", "Request"),
    "schema": ("Anchor", "Place", "Record", "Rejection", "Sample"),
    "sources._base": ("SourceRow",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Anchor",
    "Answer",
    "Check",
    "Completion",
    "Engine",
    "Level",
    "Manifest",
    "Place",
    "Recipe",
    "Record",
    "Rejection",
    "Request",
    "Sample",
    "SampleError",
    "SourceRow",
    "Step",
    "UserError",
    "load_manifest",
    "load_recipe",
    "places_in_words",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
