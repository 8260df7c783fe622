"""Engines: one file each, imported only when it is used, because what they need is heavy."""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from lrs2m_builder.engines.base import EngineModule
from lrs2m_builder.errors import UserError, not_among

_NOT_ENGINES = {"base", "chat", "decoding", "model_files", "parameters", "pool", "reaper", "sampling", "thoughts"}
_NOT_ENGINES |= {"endpoint_answers", "endpoint_errors", "endpoint_gate", "endpoint_models", "endpoint_sampling"}
_NOT_ENGINES |= {"endpoint_session", "endpoint_wire"}
_NOT_ENGINES |= {"options", "templates"}


def engine_names() -> list[str]:
    """Names of the engines: the modules of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_ENGINES)


def engine_module(name: str) -> EngineModule:
    """The module of an engine.

    Raises:
        UserError: there is none of that name.
    """
    if name not in engine_names():
        raise UserError(f"no engine {name!r}{not_among(name, engine_names())}")
    return cast(EngineModule, importlib.import_module(f"{__name__}.{name}"))
