"""Cells of Parquet and Arrow files that hold an image: bytes, a struct or a list of one around them, or base64 text.

A Parquet file is read by row group, and the last few are cached; an Arrow file is memory-mapped.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import SampleError
from lrs2m_builder.files import open_regular, refuse_larger
from lrs2m_builder.schema import TableCell

PARQUET_SUFFIX = ".parquet"
ARROW_SUFFIX = ".arrow"
NUM_GROUPS = 3  # cached row groups: decoders read one or two, the writer of finished shards another
MAX_GROUP_BYTES = 2**32  # of images in a row group, unpacked
BATCH_BYTES = 2**28  # read of a row group into one array, whose offsets have 32 bits

_tables = threading.Lock()  # threads that need the same row group wait for it instead of reading it again
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,")
# First characters of image formats in base64: JPEG, PNG, GIF, WEBP, TIFF, JPEG 2000.
_BASE64_STARTS = ("/9j/", "_9j_", "iVBORw0KGgo", "R0lGOD", "UklGR", "SUkq", "TU0AK", "AAAADGpQ")
_BASE64 = re.compile(r"[A-Za-z0-9+/=_\s-]{64,}")


def read_cell(ref: TableCell, at_most: int) -> bytes:
    """The bytes of the image in a cell.

    Raises:
        SampleError: the cell holds no image, or several.
        OSError, ArrowException, LookupError: the file is missing, damaged or changed; EFBIG for too many bytes.
    """
    with _tables:
        is_parquet = ref.table.suffix == PARQUET_SUFFIX
        value = _parquet_cell(ref) if is_parquet else _arrow_column(ref.table, ref.column)[ref.row]
    return _image_in(value, ref, at_most)


def holds_image(text: str) -> bool:
    """Whether a text is a base64 image rather than a file name."""
    is_url = _DATA_URL.match(text) is not None
    return is_url or (text.startswith(_BASE64_STARTS) and _BASE64.fullmatch(text[:4096]) is not None)


def is_list(kind: pa.DataType) -> bool:
    """Whether a cell type is a list."""
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests) or "list_view" in str(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether a cell type is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a cell type is bytes."""
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def bytes_field(kind: pa.StructType) -> str | None:
    """The struct field that holds the image: "bytes", or the only field of type bytes."""
    names = [field.name for field in kind if is_bytes(field.type)]
    return "bytes" if "bytes" in names else names[0] if len(names) == 1 else None


def _image_in(value: Any, ref: TableCell, at_most: int) -> bytes:
    if not value.is_valid:
        raise SampleError("image_missing", f"{ref}: no bytes in it")
    if isinstance(value, pa.ExtensionScalar | pa.DictionaryScalar):
        return _image_in(value.value, ref, at_most)
    if is_list(value.type):
        if len(value.values) > 1:
            raise SampleError("image_unsupported", f"{ref}: {len(value.values)} images in it; a sample has one")
        if not len(value.values):
            raise SampleError("image_missing", f"{ref}: an empty list")
        return _image_in(value.values[0], ref, at_most)
    if pa.types.is_struct(value.type):
        field = bytes_field(value.type)
        if field is None:
            raise SampleError("image_missing", f"{ref}: no bytes in it")
        return _image_in(value[field], ref, at_most)
    if not is_bytes(value.type) and not is_text(value.type):
        raise SampleError("image_missing", f"{ref}: no bytes in it")
    refuse_larger(value.as_buffer().size, at_most, ref)  # before it is copied
    content = value.as_py()
    return _decoded(content, ref) if isinstance(content, str) else bytes(content)


def _decoded(text: str, ref: TableCell) -> bytes:
    try:
        return base64.b64decode(_DATA_URL.sub("", text, count=1).translate({45: "+", 95: "/"}), validate=False)
    except (binascii.Error, ValueError) as error:
        raise SampleError("image_unreadable", f"{ref}: not base64: {error}") from error


def _parquet_cell(ref: TableCell) -> Any:
    starts = _group_starts(ref.table)
    group = bisect_right(starts, ref.row) - 1
    return _parquet_column(ref.table, group, ref.column)[ref.row - starts[group]]


@lru_cache(maxsize=64)
def _group_starts(path: Path) -> list[int]:
    with open_regular(path) as file:
        metadata = pq.read_metadata(file)
    sizes = (metadata.row_group(index).num_rows for index in range(metadata.num_row_groups - 1))
    return list(accumulate(sizes, initial=0))


@lru_cache(maxsize=NUM_GROUPS)
def _parquet_column(path: Path, group: int, column: str) -> pa.ChunkedArray:
    """A column of a row group, in pieces small enough for an array of structs."""
    with open_regular(path) as regular, pq.ParquetFile(regular) as file:
        metadata = file.metadata.row_group(group)
        leaves = [metadata.column(index) for index in range(metadata.num_columns)]
        size = sum(leaf.total_uncompressed_size for leaf in leaves if leaf.path_in_schema.split(".")[0] == column)
        refuse_larger(size, MAX_GROUP_BYTES, f"row group {group}")
        rows = max(1, metadata.num_rows * BATCH_BYTES // max(size, BATCH_BYTES))
        batches = file.iter_batches(rows, row_groups=[group], columns=[column])
        return pa.chunked_array([batch.column(0) for batch in batches])


@lru_cache(maxsize=64)
def _arrow_column(path: Path, column: str) -> pa.ChunkedArray:
    """A column of an Arrow stream, as `datasets` stores it; the file is memory-mapped."""
    open_regular(path).close()
    return pa.ipc.open_stream(pa.memory_map(str(path))).read_all().column(column)
