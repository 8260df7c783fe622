"""One row of tiles of a scene: pixels, places and anchors, written as images and committed by one small table."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lrs2m_builder.files import disk_errors
from lrs2m_builder.images.geo_key import SIDES
from lrs2m_builder.images.place import Window, crs_name, footprints
from lrs2m_builder.schema import Anchor
from lrs2m_builder.tile.laid import LABELS, WORK, Place, read_laid
from lrs2m_builder.tile.options import FORMATS, TileOptions
from lrs2m_builder.tile.reading import read_row
from lrs2m_builder.tile.scene import Scene, opened
from lrs2m_builder.tile.stretching import Converter, Stretch
from lrs2m_builder.tile.table import tile_row, write_rows

_SAVED_AS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 90},
    "png": {"format": "PNG", "compress_level": 1},
    "webp": {"format": "WEBP", "lossless": True, "quality": 0, "method": 0},
}


@dataclass(frozen=True, slots=True)
class SceneTask:
    """All that a worker needs for the rows of a scene.

    Attributes:
        taken: when and by which satellite or aircraft, where the file says so.
        names: of the classes of the labels, by number; None without labels.
    """

    scene: Scene
    stretch: Stretch
    taken: tuple[datetime | None, str | None]
    options: TileOptions
    names: tuple[str, ...] | None = None

    def part(self, row: int) -> Path:
        """The table of a finished row of tiles."""
        return self.options.out / WORK / "rows" / self.scene.name / f"{row:06d}.parquet"


def make_row(task: SceneTask, row: int, laid: Sequence[Place] = ()) -> None:
    """Cut and write the tiles of a row; its table, written last, says that they are finished.

    Args:
        laid: where the labelled objects of the row are.

    Raises:
        UserError: the scene cannot be read or the disk fails.
    """
    scene, options = task.scene, task.options
    folder = options.out / "images" / scene.name
    converter = _converter(task)
    rows: list[dict[str, Any]] = []
    windows = [(column, row, options.size, options.size) for column in scene.column_offsets(options)]
    anchors = _anchors(task, row, laid)
    with opened(scene.path, warped=scene.is_warped) as raster, disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        places = _places(scene, raster.crs, windows)
        tiles = read_row(raster, scene, row, converter, options)
        for tile, place, known in zip(tiles, places, anchors, strict=True):
            if tile.valid_share < options.min_valid:
                continue
            name = f"{scene.name}_{tile.column:06d}_{row:06d}{FORMATS[options.format]}"
            _write(folder / name, _encoded(tile.pixels, options.format))
            image = f"images/{scene.name}/{name}"
            rows.append(tile_row(image, scene.name, (tile.column, row), place, tile.valid_share, known, task.taken))
        _sync([options.out / entry["image"] for entry in rows])
    skipped = {"no_data": len(windows) - len(rows)} if len(rows) < len(windows) else {}
    write_rows(task.part(row), rows, skipped)


_last: tuple[SceneTask, Converter] | None = None  # the tables of a worker's last scene


def _converter(task: SceneTask) -> Converter:
    global _last
    if _last is None or _last[0] != task:
        _last = task, Converter(task.scene, task.stretch)
    return _last[1]


def _anchors(task: SceneTask, row: int, laid: Sequence[Place]) -> Sequence[tuple[Anchor, ...] | None]:
    """The anchors of every tile of a row; None without labels."""
    columns = task.scene.column_offsets(task.options)
    if task.names is None:
        return [None] * len(columns)
    from lrs2m_builder.tile.counting import anchors_of_row

    batches = read_laid(task.options.out / WORK / LABELS, laid)
    return anchors_of_row(batches, task.names, row, columns, task.options.size, task.options.min_inside)


def _places(scene: Scene, crs: Any, windows: Sequence[Window]) -> list[dict[str, Any]]:
    """The columns of each tile's place; empty where the scene has none."""
    if scene.transform is None:
        return [{}] * len(windows)
    own = [{"transform": _shifted(scene.transform, window)} for window in windows]
    if not scene.crs:
        return own
    name = crs_name(crs)
    found = footprints(scene.transform, crs, windows)
    return [
        {**columns, "crs": name, **({} if place is None else _columns(place))}
        for columns, place in zip(own, found, strict=True)
    ]


def _columns(place: Any) -> dict[str, Any]:
    box = dict(zip(SIDES, place.bbox, strict=True))
    own = {name: getattr(place, name) for name in ("lon", "lat", "gsd", "grid_cell", "geometry")}
    return {**own, "bbox": box}


def _shifted(transform: Sequence[float], window: Window) -> list[float]:
    """The transform of a window's own pixels."""
    a, b, c, d, e, f = transform
    return [a, b, c + a * window[0] + b * window[1], d, e, f + d * window[0] + e * window[1]]


def _encoded(pixels: np.ndarray, format_: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    image.save(buffer, **_SAVED_AS[format_])
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Write an image under a temporary name and rename it, so that its name means all of its bytes."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _sync(paths: Sequence[Path]) -> None:
    """Bring the images to the disk before their table says that they are there.

    Eight at a time: they share the file system's commits, and one after the other each would wait for its own.
    """
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_sync_file, paths))


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
