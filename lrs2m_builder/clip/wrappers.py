"""Finds the state dict of a CLIP inside a training framework's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrs2m_builder.errors import UserError

# Wrappers' names for the model to load; others, such as "teacher" and "ema", are another model's.
USUAL = {"state_dict", "model_state_dict", "model_state", "model", "net", "network", "module"}
USUAL |= {"_orig_mod", "clip", "clip_model"}
# Two weights by which each format is recognised: the first, and a second one beside it.
_MARKS = (
    ("text.positional_embedding", "visual.proj"),
    ("positional_embedding", "visual.proj"),
    ("positional_embedding", "visual.attnpool.positional_embedding"),
    ("text_model.embeddings.position_embedding.weight", "vision_model.embeddings.class_embedding"),
)
_DEEPEST = 6


def unwrap(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The CLIP's part of a checkpoint, with prefixes removed from its names; the whole checkpoint if none is found.

    Training frameworks nest state dicts ("state_dict", "model") and put a prefix before each name ("module.",
    "model.", "clip."); both are removed, in any order. Other content of the checkpoint is ignored.

    Raises:
        UserError: it holds several models, and the one to load is unclear.
    """
    names = dict(_flat(content))
    prefixes = {
        name.removesuffix(first)
        for first, second in _MARKS
        for name in names
        if (name == first or name.endswith(f".{first}")) and name.removesuffix(first) + second in names
    }
    # The tower of a CustomText model is not a separate model.
    prefixes = {prefix for prefix in prefixes if not (prefix.endswith("text.") and prefix[:-5] in prefixes)}
    usual = {prefix for prefix in prefixes if set(prefix.split(".")[:-1]) <= USUAL}
    chosen = sorted(usual or prefixes)
    if len(chosen) > 1:
        models = ", ".join(repr(prefix.rstrip(".") or "the top") for prefix in chosen[:4])
        raise UserError(f"{where}: holds several models ({models}); save the one to load in a separate file")
    if not chosen:
        return dict(content)
    return {name.removeprefix(chosen[0]): value for name, value in names.items() if name.startswith(chosen[0])}


def _flat(content: Mapping[Any, Any], before: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    """All entries by dotted names, without optimizers' states, whose names are numbers."""
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
