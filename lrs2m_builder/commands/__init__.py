"""The commands, a file each: an option of a command is a keyword of the function that does the work."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lrs2m_builder.text import printable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]


def print_json(result: Any) -> None:
    """Print one JSON object on standard output."""
    print(printable(json.dumps(result, ensure_ascii=False)))


def pairs(mapping: dict[str, Any]) -> str:
    """A mapping in one line: "error 3, warn 2"."""
    return ", ".join(f"{key} {value}" for key, value in mapping.items())
