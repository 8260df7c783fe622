"""Shared by the geospatial exports: rows as GeoParquet, with their scores, and the image by its path or inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.build.shards import BYTES_PER_GROUP, ROWS_PER_GROUP, ROWS_PER_GROUP_OF_TEXT
from lrs2m_builder.build.stored_rows import RECORD_SCHEMA, with_features
from lrs2m_builder.dataset.export._base import OTHER_TEXT, ImageFiles, Options, image_bytes
from lrs2m_builder.images.geo_key import GeoKey

IMAGE = RECORD_SCHEMA.field("image")


def record_fields(options: Options) -> list[pa.Field]:
    """The columns of a record that an export keeps, the image's path in place of the image, and the scores."""
    left_out = {"image", OTHER_TEXT.get(options.text)}
    kept = [field for field in RECORD_SCHEMA if field.name not in left_out]
    image = [pa.field("image_path", pa.string()), *([IMAGE] if options.images == "embed" else [])]
    return [*kept[:2], *image, *kept[2:], *(pa.field(name, kind) for name, kind in options.scores.items())]


def record_values(row: Mapping[str, Any], images: ImageFiles, options: Options) -> dict[str, Any]:
    """A row as the values of `record_fields`."""
    path = images.place(row)
    inside = {"bytes": image_bytes(row), "path": path} if options.images == "embed" else None
    return {**row, "image_path": path, "image": inside}


class GeoParquetFile:
    """One file of GeoParquet 1.1, written a row group at a time."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer, self._schema = writer, schema
        self._geo = GeoKey()

    def add_all(self, rows: Iterator[dict[str, Any]]) -> None:
        """Write all rows."""
        for group in _groups(rows):
            batch = pa.RecordBatch.from_pylist(group, schema=self._schema)
            self._geo.add(batch)
            self._writer.write_batch(batch, row_group_size=len(batch))

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Add keys to the footer."""
        self._writer.add_key_value_metadata({**metadata, **self._geo.metadata()})


@contextmanager
def geoparquet(path: Path, fields: Sequence[pa.Field]) -> Iterator[GeoParquetFile]:
    """Open a file to be written."""
    schema = with_features(pa.schema(fields))
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_index=True) as writer:
        yield GeoParquetFile(writer, schema)


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in groups for random access: a hundred with images, more without."""
    group: list[dict[str, Any]] = []
    size = num_images = 0
    for row in rows:
        group.append(row)
        data = (row.get("image") or {}).get("bytes") or b""
        size, num_images = size + len(data), num_images + bool(data)
        if num_images == ROWS_PER_GROUP or len(group) == ROWS_PER_GROUP_OF_TEXT or size > BYTES_PER_GROUP:
            yield group
            group, size, num_images = [], 0, 0
    if group:
        yield group
