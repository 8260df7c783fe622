"""The manifest that makes a folder of tiles a source: `lrs2m build --source TILES/manifest.yaml`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lrs2m_builder.files import finished_file

if TYPE_CHECKING:
    from lrs2m_builder.tile.options import TileOptions

_UNUSUAL = re.compile(r"[^a-z0-9_-]+")


def write_manifest(path: Path, options: TileOptions) -> None:
    """Write it unless it is there: its owner may have added the licence."""
    if path.exists():
        return
    name = _UNUSUAL.sub("-", options.out.resolve().name.lower()).strip("-_") or "tiles"
    facts: dict[str, Any] = {
        "name": name,
        "title": f"Tiles of {options.size} pixels, cut by lrs2m tile",
        "format": "tiles",
        "files": {"annotations": ["tiles.parquet"]},
        "license": "unknown: write the licence of the scenes and layers here",
        "redistribute": "nothing",
        "homepage": "",
        "citation": "",
        "get": "Give the folder of tiles.parquet and images/ as --data-dir.",
        "texts_from": "labels",
    }
    with finished_file(path) as part:
        part.write_text(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True), encoding="utf-8")
