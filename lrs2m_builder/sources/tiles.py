"""Tiles of large rasters (`lrs2m tile`): `tiles.parquet`, a row per tile with its anchors and its place on Earth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.schema import Anchor, Place
from lrs2m_builder.sources._base import SourceRow

_PLACE = ("lon", "lat", "geometry", "crs", "gsd", "datetime", "platform", "split", "grid_cell")
_BATCH = 1024


def read(path: Path) -> Iterator[SourceRow]:
    """Yield one row per tile, in the order of the table; image paths are relative to its folder.

    Raises:
        UserError: it is not a table of tiles.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(_BATCH, columns=["image", "bbox", "anchors", *_PLACE]):
                for row in batch.to_pylist():
                    yield _row(path, row)
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a table of tiles: {one_line(error)}; was it made by lrs2m tile?") from error


def _row(path: Path, row: dict[str, Any]) -> SourceRow:
    name = row["image"]
    box = row["bbox"]
    bounds = None if box is None else (box["xmin"], box["ymin"], box["xmax"], box["ymax"])
    return SourceRow(
        name,
        image=path.parent / name,
        split=row["split"] or "",
        anchors=tuple(map(_anchor, row["anchors"] or ())),
        place=Place(**{column: row[column] for column in _PLACE}, bbox=bounds),
    )


def _anchor(anchor: dict[str, Any]) -> Anchor:
    boxes = tuple((box[0], box[1], box[2], box[3]) for box in anchor["boxes"] or ())
    return Anchor(anchor["name"], anchor["count"], boxes)
