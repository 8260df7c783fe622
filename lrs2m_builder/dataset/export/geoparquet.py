"""GeoParquet 1.1: one row per image with its footprint, for geopandas, QGIS, DuckDB and others.

    DEST/records.parquet  all columns of a record and the scores; `image_path` for the image, or `image` if embedded
    DEST/images/...       the images, if copied

The file also loads in `datasets`. Rows without a place have no geometry.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.dataset.export._base import ImageChoice, ImageFiles, Options
from lrs2m_builder.dataset.export._geo import geoparquet, record_fields, record_values
from lrs2m_builder.errors import UserError

IMAGES: tuple[ImageChoice, ...] = ("reference", "embed", "copy")
WITH_SCORES = True


def write(rows: Iterator[dict[str, Any]], folder: Path, options: Options) -> None:
    """Write the rows as a stream (see `ExportFormat.write`).

    Raises:
        UserError: no row has a place, so that no reader of GeoParquet would open the file.
    """
    images, num_placed = ImageFiles(folder, options), 0

    def values() -> Iterator[dict[str, Any]]:
        nonlocal num_placed
        for row in rows:
            num_placed += row.get("geometry") is not None
            yield record_values(row, images, options)

    with geoparquet(folder / "records.parquet", record_fields(options)) as file:
        file.add_all(values())
        file.finish({})
    if not num_placed:
        raise UserError("--to geoparquet: no row has a place on Earth; docs/place.md says where one is read from")
