"""The rows themselves, read from their files when they are looked at, those beside them with them."""

from __future__ import annotations

import io
import math
import threading
from collections import OrderedDict
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.view.index import Index
from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.images.load import decode, opened
from lrs2m_builder.schema import ImageBytes

BATCH = 100  # rows; as many as a row group of ours has
CACHE_BYTES = 128 * 2**20
MAX_PIXELS = 64_000_000  # of an image that is shown
THUMBNAIL = 192  # pixels
# What a browser may be given as it is; anything else, such as SVG, could hold a script.
_BROWSER = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}


class RowReader:
    """Reads rows by their number and keeps what it read last; safe for several threads."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, int, int, bool], tuple[pa.RecordBatch, int]] = OrderedDict()
        self._cached_bytes = 0  # counted as they come and go: to ask every batch anew costs more than to read one
        self._stamps = {file: _stamp(file) for file in index.files}

    def row(self, number: int) -> dict[str, Any]:
        """All columns of a row but bytes.

        Raises:
            UserError: the file cannot be read, or is not what it was when the index was made.
        """
        return {name: _plain(value) for name, value in self._read(number, images=False).items()}

    def image(self, number: int) -> bytes | None:
        """The stored bytes of a row's image; None where the data set holds none.

        Raises:
            UserError: the file cannot be read, or is not what it was when the index was made.
        """
        image = self._read(number, images=True).get("image")
        data = image.get("bytes") if isinstance(image, dict) else image
        return data if isinstance(data, bytes) and data else None

    def _read(self, number: int, *, images: bool) -> dict[str, Any]:
        file, row = self._index.place(number)
        with self._lock:
            stamp = _stamp(file)
            if stamp != self._stamps[file]:
                raise UserError(f"{file}: changed since it was opened; start lrs2m again")
            with reading(file):
                batch, at = self._batch(file, stamp, row, images)
        try:
            return {name: batch.column(name)[at].as_py() for name in batch.schema.names}
        except (ValueError, OverflowError) as error:  # text that is no UTF-8, a date that Python does not have
            raise UserError(f"{file}: row {row + 1} cannot be shown: {one_line(error)}") from error

    def _batch(self, file: str, stamp: tuple[int, int], row: int, images: bool) -> tuple[pa.RecordBatch, int]:
        """The batch that holds a row of a file, and the row's place in it."""
        metadata = _metadata(file, stamp)
        group = 0
        while row >= (size := metadata.row_group(group).num_rows):
            row -= size
            group += 1
        key = (file, group, row // BATCH, images)
        if key not in self._cache:
            batch = _read_batch(file, metadata, group, row // BATCH, images)
            self._cache[key] = batch, batch.nbytes
            self._cached_bytes += batch.nbytes
            while len(self._cache) > 1 and self._cached_bytes > CACHE_BYTES:
                self._cached_bytes -= self._cache.popitem(last=False)[1][1]
        self._cache.move_to_end(key)
        return self._cache[key][0], row % BATCH


def _stamp(file: str) -> tuple[int, int]:
    try:
        status = Path(file).stat()
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; start lrs2m again") from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=48)  # more than a page has rows, each of which may be in another file
def _metadata(file: str, stamp: tuple[int, int]) -> pq.FileMetaData:
    """A file's footer; `stamp` tells a changed file from what was read before."""
    return pq.read_metadata(file)


def _read_batch(file: str, metadata: pq.FileMetaData, group: int, number: int, images: bool) -> pa.RecordBatch:
    """A row group's batch of that number: its images, or all columns that are no bytes.

    In a data set of other origin a row group may be larger than memory: what comes before is read and let go.
    """
    with pq.ParquetFile(file, metadata=metadata, page_checksum_verification=True) as parquet:
        columns = [field.name for field in parquet.schema_arrow if _is_image(field) == images]
        batches = parquet.iter_batches(BATCH, row_groups=[group], columns=columns, use_threads=False)
        return next(islice(batches, number, None))


def _is_image(field: pa.Field) -> bool:
    return field.name == "image" or bool(pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type))


def _plain(value: Any) -> Any:
    """A value as JSON can hold it; columns of other origin may have dates and not-a-numbers."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def picture(data: bytes, *, small: bool) -> tuple[str, bytes] | None:
    """What a browser is given for an image: its media type, and its bytes or a thumbnail's.

    Returns:
        None for what is no JPEG, PNG, GIF or WebP, has more than MAX_PIXELS, or is damaged.
    """
    try:
        with opened(ImageBytes(data)) as image:
            if image is None or image.format not in _BROWSER or image.width * image.height > MAX_PIXELS:
                return None
            if not small or max(image.size) <= THUMBNAIL:
                return _BROWSER[image.format], data
        thumbnail = decode(ImageBytes(data), _small)
    except SampleError:
        return None
    return encoded(thumbnail)


def encoded(image: Image.Image, quality: int = 80) -> tuple[str, bytes]:
    """The media type and bytes of a picture as a browser is given it."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return "image/jpeg", buffer.getvalue()


def _small(width: int, height: int) -> tuple[int, int]:
    scale = THUMBNAIL / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
