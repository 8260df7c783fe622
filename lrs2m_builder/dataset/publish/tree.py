"""The files of a published data set, in the layout of `load_dataset(repo, subset)` and the Hub's viewer.

    data/<subset>/train-00000-of-00002.parquet

The Hub advises shards of at most 500 MB, and its viewer reads one row group at a time: a hundred rows, as in a build.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lrs2m_builder.build.shards import BYTES_PER_GROUP, ROWS_PER_GROUP
from lrs2m_builder.build.stored_rows import RECORD_SCHEMA, with_features
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.selection import Selection, read_batches
from lrs2m_builder.images.geo_key import GeoKey

MAX_SHARD_BYTES = 500 * 10**6
FOOTER_BYTES = 600  # that a column of a row group takes in the footer and the page index: 424 were seen
# A local model is published by its folder's name: its path is private.
_NAMES_A_MODEL = {"model", "short_source", "long_source"}
_FOLDER = r"^(?:/|~|[A-Za-z]:[/\\]).*?([^/\\]+)[/\\]*$"


@dataclass(frozen=True, slots=True)
class SubsetSplit:
    """The written rows of a subset.

    Attributes:
        with_images: whether the images are included; `why` is the reason, in words.
        notes: notes on the scores in a condition, one per line.
        num_bytes, file_bytes: size in memory and on the disk.
    """

    subset: str
    with_images: bool
    rows: int
    num_bytes: int
    file_bytes: int
    files: int
    why: str = ""
    notes: tuple[str, ...] = ()


def tree_schema(*, with_images: bool) -> pa.Schema:
    """The columns of a published record: those of a build and `image_path`; `image` only if a subset has images."""
    fields = []
    for field in RECORD_SCHEMA:
        if field.name != "image" or with_images:
            fields.append(field)
        if field.name == "image":
            fields.append(pa.field("image_path", pa.string()))
    return with_features(pa.schema(fields))


def write_subset(
    selection: Selection,
    folder: Path,
    subset: str,
    schema: pa.Schema,
    *,
    with_images: bool,
    max_bytes: int = MAX_SHARD_BYTES,
) -> SubsetSplit:
    """Write the selected rows of a subset as shards, in order.

    Args:
        schema: common to all subsets, so that they can be read together; without images the column is null.
        max_bytes: maximum size of a shard, which holds at least one row group.

    Raises:
        UserError: a file cannot be read.
    """
    batches = _read(selection, schema, with_images=with_images)
    (folder / "data" / subset).mkdir(parents=True)
    shards = _Shards(folder / "data" / subset, schema, max_bytes)
    try:
        for group in _groups(batches, schema):
            shards.add(group)
    finally:
        shards.close()
    files = shards.name_all()
    size = sum(path.stat().st_size for path in files)
    return SubsetSplit(subset, with_images, shards.rows, shards.num_bytes, size, len(files))


def _read(selection: Selection, schema: pa.Schema, *, with_images: bool) -> Iterator[pa.RecordBatch]:
    with reading(selection.path):
        for batch in read_batches(selection, with_images=with_images):
            yield _converted(batch, schema, with_images=with_images)


def _converted(batch: pa.RecordBatch, schema: pa.Schema, *, with_images: bool) -> pa.RecordBatch:
    """The batch with exactly the columns of the schema; missing columns are null."""
    have = set(batch.schema.names)

    def column(field: pa.Field) -> Any:
        if field.name == "image" and not with_images:
            return pa.nulls(len(batch), field.type)
        if field.name == "image" and "image" in have:
            return _whole(batch.column("image").cast(field.type))
        if field.name == "image_path" and "image" in have:
            return pc.struct_field(batch.column("image"), "path").cast(pa.string())
        if field.name in _NAMES_A_MODEL and field.name in have:
            return pc.replace_substring_regex(batch.column(field.name).cast(field.type), _FOLDER, r"\1")
        return batch.column(field.name).cast(field.type) if field.name in have else pa.nulls(len(batch), field.type)

    return pa.RecordBatch.from_arrays([column(field) for field in schema], schema=schema)


def _whole(images: pa.StructArray) -> pa.Array:
    """The images, null if they have only a name: a reader would look for a file of that name."""
    data = pc.struct_field(images, "bytes")
    return images if not data.null_count else images.filter(pc.is_valid(data)).take(_places(data))


def _places(data: pa.Array) -> pa.Array:
    """The index of each value among the valid ones; null for null."""
    places = pc.subtract(pc.cumulative_sum(pc.is_valid(data).cast(pa.int64())), 1)
    return pc.if_else(pc.is_valid(data), places, pa.scalar(None, pa.int64()))


def holds_images(files: Iterable[Path]) -> bool:
    """Whether any row of the files has image bytes, by the files' statistics."""
    for path in files:
        with reading(path):
            metadata = pq.read_metadata(path)
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            chunks = [group.column(index) for index in range(group.num_columns)]
            for chunk in (chunk for chunk in chunks if chunk.path_in_schema == "image.bytes"):
                if chunk.statistics is None or chunk.statistics.null_count < group.num_rows:
                    return True
    return False


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Row groups of ROWS_PER_GROUP rows, or fewer if the images are large."""
    waiting = schema.empty_table()
    for batch in batches:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
        limit = min(ROWS_PER_GROUP, max(1, waiting.num_rows * BYTES_PER_GROUP // max(1, waiting.nbytes)))
        while waiting.num_rows >= limit:
            yield waiting.slice(0, limit)
            waiting = waiting.slice(limit)
    if waiting.num_rows:
        yield waiting


def _num_leaves(of: pa.DataType) -> int:
    """Number of Parquet columns that a field takes."""
    fields = [of.field(index).type for index in range(of.num_fields)]
    return sum(map(_num_leaves, fields)) if fields else 1


class _Shards:
    """Writes row groups into a series of files."""

    def __init__(self, folder: Path, schema: pa.Schema, max_bytes: int) -> None:
        self._folder, self._schema, self._max_bytes = folder, schema, max_bytes
        self._paths: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._file: Any = None
        self._geo = GeoKey()
        self._groups = 0  # of the current file
        self._footer_bytes = FOOTER_BYTES * sum(_num_leaves(field.type) for field in schema)  # per row group
        self.rows = 0
        self.num_bytes = 0

    def add(self, group: pa.Table) -> None:
        """Write one row group."""
        footer = (self._groups + 1) * self._footer_bytes
        if self._writer is None or self._file.tell() + group.nbytes + footer > self._max_bytes:
            self._next()
        assert self._writer is not None
        self._writer.write_table(group, row_group_size=group.num_rows)
        self._groups += 1
        self._geo.add(group)
        self.rows += group.num_rows
        self.num_bytes += group.nbytes

    def _next(self) -> None:
        self.close()
        self._groups = 0
        self._paths.append(self._folder / f"train-{len(self._paths):05d}.parquet")
        self._file = self._paths[-1].open("wb")
        strings = [field.name for field in self._schema if pa.types.is_string(field.type)]
        # Content-defined chunks, so that a later version with a few changed rows uploads only the changes.
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema,
            compression="zstd",
            use_dictionary=strings,
            write_page_index=True,
            use_content_defined_chunking=True,
        )

    def close(self) -> None:
        """Finish the current file."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            try:
                if geo := self._geo.metadata():
                    writer.add_key_value_metadata(geo)
                self._geo = GeoKey()
                writer.close()
            finally:
                self._file.close()

    def name_all(self) -> list[Path]:
        """Rename all files to include their total number."""
        return [path.rename(path.with_name(f"{path.stem}-of-{len(self._paths):05d}.parquet")) for path in self._paths]
