"""Foreign Parquet files: checks that their columns can be read as records, and turns read errors into one line.

The types of a record are those of `stored_rows.RECORD_SCHEMA`. Equivalent types (a dictionary of text, large
lists, whole numbers as floats, as pandas writes those with gaps) are accepted; anything else is refused.
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

from lrs2m_builder.build.stored_rows import ADDED, RECORD_SCHEMA, REJECTION_SCHEMA
from lrs2m_builder.errors import UserError, one_line

_ADDED_FIELDS = {"text_number"}  # what structs written by an earlier version do not have
_COUNTED_BY_DUCKDB = {"file_row_number", "file_index"}  # columns that DuckDB adds

_IMAGES_AS_BYTES = RECORD_SCHEMA.set(RECORD_SCHEMA.get_field_index("image"), pa.field("image", pa.binary()))


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn the errors of a broken, truncated or encrypted file, or of text that is not UTF-8, into one line.

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
    """Check the columns of each file before any row is read; returns whether all files have the same columns.

    Args:
        needs: columns of `schema` that must exist with an equivalent type.
        uses: columns that may be missing, but otherwise need an equivalent type.

    Raises:
        UserError: a file is not Parquet, or a column is missing, duplicated or of another type.
    """
    seen: list[pa.Schema] = []
    for file in files:
        with reading(file):
            file_schema = pq.read_schema(file)
        if any(file_schema.equals(other) for other in seen):
            continue
        _check(file, file_schema, needs, uses, schema)
        seen.append(file_schema)
    return len(seen) <= 1


def check_pairs(files: Sequence[Path], texts: Sequence[str] = (), uses: Sequence[str] = ()) -> None:
    """`check_files` for images with texts; an image may also be plain bytes."""
    for file in files:
        with reading(file):
            file_schema = pq.read_schema(file)
        is_bytes = "image" in file_schema.names and _is_like(file_schema.field("image").type, pa.binary())
        _check(file, file_schema, ("image", *texts), uses, _IMAGES_AS_BYTES if is_bytes else RECORD_SCHEMA)


def check_rejections(files: Sequence[Path]) -> None:
    """`check_files` for the files of rejected samples."""
    needs = [name for name in REJECTION_SCHEMA.names if name not in ADDED]
    check_files(files, needs, schema=REJECTION_SCHEMA)


def _check(file: Path, columns: pa.Schema, needs: Sequence[str], uses: Sequence[str], schema: pa.Schema) -> None:
    names = columns.names
    if missing := [name for name in needs if name not in names]:
        raise UserError(f"{file}: no column {missing[0]!r}; it has {', '.join(sorted(names)) or 'none'}")
    # SQL ignores letter case, and no reader distinguishes two columns of one name.
    times = Counter(name.casefold() for name in names)
    for name in (*needs, *uses):
        if times[name.casefold()] > 1:
            raise UserError(f"{file}: column {name!r} occurs {times[name.casefold()]} times; rename the others")
        if name not in names:
            continue
        kind, wanted = columns.field(name).type, schema.field(name).type
        if not (_is_like(kind, wanted) or (kinds.is_null(kind) and name not in needs)):
            raise UserError(f"{file}: column {name!r} holds {_shown(kind)}, needs {_words(wanted)}")
    if taken := _COUNTED_BY_DUCKDB & set(map(str.casefold, names)):
        raise UserError(f"{file}: column {min(taken)!r} has a name that the reader adds itself; rename it")


def _is_like(kind: pa.DataType, target: pa.DataType) -> bool:
    """Whether values of a type can be read as another without changing any value."""
    if kinds.is_dictionary(kind):
        return bool(kinds.is_string(target)) and _is_text(kind.value_type)
    if kinds.is_string(target):
        return _is_text(kind)
    if kinds.is_integer(target):
        return bool(kinds.is_integer(kind) or kinds.is_floating(kind))
    if kinds.is_floating(target):
        return bool(kinds.is_integer(kind) or kinds.is_floating(kind))
    if kinds.is_timestamp(target):
        return bool(kinds.is_timestamp(kind) or kinds.is_date(kind))
    if kinds.is_binary(target):
        return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_binary_view(kind))
    if kinds.is_list(target):
        return _is_list(kind) and (kinds.is_null(kind.value_type) or _is_like(kind.value_type, target.value_type))
    if kinds.is_struct(target):
        return bool(kinds.is_struct(kind)) and _has_fields(kind, target)
    return bool(kind.equals(target))


def _has_fields(kind: pa.StructType, target: pa.StructType) -> bool:
    names = [field.name for field in kind]
    return all(
        (field.name in _ADDED_FIELDS and field.name not in names)
        or (
            names.count(field.name) == 1
            and (kinds.is_null(kind.field(field.name).type) or _is_like(kind.field(field.name).type, field.type))
        )
        for field in target
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    tests = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list, kinds.is_list_view, kinds.is_large_list_view)
    return any(test(kind) for test in tests)


def _words(kind: pa.DataType) -> str:
    """A record's type in words."""
    if kinds.is_list(kind):
        return f"lists of {_words(kind.value_type)}"
    if kinds.is_struct(kind):
        return f"structs of {', '.join(f'{field.name} ({_words(field.type)})' for field in kind)}"
    names = ((kinds.is_string, "text"), (kinds.is_integer, "whole numbers"), (kinds.is_floating, "numbers"))
    return next((words for is_kind, words in names if is_kind(kind)), "times" if kinds.is_timestamp(kind) else "bytes")


def _shown(kind: pa.DataType) -> str:
    return f"{kind}"[:200]


def plain_rows(batch: pa.RecordBatch, path: Path | str) -> list[dict[str, Any]]:
    """The rows of a batch as Python values.

    Raises:
        UserError: a value that Python cannot represent, such as a date of the year 100,000, or text that is not UTF-8.
    """
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {_first_line(error)}") from error
    return rows


def as_record(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with a record's columns cast to a record's types; other columns stay unchanged.

    Raises:
        pa.ArrowException: a number is invalid or too large.
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
