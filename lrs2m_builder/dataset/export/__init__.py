"""Export formats: one file per format; the folder is the registry."""

from __future__ import annotations

import importlib
from typing import cast

from lrs2m_builder.dataset.export._base import ExportFormat
from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.files import member_names


def formats() -> list[str]:
    """Names of the formats: the modules of this folder."""
    return member_names(__path__)


def load_format(name: str) -> ExportFormat:
    """The module of a format.

    Raises:
        UserError: no such format.
    """
    if name not in formats():
        raise UserError(f"--to {name}: no such format{not_among(name, formats())}")
    return cast(ExportFormat, importlib.import_module(f"{__name__}.{name}"))
