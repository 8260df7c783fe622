"""Laid objects on the disk: Arrow files with one batch per row of tiles, and an index of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lrs2m_builder.files import read_json
from lrs2m_builder.tile.scene import Scene

WORK, LABELS, INDEX = ".work", "labels", "index.json"  # below --out, while tiles are made
MAX_HELD = 24 * 2**20  # bytes of geometry before they are written out
POINT, LINE, AREA = 0, 1, 2  # dimensions of geometries
LAID = pa.schema(
    [
        ("class", pa.int32()),
        ("kind", pa.int8()),
        ("counted", pa.bool_()),
        ("area", pa.float64()),  # of the whole object, in square pixels
        *((name, pa.float64()) for name in ("x0", "y0", "x1", "y1")),  # bounds of the whole object, in pixels
        ("geometry", pa.binary()),  # in pixels of the scene, cut to the row of tiles
    ]
)
Place = tuple[str, int]
"""A batch of laid objects: the file's name and the batch's number."""


@dataclass
class LaidObjects:
    """The objects of all layers, by scene and row of tiles.

    Attributes:
        names: of the classes, by number.
        places: where the objects of a scene's row of tiles are.
        problems: numbers of objects that were mended or left out, by reason.
    """

    names: tuple[str, ...] = ()
    places: dict[str, dict[int, list[Place]]] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)

    def of(self, scene: Scene, row: int) -> list[Place]:
        """The batches with the objects of a row of tiles."""
        return self.places.get(scene.name, {}).get(row, [])


def load_laid(folder: Path) -> LaidObjects:
    """What an index says."""
    index = read_json(folder / INDEX)
    places = {
        scene: {int(row): [(name, number) for name, number in batches] for row, batches in rows.items()}
        for scene, rows in index["places"].items()
    }
    return LaidObjects(tuple(index["names"]), places, index["problems"])


def read_laid(folder: Path, places: Sequence[Place]) -> Iterator[pa.RecordBatch]:
    """The objects of a row of tiles, in the order of the layers."""
    for name, number in places:
        with pa.memory_map(str(folder / name)) as source, pa.ipc.open_file(source) as file:
            yield file.get_batch(number)


class LaidWriter:
    """Collects laid objects by scene and row, and writes them when there are many."""

    def __init__(self, folder: Path) -> None:
        self.places: dict[str, dict[int, list[Place]]] = {}
        self._folder = folder
        self._held: dict[tuple[str, int], list[list[Any]]] = defaultdict(list)
        self._size = self._files = 0

    def add(self, scene: str, row: int, columns: list[Any]) -> None:
        self._held[scene, row].append(columns)
        self._size += sum(map(len, columns[-1])) + 60 * len(columns[-1])
        if self._size > MAX_HELD:
            self.flush()

    def flush(self) -> None:
        if not self._held:
            return
        name = f"{self._files:04d}.arrow"
        with pa.OSFile(str(self._folder / name), "wb") as sink, pa.ipc.new_file(sink, LAID) as file:
            for number, (scene, row) in enumerate(sorted(self._held)):
                parts = zip(*self._held.pop((scene, row)), strict=True)
                arrays = [pa.array(np.concatenate(part), kind) for part, kind in zip(parts, LAID.types, strict=True)]
                file.write_batch(pa.record_batch(arrays, schema=LAID))
                self.places.setdefault(scene, {}).setdefault(row, []).append((name, number))
        self._size, self._files = 0, self._files + 1
