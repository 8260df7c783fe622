"""The rows that have the same image: its texts by other recipes, models or builds."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.view.index import Index

MAX_TWINS = 24


class TwinReader:
    """Finds rows with the same image by its SHA-256; the hashes are read once, when first asked for."""

    def __init__(self, path: Path, index: Index) -> None:
        self._path, self._index = path, index
        self._lock = threading.Lock()
        self._hashes: np.ndarray | None = None

    def twins(self, number: int) -> list[int]:
        """Numbers of the other rows with the image of a row, at most MAX_TWINS.

        Raises:
            UserError: a file cannot be read.
        """
        with self._lock:
            if self._hashes is None:
                self._hashes = self._read()
        wanted = self._hashes[number]
        if not wanted:
            return []
        found = np.flatnonzero(self._hashes == wanted)
        return [int(each) for each in found[: MAX_TWINS + 1] if each != number][:MAX_TWINS]

    def _read(self) -> np.ndarray:
        """A hash by number of the row; 0 for a row that is not shown or has no hash of its image."""
        hashes = np.zeros(self._index.num_rows, np.uint64)
        cursor = self._index.connection.cursor()
        names = cursor.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'records'").fetchall()
        if ("image_sha256",) not in names or not self._index.num_rows:
            return hashes
        query = """SELECT shown.number, hash(image_sha256) AS hash FROM records
            JOIN records_files AS place ON place.file = records.file::records_file
            JOIN records_index AS shown ON shown.number = first + row
            WHERE coalesce(image_sha256, '') <> ''"""
        with reading(self._path):
            found = cursor.execute(query).fetchnumpy()
        hashes[found["number"]] = found["hash"]
        return hashes
