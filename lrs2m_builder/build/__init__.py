"""Builds a data set from a manifest; scripts import `BuildOptions`, `build` and `Report`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrs2m_builder.build.options import BuildOptions
    from lrs2m_builder.build.report import Report
    from lrs2m_builder.build.run import build

_MODULE_OF = {"BuildOptions": "options", "Report": "report", "build": "run"}

__all__ = ["BuildOptions", "Report", "build"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
