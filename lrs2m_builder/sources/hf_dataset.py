"""Data sets of the Hub's library `datasets`: Parquet files, a folder of `save_to_disk`, or an id on the Hub.

One file of these is read at a time (`*.parquet`, `*.arrow`; a glob may match many): of the texts a batch is in memory,
the bytes of an image are fetched when they are needed. For an id on the Hub the file is a small JSON one of your own
(see `hub`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import UserError
from lrs2m_builder.images.cells import ARROW_SUFFIX, PARQUET_SUFFIX
from lrs2m_builder.schema import TableCell
from lrs2m_builder.sources.base import SourceRow
from lrs2m_builder.sources.hub import fetched

BATCH_SIZE = 1000  # rows whose texts are in memory


def read(
    path: Path,
    image_column: str = "image",
    caption_columns: Sequence[str] = ("caption",),
    long_column: str = "",
    label_column: str = "",
    name_column: str = "",
) -> Iterator[SourceRow]:
    """Yield one row a row, in the order of the file.

    Args:
        image_column: an Image feature (bytes and path), plain bytes, or text: the name of a file to be found.
        caption_columns: short texts; a column may hold a list of them.
        long_column, label_column: the long text, and the class: a text or a ClassLabel.
        name_column: a text that is unique in the data set; default: the file's stem and the row's number.

    Raises:
        UserError: not a readable file, or a column is not there (those that are there are named); the Hub does not
            give the data set.
    """
    columns = [image_column, *caption_columns, *filter(None, (long_column, label_column, name_column))]
    if path.suffix == ".json":
        path = fetched(path, columns)
    try:
        schema, batches = _open(path)
        if missing := sorted(set(columns) - set(schema.names)):
            raise UserError(f"{path}: no column {missing[0]!r}; it has {', '.join(schema.names)}")
        kind = schema.field(image_column).type
        by_name = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        texts = [name for name in dict.fromkeys(columns) if name != image_column or by_name]
        classes = _class_names(schema, label_column)
        number = 0
        for batch in batches(texts):
            for values in batch.to_pylist() if texts else [{}] * batch.num_rows:
                given = values.get(name_column) or (values[image_column] if by_name else "")
                yield SourceRow(
                    str(given or f"{path.stem}/{number:06d}"),
                    captions=tuple(text for name in caption_columns for text in _texts(values[name])),
                    caption_long=" ".join(_texts(values.get(long_column))),
                    label=_label(values.get(label_column), classes),
                    image=None if by_name else TableCell(path, image_column, number),
                )
                number += 1
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet or Arrow file: {error}") from error


def _open(path: Path) -> tuple[pa.Schema, Any]:
    """The columns of a file, and a function from names of columns to batches of their rows."""
    if path.suffix == PARQUET_SUFFIX:
        file = pq.ParquetFile(path, memory_map=True)
        return file.schema_arrow, lambda names: file.iter_batches(BATCH_SIZE, columns=names)
    if path.suffix != ARROW_SUFFIX:
        raise UserError(f"{path}: neither .parquet nor .arrow, nor .json for a data set of the Hub")
    stream = pa.ipc.open_stream(pa.memory_map(str(path)))
    return stream.schema, lambda names: (batch.select(names) for batch in stream)


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(str(text) for text in values if text is not None)


def _label(value: Any, classes: Sequence[str]) -> str:
    if isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    return "" if value is None else str(value)


def _class_names(schema: pa.Schema, column: str) -> list[str]:
    """The names of a ClassLabel, which the file's metadata keep; none where the column is no such one."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (KeyError, TypeError, ValueError):
        return []
