"""Engines: one file each, imported only when it is used, because what they need is heavy."""

from __future__ import annotations

import importlib
from typing import cast

from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.files import member_names


def engine_names() -> list[str]:
    """Names of the engines: the modules of this folder, with hyphens."""
    return [name.replace("_", "-") for name in member_names(__path__)]


def engine_module(name: str) -> EngineModule:
    """The module of an engine.

    Raises:
        UserError: there is none of that name.
    """
    if name not in engine_names():
        raise UserError(f"no engine {name!r}{not_among(name, engine_names())}")
    return cast(EngineModule, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def trial_module(module: EngineModule) -> EngineModule:
    """The engine that tries a few samples in place of another: one that answers at once."""
    return cast(EngineModule, getattr(module, "TRIAL", module))


def price_share(module: EngineModule) -> float:
    """What share of an endpoint's prices an engine pays."""
    return float(getattr(module, "PRICE_SHARE", 1.0))
