"""Writes and reads Parquet shards.

    OUT/data/<subset>/train-00000.parquet        the records
    OUT/rejected/<subset>/train-00000.parquet    the rejected samples, with reasons

`commit.py` makes both files one state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.build.commit import NOT_PARQUET, Shard, ShardStatus, commit, seal
from lrs2m_builder.build.stored_rows import RECORD_SCHEMA, REJECTION_SCHEMA, record_row, rejection_row
from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.exchange import Attempt
from lrs2m_builder.images.geo_key import GeoKey
from lrs2m_builder.images.load import StoredImage, load_stored
from lrs2m_builder.images.part import ALL, Part
from lrs2m_builder.schema import ImageRef, Record, Rejection
from lrs2m_builder.stores._base import ReplacedError, StoredFile

BYTES_PER_GROUP = 256 * 2**20
ROWS_PER_GROUP = 100  # the Hub's viewer and random access read one group at a time
ROWS_PER_GROUP_OF_TEXT = 5000  # if rows contain no image

# Columns without a dictionary, like image bytes: zstd already compresses equal images in adjacent rows.
_DIFFERENT = {"sample_id", "image_sha256", "caption_short", "caption_long", "detail"}
# pyarrow's errors for a value that a column cannot hold; half a surrogate pair raises a kind of ValueError.
_NOT_STORABLE = (pa.ArrowException, ValueError, TypeError, OverflowError)


def write_shard(
    shard: Shard,
    order: Sequence[str],
    outcomes: dict[str, Record | Rejection],
    part: Part = ALL,
    *,
    before: ShardStatus | None = None,
    number: int = 0,
    verify_images: bool = True,
    embed_images: bool = True,
) -> Counter[str] | None:
    """Write a shard, merging it with what it was before.

    Args:
        order: the sample ids of the whole shard in source order, the order of the rows.
        outcomes: the new outcomes of samples; the others are taken from the existing files.
        part: which bands and which of several images side by side are stored.
        before: the content of the shard when its work began; None if it was not written.
        number: the round of retries, for the footer.
        verify_images: decode each image to check that it is complete; not needed if a model has seen it.
        embed_images: store the bytes of the images; otherwise only their names, and no image is opened.

    Returns:
        Counts of the given samples by reason of rejection, "" for records; None if another writer was faster, whose
        shard stays as it is.

    Raises:
        UserError: the disk is full or fails; the shard is then unchanged.
    """
    kept = {r.sample_id: r for r in read_rejections(shard)} if before and before.is_whole else {}
    rejections = {**kept, **{k: v for k, v in outcomes.items() if isinstance(v, Rejection)}}

    def rows() -> Iterator[dict[str, Any]]:
        old = stored_rows(shard, before.found) if before else iter(())
        upcoming = next(old, None)
        images = _ImageReader(part, verify=verify_images)
        for sample_id in order:
            if upcoming is not None and upcoming["sample_id"] == sample_id:
                row, upcoming = upcoming, next(old, None)
            elif isinstance(outcome := outcomes.get(sample_id), Record):
                try:
                    row = record_row(outcome, images.read(outcome.image_path) if embed_images else None)
                except SampleError as error:  # readable when it was captioned, but no longer
                    rejections[sample_id] = Rejection(sample_id, error.reason, error.detail, outcome.history)
                    continue
            else:
                continue
            rejections.pop(sample_id, None)
            yield row
        if upcoming is not None:
            raise UserError(
                f"{shard.where(shard.data)}: row {upcoming['sample_id']} is not in the source's order; was the file "
                "changed? Move it away and run the same command again"
            )

    def refused() -> list[Rejection]:
        return [rejections[sample_id] for sample_id in order if sample_id in rejections]

    def refuse(row: dict[str, Any], why: str) -> None:
        sample_id, outcome = row["sample_id"], outcomes.get(row["sample_id"])
        history = outcome.history if isinstance(outcome, Record) else ()
        rejections[sample_id] = Rejection(sample_id, "not_storable", why, history)

    batches = _row_batches(RECORD_SCHEMA, rows(), refuse)
    try:
        won = _write_both(shard, batches, refused, len(order), number, before)
    except ReplacedError:
        won = False
    if not won:
        return None
    return Counter(rejections[sample_id].reason if sample_id in rejections else "" for sample_id in outcomes)


def _write_both(
    shard: Shard,
    records: Iterable[pa.RecordBatch],
    rejections: Callable[[], Sequence[Rejection]],
    num_samples: int,
    number: int,
    before: ShardStatus | None,
) -> bool:
    """Write both files of a shard and commit them; writing the records may add rejections."""
    with shard.store.draft(shard.data) as data, shard.store.draft(shard.rejected) as rejected:
        with _writer(data, RECORD_SCHEMA) as writer:
            geo = GeoKey()
            num_records = _write_batches(writer, _watched(records, geo))
            refused = rejections()
            if num_records + len(refused) != num_samples:
                raise AssertionError(
                    f"{shard.where(shard.data)}: {num_samples} samples, {num_records} + {len(refused)} rows"
                )
            with _writer(rejected, REJECTION_SCHEMA) as rejected_writer:
                _write_batches(rejected_writer, _row_batches(REJECTION_SCHEMA, map(rejection_row, refused), _raise))
            writer.add_key_value_metadata({**seal(shard, rejected, num_samples, number), **geo.metadata()})
        return commit(shard, data, rejected, before.found if before else None)


def _watched(batches: Iterable[pa.RecordBatch], geo: GeoKey) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        geo.add(batch)
        yield batch


def iter_rows(file: Path | BinaryIO, columns: Sequence[str] | None = None, shown: str = "") -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard, one row group at a time.

    Args:
        shown: its name in error messages, if it is an open file.

    Raises:
        UserError: the file is not readable Parquet.
    """
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            for group in range(parquet.num_row_groups):
                yield from parquet.read_row_group(group, columns=columns).to_pylist()
    except NOT_PARQUET as error:
        raise UserError(
            f"{shown or file}: not a readable shard ({one_line(error)}); delete it and run the same command again"
        ) from error


def stored_rows(shard: Shard, found: StoredFile, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of a shard, as it was found.

    Raises:
        UserError: the file is not readable Parquet.
        ReplacedError: it is another file now.
    """
    with shard.store.open(found) as file:
        yield from iter_rows(file, columns, shard.where(found.name))


def read_rejections(shard: Shard) -> list[Rejection]:
    """The rejections of a shard, in the order of the source."""
    found = shard.store.find(shard.rejected)
    return rejections_of(stored_rows(shard, found)) if found else []


def rejections_of(rows: Iterable[Mapping[str, Any]]) -> list[Rejection]:
    """Rejections from rows as a file holds them."""
    return [
        Rejection(
            sample_id=row["sample_id"],
            reason=row["reason"],
            detail=row["detail"],
            attempts=tuple(_attempt(row["sample_id"], attempt) for attempt in row["attempts"]),
            problems=tuple(row.get("problems") or ()),
        )
        for row in rows
    ]


def _attempt(sample_id: str, stored: Mapping[str, Any]) -> Attempt:
    """An answer of a rejected sample; an earlier version did not number texts."""
    return Attempt(sample_id=sample_id, **{**stored, "text_number": stored.get("text_number") or 0})


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer that adds checksums to pages, so that a flipped bit is detected on reading."""
    repeated = [field.name for field in schema if pa.types.is_string(field.type) and field.name not in _DIFFERENT]
    return pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=repeated, write_page_index=True, write_page_checksum=True
    )


def _write_batches(writer: pq.ParquetWriter, batches: Iterable[pa.RecordBatch]) -> int:
    """Write all batches; returns the number of rows."""
    num_rows = 0
    for batch in batches:
        writer.write_batch(batch, row_group_size=ROWS_PER_GROUP_OF_TEXT)
        num_rows += len(batch)
    return num_rows


def _row_batches(
    schema: pa.Schema, rows: Iterable[dict[str, Any]], refuse: Callable[[dict[str, Any], str], None]
) -> Iterator[pa.RecordBatch]:
    """Rows as batches; a row that the schema cannot hold is refused individually."""
    for group in _groups(rows):
        try:
            yield pa.RecordBatch.from_pylist(group, schema=schema)
        except _NOT_STORABLE:
            yield pa.RecordBatch.from_pylist(list(_storable_rows(schema, group, refuse)), schema=schema)


def _storable_rows(
    schema: pa.Schema, rows: Iterable[dict[str, Any]], refuse: Callable[[dict[str, Any], str], None]
) -> Iterator[dict[str, Any]]:
    for row in rows:
        try:
            pa.RecordBatch.from_pylist([row], schema=schema)
        except _NOT_STORABLE as error:
            refuse(row, one_line(error))
        else:
            yield row


def _raise(row: dict[str, Any], why: str) -> None:
    raise AssertionError(f"{row['sample_id']}: its rejection cannot be stored: {why}")


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in groups of ROWS_PER_GROUP, or fewer if their images are large: a group is held in memory."""
    group: list[dict[str, Any]] = []
    size = num_images = 0
    for row in rows:
        image = row["image"]["bytes"] if "image" in row else None
        if group and size + len(image or b"") > BYTES_PER_GROUP:
            yield group
            group, size, num_images = [], 0, 0
        group.append(row)
        size, num_images = size + len(image or b""), num_images + (image is not None)
        if num_images == ROWS_PER_GROUP or len(group) == ROWS_PER_GROUP_OF_TEXT:
            yield group
            group, size, num_images = [], 0, 0
    if group:
        yield group


class _ImageReader:
    """Reads the image of each row, only once if adjacent rows share it."""

    def __init__(self, part: Part, *, verify: bool) -> None:
        self._part, self._verify = part, verify
        self._path: ImageRef | None = None
        self._image: StoredImage | None = None

    def read(self, path: ImageRef | None) -> StoredImage:
        if path is None:
            raise SampleError("image_missing", "no file")
        if path != self._path or self._image is None:
            self._image, self._path = load_stored(path, self._part, verify=self._verify), path
        return self._image
