"""Opens an image wherever its bytes are: a file, a member of a tar, a cell of a Parquet or Arrow file.

Nothing but the image itself is read of a tar; of a Parquet file it is the row group, and the last few are kept.
"""

from __future__ import annotations

import io
import os
import threading
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import SampleError
from lrs2m_builder.schema import ImageRef, TableCell, TarMember

IMAGE_SUFFIXES = {
    *(".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
}
RASTER_SUFFIXES = {".img", ".nitf", ".ntf"}  # read too, but such names have other meanings as well
PARQUET_SUFFIX = ".parquet"
ARROW_SUFFIX = ".arrow"
NUM_GROUPS = 3  # row groups kept: the decoders stand in one or two, the writer of finished shards in another

_tables = threading.Lock()  # threads that need the same row group wait for it instead of reading it again


def open_image(ref: ImageRef) -> BinaryIO:
    """The bytes of an image as an open file.

    Raises:
        SampleError: they are missing, cut off or cannot be read.
    """
    try:
        if isinstance(ref, Path):
            return ref.open("rb")
        return io.BytesIO(_read_member(ref) if isinstance(ref, TarMember) else _read_cell(ref))
    except FileNotFoundError as error:
        raise SampleError("image_missing", f"{ref}: no such file") from error
    except (OSError, pa.ArrowException, LookupError) as error:  # lookup: not the file any more that was listed
        raise SampleError("image_unreadable", f"{ref}: {getattr(error, 'strerror', None) or error}") from error


def read_image(ref: ImageRef) -> bytes:
    """All bytes of an image.

    Raises:
        SampleError: as `open_image`.
    """
    with open_image(ref) as file:
        return file.read()


def _read_member(ref: TarMember) -> bytes:
    with ref.archive.open("rb") as file:
        if (there := os.fstat(file.fileno()).st_size - ref.offset) < ref.size:
            raise SampleError("image_truncated", f"{ref}: {max(there, 0)} of {ref.size} bytes are in the archive")
        file.seek(ref.offset)
        return file.read(ref.size)


def _read_cell(ref: TableCell) -> bytes:
    with _tables:
        value = (
            _parquet_cell(ref) if ref.table.suffix == PARQUET_SUFFIX else _arrow_column(ref.table, ref.column)[ref.row]
        )
    content = value.as_py()
    data = content.get("bytes") if isinstance(content, dict) else content
    if not isinstance(data, bytes):
        raise SampleError("image_missing", f"{ref}: no bytes in it")
    return data


def _parquet_cell(ref: TableCell) -> Any:
    starts = _group_starts(ref.table)
    group = bisect_right(starts, ref.row) - 1
    return _parquet_column(ref.table, group, ref.column)[ref.row - starts[group]]


@lru_cache(maxsize=64)
def _group_starts(path: Path) -> list[int]:
    metadata = pq.read_metadata(path)
    sizes = (metadata.row_group(index).num_rows for index in range(metadata.num_row_groups - 1))
    return list(accumulate(sizes, initial=0))


@lru_cache(maxsize=NUM_GROUPS)
def _parquet_column(path: Path, group: int, column: str) -> pa.ChunkedArray:
    with pq.ParquetFile(path) as file:
        return file.read_row_group(group, columns=[column]).column(0)


@lru_cache(maxsize=64)
def _arrow_column(path: Path, column: str) -> pa.ChunkedArray:
    """A column of an Arrow stream, as `datasets` stores it; the file is mapped, not read."""
    return pa.ipc.open_stream(pa.memory_map(str(path))).read_all().column(column)
