"""Export formats: one file a format; the folder is the registry."""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from lrs2m_builder.dataset.export._base import ExportFormat
from lrs2m_builder.errors import UserError, not_among


def formats() -> list[str]:
    """Names of the formats: the modules of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def load_format(name: str) -> ExportFormat:
    """The module of a format.

    Raises:
        UserError: there is none of that name.
    """
    if name not in formats():
        raise UserError(f"--to {name}: no such format{not_among(name, formats())}")
    return cast(ExportFormat, importlib.import_module(f"{__name__}.{name}"))
