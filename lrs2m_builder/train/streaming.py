"""Training data on a store or the Hub: row groups fetched ahead of their use into a cache of bounded size.

The texts are copied to this machine before the training (dataset/copies.py), so that the order of the data is that of
the same files in a folder. Of the rest a row group's columns are fetched when they are needed next, each to a file in
the cache, which all processes of this machine share; over its size, the files that were used longest ago go.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.clip.locate import locate_data
from lrs2m_builder.dataset.copies import copy_of
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import disk_errors
from lrs2m_builder.stores import open_readable
from lrs2m_builder.stores._base import ReadableStore, ReplacedError, StoredFile, is_hidden, writer_name
from lrs2m_builder.train.index import SEVERAL, RowGroup

AT_ONCE = 4  # row groups that a process fetches at the same time
FIRST_GUESS = 16 * 2**20  # bytes of a row group, until some were fetched
READ_ROWS = 256  # rows of a row group in memory at once
_HALF_WRITTEN_S = 3600.0  # after which a file that a killed process left is deleted
_UNUSED_S = 3600.0  # a file that was fetched and not used counts as used so much later: it is deleted after used ones


@dataclass(frozen=True, slots=True)
class Streamed:
    """Training data whose images stay where they are.

    Attributes:
        name: the address as given, which config.json states.
        address: of the store; of the Hub with the commit.
        folder: copy of the files without the bytes of the images.
        files: what each file in it is a copy of.
    """

    name: str
    address: str
    folder: Path
    files: Mapping[Path, StoredFile]


def find_data(name: str) -> Path | Streamed:
    """Training data by path or Hub name, or to be streamed: s3://BUCKET/PREFIX, hf://datasets/OWNER/NAME[@REVISION].

    Raises:
        UserError: they are not there, or there is no network.
    """
    if "://" not in name:
        return locate_data(name)
    store = open_readable(name)
    folder = store.scratch / "copy-of-texts"
    return Streamed(name, store.address, folder, copy_of(name, store, folder, with_images=False))


class GroupCache:
    """The row groups of streamed data, as files of this machine.

    Args:
        columns: the columns that are fetched.
        max_bytes: of all files of the cache; one row group is kept in any case.
        readers: processes of this machine that share it: half of it holds row groups fetched ahead, an even part each.
    """

    def __init__(
        self,
        data: Sequence[Streamed],
        columns: Sequence[str],
        max_bytes: int,
        readers: int = 1,
        folder: Path | None = None,
    ) -> None:
        self._data, self._columns, self._max_bytes = data, list(columns), max_bytes
        self._most_ahead = max_bytes // 2 // max(1, readers)
        self._folder = folder or Path(tempfile.gettempdir(), f"lrs2m-{os.getuid()}", "row-groups")
        self._stores: dict[str, ReadableStore] = {}
        self._footers: dict[Path, Any] = {}
        self._soon: dict[RowGroup, None] = {}  # to be fetched, in this order
        self._later: dict[RowGroup, None] = {}
        self._ahead: dict[RowGroup, Future[Path]] = {}
        self._fetched = [FIRST_GUESS]  # bytes of the row groups so far
        self._pool: ThreadPoolExecutor | None = None  # made in the process that uses it
        self._guard = threading.Lock()

    def holds(self, group: RowGroup) -> bool:
        """Whether the row group is of streamed data."""
        return any(group.path in each.files for each in self._data)

    def will_need(self, soon: Sequence[RowGroup], later: Sequence[RowGroup]) -> None:
        """Fetch row groups ahead, as far as there is room, those needed later if none is left that is needed soon."""
        for group in filter(self.holds, soon):
            self._later.pop(group, None)
            if group not in self._ahead:
                self._soon[group] = None
        for group in filter(self.holds, later):
            if group not in self._ahead and group not in self._soon:
                self._later[group] = None
        self._fetch_ahead()

    def open(self, group: RowGroup) -> pq.ParquetFile:
        """A file of only this row group.

        Raises:
            UserError: the store does not give it, or it changed, or the disk is full.
        """
        future = self._ahead.pop(group, None)
        self._soon.pop(group, None)
        self._later.pop(group, None)
        self._fetch_ahead()
        path = future.result() if future else self._fetch(group)
        try:
            file = pq.ParquetFile(path)
        except FileNotFoundError:  # fetched long ago, and another process needed the room
            file = pq.ParquetFile(path := self._fetch(group))
        _count_as_used(path, 0.0)
        return file

    def _fetch_ahead(self) -> None:
        self._pool = self._pool or ThreadPoolExecutor(AT_ONCE)
        size = sum(self._fetched) / len(self._fetched)
        for waiting, room in ((self._soon, 2 * self._most_ahead), (self._later, self._most_ahead)):
            while waiting and (len(self._ahead) + 1) * size <= room:
                group = next(iter(waiting))
                del waiting[group]
                self._ahead[group] = self._pool.submit(self._fetch, group)

    def _fetch(self, group: RowGroup) -> Path:
        """The file of a row group, fetched if it is not there."""
        source = next(each for each in self._data if group.path in each.files)
        found = source.files[group.path]
        key = repr((source.address, found.name, found.version, group.number, self._columns))
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.parquet"
        if _count_as_used(path, _UNUSED_S):
            return path
        part = path.with_name(f".{path.name}.{writer_name()}.part")
        where = f"{source.address}/{found.name}"
        try:
            with disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._copy(source.address, found, group, part)
                _count_as_used(part, _UNUSED_S)
                part.replace(path)
        except ReplacedError as error:
            raise UserError(f"{where}: changed since the run began; run the command again") from error
        except pa.ArrowException as error:
            raise UserError(f"{where}: cannot be read ({one_line(error)}); repair it and run again") from error
        finally:
            part.unlink(missing_ok=True)
        self._fetched.append(path.stat().st_size)
        self._make_room(path)
        return path

    def _copy(self, address: str, found: StoredFile, group: RowGroup, part: Path) -> None:
        with self._guard:
            if address not in self._stores:
                self._stores[address] = open_readable(address)
        with (
            self._stores[address].open(found) as raw,
            pq.ParquetFile(raw, metadata=self._footers.get(group.path), buffer_size=1 << 20) as source,
        ):
            self._footers[group.path] = source.metadata
            if source.metadata.row_group(group.number).num_rows != group.num_rows:
                raise ReplacedError
            columns = list(self._columns)
            if "caption_long" in columns and SEVERAL in source.schema_arrow.names:
                columns.append(SEVERAL)
            batches = source.iter_batches(READ_ROWS, [group.number], columns=columns, use_threads=False)
            with pq.ParquetWriter(part, _schema(source, columns), compression="none") as writer:
                for batch in batches:
                    writer.write_batch(batch)

    def _make_room(self, newest: Path) -> None:
        """Delete the files that were used longest ago, until the others fit."""
        files = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                status = path.stat()
                if not is_hidden(path.name):
                    files.append((status.st_mtime_ns, status.st_size, path))
                elif time.time() - status.st_mtime > _HALF_WRITTEN_S + _UNUSED_S:
                    path.unlink()
        size = sum(each for _, each, _ in files)
        for _, each, path in sorted(files):
            if size > self._max_bytes and path != newest:
                path.unlink(missing_ok=True)
                size -= each


def _count_as_used(path: Path, later_s: float) -> bool:
    """Set the time by which files are deleted; False if there is no such file."""
    try:
        os.utime(path, (time.time() + later_s,) * 2)
    except FileNotFoundError:
        return False
    return True


def _schema(source: pq.ParquetFile, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([source.schema_arrow.field(name) for name in columns])
