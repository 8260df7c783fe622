"""Shards from columns: of ordinary rows the records differ in their texts and names alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lrs2m_builder.columns.table import ColumnTable
from lrs2m_builder.commit import ShardPaths
from lrs2m_builder.schema import Record, Rejection
from lrs2m_builder.shards import write_table
from lrs2m_builder.sources import Source, make_sample
from lrs2m_builder.sources.base import SourceRow
from lrs2m_builder.stages import Plan, end_without_model
from lrs2m_builder.stored_rows import RECORD_SCHEMA, record_row

_OWN = ("caption_short", "caption_long", "num_tokens_short", "num_tokens_long")


def write_columns(
    plan: Plan, source: Source, table: ColumnTable, paths: ShardPaths, start: int, stop: int, *, round_number: int = 0
) -> Counter[str]:
    """Write the rows from `start` to `stop` as a shard; their number by reason of rejection, "" for records.

    Raises:
        UserError: the disk is full or fails.
    """
    ends = {
        number: end_without_model(plan, table.others[number]) for number in range(start, stop) if number in table.others
    }
    rejections = [end for end in ends.values() if isinstance(end, Rejection)]
    rows = table.rows.slice(start, stop - start)
    is_ordinary = np.ones(len(rows), bool)
    is_ordinary[np.array(list(ends), np.int64) - start] = False
    ordinary = _records(plan, source, rows, is_ordinary)
    odd = [record_row(end, None) for end in ends.values() if isinstance(end, Record)]
    of_odd = iter(pa.Table.from_pylist(odd, RECORD_SCHEMA).to_batches(1))
    pieces, before = [], 0
    for number, end in ends.items():
        pieces.append(ordinary.slice(before, number - start - before))
        before = number - start + 1
        if isinstance(end, Record):
            pieces.append(pa.Table.from_batches([next(of_odd)]))
    records = pa.concat_tables([*pieces, ordinary.slice(before)])
    write_table(paths, records, rejections, stop - start, round_number)
    return Counter({"": len(records)}) + Counter(rejection.reason for rejection in rejections)


def _records(plan: Plan, source: Source, rows: pa.Table, is_ordinary: NDArray[np.bool_]) -> pa.Table:
    """Every row as if it were ordinary, the records as that of the first ordinary one."""
    if not is_ordinary.any():
        return RECORD_SCHEMA.empty_table()
    first = rows.slice(int(np.argmax(is_ordinary)), 1).to_pylist()[0]
    row = SourceRow(first["image_name"], caption_long=first["caption_long"])
    end = end_without_model(plan, make_sample(source, row, (first["caption_short"],), 0, 1))
    if not isinstance(end, Record) or end.warnings or any(getattr(end, name) != first[name] for name in _OWN):
        raise AssertionError(f"{first['image_name']}: by the column {first}, by the row {end}")
    like = record_row(end, None)
    columns: dict[str, Any] = {name: rows[name] for name in _OWN}
    columns["sample_id"] = pc.binary_join_element_wise(f"{plan.manifest.name}/", rows["image_name"], "")
    names, nothing = rows["image_name"].combine_chunks(), pa.nulls(len(rows), pa.binary())
    columns["image"] = pa.StructArray.from_arrays([nothing, names], fields=list(RECORD_SCHEMA.field("image").type))
    same = pa.array(np.zeros(len(rows), np.int32))
    for field in RECORD_SCHEMA:
        if field.name not in columns:
            columns[field.name] = pa.array([like[field.name]], field.type).take(same)
    return pa.table([columns[name] for name in RECORD_SCHEMA.names], schema=RECORD_SCHEMA)
