"""Data sets of the Hub's library `datasets`: Parquet files, a folder of `save_to_disk`, or an id on the Hub.

One file is read at a time (`*.parquet`, `*.arrow`; a glob may match many): a batch of texts is in memory,
image bytes are read when they are needed. For an id on the Hub the file is a small JSON file that you write
(see `_hub`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.files import open_regular
from lrs2m_builder.images.cells import ARROW_SUFFIX, PARQUET_SUFFIX, is_text
from lrs2m_builder.schema import NOWHERE, TableCell
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._hf_images import ImageCells
from lrs2m_builder.sources._hub import fetched
from lrs2m_builder.sources._place_values import place_names, quiet_place
from lrs2m_builder.sources._values import TextReader, class_names, text_reader

BATCH_SIZE = 1000  # rows whose texts are in memory


def read(
    path: Path,
    image_column: str = "image",
    caption_columns: Sequence[str] = ("caption",),
    long_column: str = "",
    label_column: str = "",
    name_column: str = "",
) -> Iterator[SourceRow]:
    """Yield one SourceRow per table row, in file order.

    Args:
        image_column: an Image feature (bytes and path), bytes, base64 text, or a file name to search; or a list
            of one such value.
        caption_columns: short texts; a column may hold lists of them, or structs with a text under a known key.
        long_column, label_column: the long text, and the class: a text or ClassLabel, or a list of them.
        name_column: a text or whole number that is unique in the data set; default: the image's file name, or
            the table's stem and the row's number.

    Raises:
        UserError: not a readable file; a column is missing (the message lists the columns), or holds no text or no
            images (the message names its type); the data set cannot be loaded from the Hub.
    """
    columns = [image_column, *caption_columns, *filter(None, (long_column, label_column, name_column))]
    if path.suffix == ".json":
        path = fetched(path, columns)
    try:
        yield from _read(path, columns, image_column, tuple(caption_columns), long_column, label_column, name_column)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet or Arrow file: {one_line(error)}") from error


def _read(
    path: Path, columns: list[str], image: str, captions: tuple[str, ...], long: str, label: str, name: str
) -> Iterator[SourceRow]:
    with _opened(path) as (schema, batches):
        if missing := sorted(set(columns) - set(schema.names)):
            raise UserError(f"{path}: no column {missing[0]!r}; it has {', '.join(schema.names)}")
        images = ImageCells.of(path, schema.field(image))
        readers = {column: _reader(path, schema, column) for column in {*captions, *filter(None, (long, label))}}
        if name and not (is_text(schema.field(name).type) or pa.types.is_integer(schema.field(name).type)):
            raise UserError(
                f"{path}: name_column {name!r} holds {schema.field(name).type}; it must hold texts or whole numbers"
            )
        texts = [column for column in dict.fromkeys(columns) if column != image or column in readers or column == name]
        places = place_names(schema)
        texts += [column for column in places if column not in {*texts, image}]
        number = 0
        for batch in batches(texts, images):
            values = batch.select(texts).to_pylist() if texts else [{}] * batch.num_rows
            column = batch.column(image) if image in batch.schema.names else None
            for value, cell in zip(values, images.cells(column, batch.num_rows), strict=True):
                row_name = value.get(name) if name else None
                problem = cell.problem
                file = "" if cell.has_bytes else cell.file
                row = SourceRow(
                    str(row_name) if row_name not in {None, ""} else file or f"{path.stem}/{number:06d}",
                    image=TableCell(path, image, number) if cell.has_bytes and not problem else None,
                    image_file=file,
                    problem=problem,
                    place=quiet_place({column: value[column] for column in places}) if places else NOWHERE,
                )
                yield _with_texts(row, value, readers, captions, long, label)
                number += 1


def _with_texts(
    row: SourceRow,
    value: dict[str, Any],
    readers: dict[str, TextReader],
    captions: tuple[str, ...],
    long: str,
    label: str,
) -> SourceRow:
    try:
        return replace(
            row,
            captions=tuple(text for column in captions for text in readers[column](value[column])),
            caption_long=" ".join(readers[long](value[long])) if long else "",
            label="; ".join(readers[label](value[label])) if label else "",
        )
    except SampleError as error:
        return replace(row, problem=row.problem or (error.reason, f"{row.image_name}: {error.detail}"))


def _reader(path: Path, schema: pa.Schema, column: str) -> TextReader:
    """A function that extracts the texts from a column's cells.

    Raises:
        UserError: the column holds no text.
    """
    kind = schema.field(column).type
    reader = text_reader(kind, class_names(schema, column))
    if reader is None:
        others = [field.name for field in schema if text_reader(field.type)]
        what = "numbers without names" if pa.types.is_integer(kind) else "no text"
        raise UserError(
            f"{path}: column {column!r} holds {what} ({str(kind)[:100]}); name a column of texts in the manifest's "
            f"options ({', '.join(others) or 'this file has none'}), or make one with ds.map or datasets.ClassLabel"
        )
    return reader


@contextmanager
def _opened(path: Path) -> Iterator[tuple[pa.Schema, Callable[[list[str], ImageCells], Iterator[pa.RecordBatch]]]]:
    """The schema of a file, and a function that yields batches of some text columns and of the image column."""
    if path.suffix not in {PARQUET_SUFFIX, ARROW_SUFFIX}:
        raise UserError(f"{path}: neither .parquet nor .arrow, nor .json for a data set of the Hub")
    open_regular(path).close()
    if path.suffix == PARQUET_SUFFIX:
        with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
            yield file.schema_arrow, partial(_parquet_batches, file)
        return
    with pa.memory_map(str(path)) as source:
        stream = pa.ipc.open_stream(source)
        yield stream.schema, lambda texts, images: (batch.select([*{*texts, images.name}]) for batch in stream)


def _parquet_batches(file: pq.ParquetFile, texts: list[str], images: ImageCells) -> Iterator[pa.RecordBatch]:
    for group in range(file.metadata.num_row_groups):
        columns = [*texts, *images.leaves(file.metadata.row_group(group))]
        yield from file.iter_batches(BATCH_SIZE, row_groups=[group], columns=columns)
