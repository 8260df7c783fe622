"""Reads label files as text and JSON; a broken file is one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError


def load_text(path: Path) -> str:
    """The text of a UTF-8 file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: not UTF-8 text") from error


def load_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return json.loads(load_text(path))
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from error
    except ValueError as error:  # a number with thousands of digits
        raise UserError(f"{path}: unreadable JSON: {error}") from error
