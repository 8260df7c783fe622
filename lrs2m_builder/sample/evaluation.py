"""Drawn scenes as data for the four evaluations: captions, class folders, and mosaics with regions."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lrs2m_builder.sample.drawing.scene import Scene
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.words import ALSO_CALLED, article

CELLS = 4  # scenes along the side of a mosaic
CELL = 448  # pixels of a scene in a mosaic: the protocol's windows (256, 512, 768) cover a part, one and a few of them
MAX_MOSAICS = 6
MAX_PLACES = 2  # maximum number of scenes of a mosaic with a query's class
MAX_QUERIES = 4  # per mosaic
MIN_SIDE = 64  # pixels of a region; smaller ones are less than a quarter of the smallest window

Outline = tuple[tuple[float, float], ...]


def write_mosaics(folder: Path, scenes: Sequence[Scene]) -> list[dict[str, Any]]:
    """Write mosaics of CELLS x CELLS scenes and `anno.json`, queries in AIR-SLT's form; returns the queries.

    A query asks for a class of objects that is in few scenes of its mosaic; its regions are the boxes around the
    objects of the class in each of these. Scenes that do not fill a mosaic are omitted.
    """
    folder.mkdir()
    cells = min(CELLS, math.isqrt(len(scenes)))
    queries: list[dict[str, Any]] = []
    for number in range(min(MAX_MOSAICS, len(scenes) // cells**2)):
        name = f"{number}.png"
        chosen = scenes[number * cells**2 : (number + 1) * cells**2]
        _paste(chosen, cells).save(folder / name, compress_level=1)
        for class_name, regions in _wanted(chosen, cells):
            queries.append({"caption": _caption(class_name), "jpg_name": name, "points": regions})
    (folder / "anno.json").write_text(json.dumps(queries, indent=1), encoding="utf-8")
    return queries


def _paste(scenes: Sequence[Scene], cells: int) -> Image.Image:
    mosaic = Image.new("RGB", (cells * CELL, cells * CELL))
    for place, scene in enumerate(scenes):
        mosaic.paste(scene.image.resize((CELL, CELL)), (place % cells * CELL, place // cells * CELL))
    return mosaic


def _wanted(scenes: Sequence[Scene], cells: int) -> list[tuple[str, list[Outline]]]:
    """The rarest classes of a mosaic with their regions, in pixels of the mosaic."""
    places: dict[str, list[Outline]] = {}
    for place, scene in enumerate(scenes):
        for class_name in scene.counts:
            places.setdefault(class_name, []).append(_region(scene, class_name, place % cells, place // cells))
    rare = {
        name: regions for name, regions in places.items() if len(regions) <= MAX_PLACES and all(map(_large, regions))
    }
    return sorted(rare.items(), key=lambda item: (len(item[1]), item[0]))[:MAX_QUERIES]


def _region(scene: Scene, class_name: str, column: int, row: int) -> Outline:
    """The box around all objects of a class, in the pixels of a mosaic."""
    boxes = [thing.box for thing in scene.of(class_name)]
    scale = CELL / SIDE
    left, right = min(box[0] for box in boxes) * scale, max(box[2] for box in boxes) * scale
    top, bottom = min(box[1] for box in boxes) * scale, max(box[3] for box in boxes) * scale
    x, y = column * CELL, row * CELL
    return (left + x, top + y), (right + x, top + y), (right + x, bottom + y), (left + x, bottom + y)


def _large(region: Outline) -> bool:
    (left, top), _, (right, bottom), _ = region
    return min(right - left, bottom - top) >= MIN_SIDE


def _caption(class_name: str) -> str:
    """A query in AIR-SLT's wording: "there is a pond." """
    return f"there is {article(ALSO_CALLED.get(class_name, (class_name,))[0])}."
