"""Finds the state dict of a CLIP inside what a training framework saved around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrs2m_builder.errors import UserError

# Names that wrappers give the model that one wants; others, such as "teacher" and "ema", are another model's.
USUAL = frozenset(
    (
        "state_dict",
        "model_state_dict",
        "model_state",
        "model",
        "net",
        "network",
        "module",
        "_orig_mod",
        "clip",
        "clip_model",
    )
)
# Of each format, two weights that show it: the first and a second that lies beside it.
_MARKS = (
    ("text.positional_embedding", "visual.proj"),
    ("positional_embedding", "visual.proj"),
    ("positional_embedding", "visual.attnpool.positional_embedding"),
    ("text_model.embeddings.position_embedding.weight", "vision_model.embeddings.class_embedding"),
)
_DEEPEST = 6


def unwrap(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The CLIP's own part of a checkpoint, without what stands before its names; all of it if none is found.

    Training frameworks nest state dicts ("state_dict", "model") and put a prefix before each name ("module.",
    "model.", "clip."); both are taken off, in any order. What else a checkpoint holds is left out.

    Raises:
        UserError: it holds several models, and which is meant does not show.
    """
    names = dict(_flat(content))
    prefixes = {
        name.removesuffix(first)
        for first, second in _MARKS
        for name in names
        if (name == first or name.endswith(f".{first}")) and name.removesuffix(first) + second in names
    }
    # The tower of a CustomText model is no model of its own.
    prefixes = {prefix for prefix in prefixes if not (prefix.endswith("text.") and prefix[:-5] in prefixes)}
    usual = {prefix for prefix in prefixes if set(prefix.split(".")[:-1]) <= USUAL}
    chosen = sorted(usual or prefixes)
    if len(chosen) > 1:
        found = ", ".join(repr(prefix.rstrip(".") or "the top") for prefix in chosen[:4])
        raise UserError(f"{where}: holds several models ({found}); save the one to load in a file of its own")
    if not chosen:
        return dict(content)
    return {name.removeprefix(chosen[0]): value for name, value in names.items() if name.startswith(chosen[0])}


def _flat(content: Mapping[Any, Any], before: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    """All entries by dotted names; optimizers' states, which have numbers for names, are left out."""
    entries: list[tuple[str, Any]] = []
    for name, value in content.items():
        if not isinstance(name, str):
            continue
        if isinstance(value, Mapping):
            if depth < _DEEPEST:
                entries += _flat(value, f"{before}{name}.", depth + 1)
        else:
            entries.append((before + name, value))
    return entries
