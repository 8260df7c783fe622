"""Where the rows that are looked at are on Earth: for the map, and for the rectangle that filters the list."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.view.index import Index

COLUMNS = ("lon", "lat")


class PlaceReader:
    """Reads the centres of a data set's records; safe for several threads.

    Attributes:
        num_rows: how many records have one.
    """

    def __init__(self, path: Path, index: Index) -> None:
        """Count the records with a centre; none is read yet.

        Raises:
            UserError: a file cannot be read.
        """
        self._path, self._index = path, index
        self._lock = threading.Lock()
        self._values: dict[str, np.ndarray] = {}
        self.num_rows = 0
        if not index.num_rows:
            return
        cursor = index.connection.cursor()
        with reading(path):
            columns = cursor.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'records'")
            kinds = dict(columns.fetchall())
            if all(kinds.get(name) in {"DOUBLE", "FLOAT"} for name in COLUMNS):
                counted = cursor.execute("SELECT count(*) FROM records WHERE lon IS NOT NULL AND lat IS NOT NULL")
                ((self.num_rows,),) = counted.fetchall()

    def values(self, name: str) -> np.ndarray:
        """Longitudes ("lon") or latitudes ("lat") by number of the row, float32; not-a-number without a place.

        Raises:
            UserError: a file cannot be read.
        """
        with self._lock:
            if not self._values:
                self._values = {each: np.full(self._index.num_rows, np.nan, np.float32) for each in COLUMNS}
                if self.num_rows:
                    self._read()
            return self._values[name]

    def _read(self) -> None:
        query = """SELECT (first + row)::INTEGER AS number, lon::FLOAT AS lon, lat::FLOAT AS lat FROM records
            JOIN records_files AS place ON place.file = records.file::records_file
            WHERE lon IS NOT NULL AND lat IS NOT NULL"""
        with reading(self._path):
            found = self._index.connection.cursor().execute(query).fetchnumpy()
        for name in COLUMNS:
            self._values[name][found["number"]] = found[name]

    def points(self, numbers: np.ndarray) -> bytes:
        """Longitude and latitude in turn of those rows that have them, as little-endian float32."""
        lon, lat = (self.values(name)[numbers] for name in COLUMNS)
        pairs = np.stack([lon, lat], axis=1)
        placed: np.ndarray = pairs[~np.isnan(pairs).any(axis=1)].astype("<f4")
        return placed.tobytes()
