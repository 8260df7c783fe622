"""What differs between the settings of an earlier run and those of this one, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def differences(earlier: Any, now: Any, where: str = "") -> Iterator[str]:
    """Yield a phrase for each difference between two settings."""
    if isinstance(earlier, Mapping) and isinstance(now, Mapping):
        for key in sorted(earlier.keys() | now.keys()):
            yield from differences(earlier.get(key), now.get(key), f"{where}.{key}" if where else str(key))
    elif isinstance(earlier, list) and isinstance(now, list) and len(earlier) == len(now):
        for number, (one, other) in enumerate(zip(earlier, now, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif earlier != now:
        yield f"{where} was {_shown(earlier)}, now {_shown(now)}"


def _shown(value: Any) -> str:
    text = "unset" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
