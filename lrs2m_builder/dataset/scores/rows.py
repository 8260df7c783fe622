"""The scores of selected rows, in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.scores.columns import score_columns
from lrs2m_builder.dataset.scores.join import by_home, join_scores
from lrs2m_builder.dataset.scores.places import scored_files
from lrs2m_builder.dataset.selection import NEEDS, Selection, keep_selected
from lrs2m_builder.dataset.tables import open_tables


def read_scores(selection: Selection) -> pa.Table:
    """The scores of the rows of a selection, a column each; without columns if there are no scores.

    Raises:
        UserError: a table of scores is torn or holds something else.
    """
    connection = open_tables(selection.path, NEEDS)
    files = scored_files(selection.path)
    columns = list(score_columns(files, connection.sql("SELECT * FROM records LIMIT 0").columns).values())
    if not columns:
        return pa.table({})
    keep_selected(connection, selection)
    join_scores(connection, "kept", by_home(files), columns)
    names = ", ".join(f'"{column.name}"' for column in columns)
    with reading(selection.path):
        table = connection.sql(f"SELECT file, row, {names} FROM scored").to_arrow_table()
    order = pa.array(range(len(selection.rows)))
    files_in_order = pa.table({"file": [str(file) for file in selection.rows], "order": order})
    ordered = table.join(files_in_order, "file").sort_by([("order", "ascending"), ("row", "ascending")])
    return ordered.select([column.name for column in columns])


def with_scores(rows: Iterator[dict[str, Any]], scores: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows with their scores beside their columns."""
    if not scores.num_columns:
        yield from rows
        return
    values = (value for batch in scores.to_batches() for value in batch.to_pylist())
    for row, value in zip(rows, values, strict=True):
        yield row | value
