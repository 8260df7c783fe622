"""By what a table of scores knows that the texts of a shard are still those that it judged, without reading them.

It is a hash of the bytes that encode the ids and texts in the Parquet file, as they lie on the disk: compressed, so
that two million rows are a few hundred megabytes. Equal bytes are equal rows in the same order. A file that was written
anew may have other bytes for the same texts; then each text is hashed and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow.parquet as pq

from lrs2m_builder.dataset.foreign import reading

COLUMNS = ("sample_id", "caption_short", "caption_long")
THREADS = 2
_BLOCK = 2**20


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def texts_identity(path: Path) -> str:
    """The identity of the ids and texts of a shard, in their order.

    Raises:
        UserError: it cannot be read.
    """
    with reading(path), path.open("rb") as file:
        found = hashlib.sha256()
        metadata = pq.read_metadata(file)
        numbers: list[int] = []
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            numbers = numbers or _numbers(row_group)
            for number in numbers:
                chunk = row_group.column(number)
                size = chunk.total_compressed_size
                how = f"{chunk.path_in_schema} {chunk.physical_type} {chunk.compression}"
                found.update(f"{how} {row_group.num_rows} {size}\n".encode())
                file.seek(min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset))))
                _hash_bytes(file, size, found)
    return found.hexdigest()


def texts_identities(paths: Iterable[Path]) -> Mapping[Path, str]:
    """The identities of many shards.

    Raises:
        UserError: one cannot be read.
    """
    paths = list(paths)
    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(paths, pool.map(texts_identity, paths), strict=True))


def _numbers(row_group: pq.RowGroupMetaData) -> list[int]:
    """Which columns hold the ids and texts; asked of the metadata's schema, it would keep the metadata alive."""
    return [n for n in range(row_group.num_columns) if row_group.column(n).path_in_schema in COLUMNS]


def _hash_bytes(file: BinaryIO, size: int, found: _Hash) -> None:
    while size > 0:
        block = file.read(min(size, _BLOCK))
        if not block:
            raise OSError("it ends before its texts do")
        found.update(block)
        size -= len(block)
