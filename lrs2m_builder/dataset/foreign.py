"""Parquet files of any origin: what their columns must hold to be read as records, and errors of reading as one line.

The types of a record are those of `stored_rows.RECORD_SCHEMA`. Other ways to hold the same (a dictionary of text, large
lists, whole numbers as floats, as pandas writes those with gaps) are read as they are; anything else is refused.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as kinds

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA, REJECTION_SCHEMA
from lrs2m_builder.errors import UserError, one_line

_COUNTED_BY_DUCKDB = {"file_row_number", "file_index"}  # it adds columns of these names

_IMAGES_AS_BYTES = RECORD_SCHEMA.set(RECORD_SCHEMA.get_field_index("image"), pa.field("image", pa.binary()))


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn what a broken, cut or encrypted file, or text that is no UTF-8, raises while it is read into one line.

    A full disk is not the file's fault and stays an OSError.
    """
    try:
        yield
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {_first_line(error)}") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise UserError(f"{path}: cannot be read: {_first_line(error)}") from error


def check_files(
    files: Sequence[Path], needs: Sequence[str], uses: Sequence[str] = (), schema: pa.Schema = RECORD_SCHEMA
) -> bool:
    """Look at the columns of each file, before any row is read; returns whether all files have the same columns.

    Args:
        needs: columns of `schema` that must be there and hold what they hold there.
        uses: columns that may be missing, but must hold that if they are there.

    Raises:
        UserError: a file is no Parquet, a column is missing, twice there, or holds something else.
    """
    seen: list[pa.Schema] = []
    for file in files:
        with reading(file):
            found = pq.read_schema(file)
        if any(found.equals(each) for each in seen):
            continue
        _check(file, found, needs, uses, schema)
        seen.append(found)
    return len(seen) <= 1


def check_pairs(files: Sequence[Path], texts: Sequence[str] = (), uses: Sequence[str] = ()) -> None:
    """`check_files` for images with texts; an image may also be its bytes and nothing else."""
    for file in files:
        with reading(file):
            found = pq.read_schema(file)
        is_bytes = "image" in found.names and _is_like(found.field("image").type, pa.binary())
        _check(file, found, ("image", *texts), uses, _IMAGES_AS_BYTES if is_bytes else RECORD_SCHEMA)


def check_rejections(files: Sequence[Path]) -> None:
    """`check_files` for the files of rejected samples."""
    check_files(files, REJECTION_SCHEMA.names, schema=REJECTION_SCHEMA)


def _check(file: Path, found: pa.Schema, needs: Sequence[str], uses: Sequence[str], schema: pa.Schema) -> None:
    names = found.names
    if missing := [name for name in needs if name not in names]:
        raise UserError(f"{file}: no column {missing[0]!r}; it has {', '.join(sorted(names)) or 'none'}")
    # SQL does not tell capitals from small letters, and no reader tells two columns of one name apart.
    times = Counter(name.casefold() for name in names)
    for name in (*needs, *uses):
        if times[name.casefold()] > 1:
            raise UserError(f"{file}: column {name!r} is there {times[name.casefold()]} times; rename the others")
        if name not in names:
            continue
        kind, wanted = found.field(name).type, schema.field(name).type
        if not (_is_like(kind, wanted) or (kinds.is_null(kind) and name not in needs)):
            raise UserError(f"{file}: column {name!r} holds {_shown(kind)}, needs {_words(wanted)}")
    if taken := _COUNTED_BY_DUCKDB & set(map(str.casefold, names)):
        raise UserError(f"{file}: a column is called {min(taken)!r}, which the reader adds itself; rename it")


def _is_like(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of a type can be read where another is expected, without any being changed."""
    if kinds.is_dictionary(kind):
        return bool(kinds.is_string(wanted)) and _is_text(kind.value_type)
    if kinds.is_string(wanted):
        return _is_text(kind)
    if kinds.is_integer(wanted):
        return bool(kinds.is_integer(kind) or kinds.is_floating(kind))
    if kinds.is_binary(wanted):
        return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_binary_view(kind))
    if kinds.is_list(wanted):
        return _is_list(kind) and (kinds.is_null(kind.value_type) or _is_like(kind.value_type, wanted.value_type))
    if kinds.is_struct(wanted):
        return bool(kinds.is_struct(kind)) and _has_fields(kind, wanted)
    return bool(kind.equals(wanted))


def _has_fields(kind: pa.StructType, wanted: pa.StructType) -> bool:
    names = [field.name for field in kind]
    return all(
        names.count(field.name) == 1
        and (kinds.is_null(kind.field(field.name).type) or _is_like(kind.field(field.name).type, field.type))
        for field in wanted
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    tests = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list, kinds.is_list_view, kinds.is_large_list_view)
    return any(test(kind) for test in tests)


def _words(kind: pa.DataType) -> str:
    """A type of ours as a person would say it."""
    if kinds.is_list(kind):
        return f"lists of {_words(kind.value_type)}"
    if kinds.is_struct(kind):
        return f"structs of {', '.join(f'{field.name} ({_words(field.type)})' for field in kind)}"
    return "text" if kinds.is_string(kind) else "whole numbers" if kinds.is_integer(kind) else "bytes"


def _shown(kind: pa.DataType) -> str:
    return f"{kind}"[:200]


def plain_rows(batch: pa.RecordBatch, path: Path | str) -> list[dict[str, Any]]:
    """The rows of a batch as Python values.

    Raises:
        UserError: a value that Python cannot hold, such as a date of the year 100,000, or text that is no UTF-8.
    """
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {_first_line(error)}") from error
    return rows


def as_record(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the columns that a record has in a record's types; what holds something else stays as it is.

    Raises:
        pa.ArrowException: a number that is none, or too large.
    """
    columns = [
        column.cast(wanted.type) if (wanted := _field(name)) and _is_like(column.type, wanted.type) else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _field(name: str) -> pa.Field | None:
    return RECORD_SCHEMA.field(name) if name in RECORD_SCHEMA.names else None


def _first_line(error: BaseException) -> str:
    return one_line(Exception(str(error).strip().split("\n")[0])) if str(error).strip() else type(error).__name__
