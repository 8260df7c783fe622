"""A folder as a registry: its members are the modules whose names do not begin with an underscore."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable


def member_names(path: Iterable[str]) -> list[str]:
    """Names of the members of a package, sorted; `path` is its `__path__`."""
    return sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))
