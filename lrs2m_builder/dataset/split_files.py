"""The split of each row that `lrs2m split` decided: tables beside the data; the rows themselves are never rewritten.

OUT/scores/split/split.json                       what decided it; written last, so that it means the tables are whole
OUT/scores/split/<subset>/train-00000.parquet     sample_id and split of the records of a shard

Whoever reads records sees it as their column `split`, in place of the source's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lrs2m_builder.errors import UserError, one_line

SPLIT_FOLDER, SPLIT_JSON = Path("scores", "split"), "split.json"
SPLIT_SCHEMA = pa.schema([("sample_id", pa.string()), ("split", pa.string())])
_LEVELS = 6  # folders between a data set and its files, at most


def split_file(record_file: Path) -> Path | None:
    """The table of splits of a file of records; None if its data set has not been split.

    Raises:
        UserError: the data set has been split, but not this file.
    """
    full = record_file.absolute()
    for home in full.parents[:_LEVELS]:
        if (home / SPLIT_FOLDER / SPLIT_JSON).is_file():
            table = split_path(home, full)
            if not table.is_file():
                raise UserError(f"{home / SPLIT_FOLDER}: has no splits of {record_file}; run lrs2m split again")
            return table
    return None


def split_path(home: Path, record_file: Path) -> Path:
    """Where the splits of a file of records are, in the data set at `home`."""
    full = record_file.absolute()
    inside = home / "data" if home / "data" in full.parents else home
    return home / SPLIT_FOLDER / full.relative_to(inside)


def split_tables(files: Sequence[Path]) -> dict[Path, Path]:
    """The tables of splits by file of records, of those data sets that have been split."""
    return {file: table for file in files if (table := split_file(file)) is not None}


class SplitColumn:
    """The column `split` of the batches of a file."""

    def __init__(self, record_file: Path) -> None:
        """Read the table of splits of a file of records.

        Raises:
            UserError: it cannot be read.
        """
        self._table: pa.Table | None = None
        if (path := split_file(record_file)) is None:
            return
        try:
            self._table = pq.read_table(path, schema=SPLIT_SCHEMA).combine_chunks()
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: cannot be read: {one_line(error)}; run lrs2m split again") from error

    def put(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with its rows' splits; null for a row that has none."""
        if self._table is None:
            return batch
        places = pc.index_in(batch.column("sample_id"), value_set=self._table["sample_id"])
        values = self._table["split"].combine_chunks().take(places)
        number = batch.schema.get_field_index("split")
        if number < 0:
            return batch.append_column("split", values)
        return batch.set_column(number, "split", values)
