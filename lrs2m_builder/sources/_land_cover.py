"""The land-cover classes of BigEarthNet, and how to split a list of them: some names contain commas."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

_CLASSES = yaml.safe_load(Path(__file__).with_name("land_cover.yaml").read_text(encoding="utf-8"))
NAMES = frozenset(name.lower() for names in _CLASSES.values() for name in names)

_KNOWN = "|".join(re.escape(name) for name in sorted(NAMES, key=len, reverse=True))
_ITEM = re.compile(rf"\s*((?:{_KNOWN})(?=\s*(?:,|$))|[^,]+)")


def split_classes(text: str) -> tuple[str, ...]:
    """The distinct names of a comma-separated list, in lower case; an unknown name ends at the next comma."""
    return tuple(dict.fromkeys(name for item in _ITEM.findall(text.lower()) if (name := item.strip())))
