"""Finds recipes, prompts, manifests and settings files: shipped ones by name, the user's own by path."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lrs2m_builder.errors import UserError, not_among

ShippedFolder = Literal["recipes", "prompts", "manifests", "builds"]
SUFFIX: dict[ShippedFolder, str] = {"recipes": ".py", "prompts": ".jinja", "manifests": ".yaml", "builds": ".yaml"}
_SINGULAR: dict[ShippedFolder, str] = {
    "recipes": "recipe", "prompts": "prompt", "manifests": "manifest", "builds": "settings file",
}  # fmt: skip


def shipped_dir(kind: ShippedFolder) -> Path:
    """The folder of shipped files of a kind: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "shipped" / kind
    return installed if installed.is_dir() else package.parent / kind


def shipped_names(kind: ShippedFolder) -> list[str]:
    """Names of the shipped files of a kind, sorted."""
    return sorted(path.stem for path in shipped_dir(kind).glob(f"*{SUFFIX[kind]}"))


def find(kind: ShippedFolder, name: str, beside: Path | None = None) -> Path:
    """The file of a shipped name or of a path to the user's own file.

    Args:
        beside: a folder searched first, for a prompt in the folder of the user's own recipe.

    Raises:
        UserError: no such file; the message lists the known names.
    """
    suffix = SUFFIX[kind]
    is_path = "/" in name or name.endswith(suffix)
    candidates = [Path(name)] if is_path else [shipped_dir(kind) / f"{name}{suffix}"]
    if beside is not None:
        candidates = [beside / name, beside / f"{name}{suffix}", *candidates]
    for path in candidates:
        if path.is_file():
            return path
    looked = "" if not is_path else f" (looked at {Path(name).absolute()})"
    raise UserError(f"no {_SINGULAR[kind]} {name!r}{looked}{not_among(name, shipped_names(kind))}")
