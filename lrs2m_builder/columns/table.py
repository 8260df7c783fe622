"""A source and the file that is joined to it, read once, by the column, and judged: which rows are ordinary?

An ordinary row has one plain text of each kind in which no check would find anything, and its image is there: the
record follows from the columns. Every other row becomes a sample and goes the way of all samples. Where a format cannot
be read so, or too few rows are ordinary, nothing is lost: the source is read by the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import cpu_count
from posixpath import splitext

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lrs2m_builder.columns.texts import measure_texts
from lrs2m_builder.columns.vocabulary import Vocabulary
from lrs2m_builder.recipe import Recipe
from lrs2m_builder.schema import CaptionColumn, Sample
from lrs2m_builder.sources import Joined, Mentions, Source, make_sample
from lrs2m_builder.sources.base import NotColumnarError, SourceColumns, SourceRow
from lrs2m_builder.sources.entering import entered
from lrs2m_builder.sources.resolve import PARTS
from lrs2m_builder.text import MAX_TEXT, normalise_caption

WORKERS = cpu_count() or 1
MAX_BYTES = 4 * 2**30  # of both files: their texts are held in memory
MIN_ORDINARY = 0.7  # share of the rows below which they are better read by the row
_ODD_NAME = r"[\x00-\x1f\x7f]|[^\x00-\x7f]|(?:^|/)\.*$"  # letter case or extension are not told by a pattern
_STEM = r"^(?:.*/)?(\.*[^./][^/]*?)(?:\.[^./]*)?$"


@dataclass(frozen=True, slots=True)
class ColumnTable:
    """A source by the column (N rows).

    Attributes:
        rows: image_name, caption_short, caption_long, num_tokens_short, num_tokens_long. Of a row that is not ordinary
            they mean nothing.
        others: the samples of the rows that are not ordinary, by their number.
    """

    rows: pa.Table
    others: Mapping[int, Sample]

    @property
    def known(self) -> dict[str, int]:
        """What build.json says of it."""
        return {"number": self.rows.num_rows}


def fits(source: Source, recipe: Recipe) -> bool:
    """Whether a source may be read by the column: two text files, a recipe without steps, checks that have a screen."""
    manifest, joined = source.manifest, source.joined
    if recipe.steps or manifest.rows != "image" or manifest.split or manifest.numbering or joined is None:
        return False
    checks = [check for checks in recipe.given_checks.values() for check in checks]
    if not set(recipe.reads) <= {"captions", "caption_long"} or any(check.screen is None for check in checks):
        return False
    paths = (*source.annotations, *joined.annotations)
    if any(path.suffix in PARTS or not path.is_file() for path in paths):
        return False
    return sum(path.stat().st_size for path in paths) <= MAX_BYTES


def read_table(source: Source, recipe: Recipe, limit: int | None) -> ColumnTable | None:
    """Read a source for a recipe that it fits; None where it has to be read by the row after all.

    Raises:
        UserError: a file is broken.
    """
    assert source.joined is not None
    try:
        with threads() as pool:
            reading, judge = pool.submit(_Partners, source.joined), _Judge(source, recipe)
            batches = [
                (batch, pool.submit(judge.measure, "caption_long", batch.texts)) for batch in _until(source, limit)
            ]
            names = pa.chunked_array([batch.image_names for batch, _ in batches], pa.string())
            if not len(names):
                return None
            partners = reading.result()
            numbers = partners.find(names)
            times = _times(names, numbers)
            sorted_out, start = [], 0
            for batch, long in batches:
                here = slice(start, start + len(batch.texts))
                mentions = _Mentions(batch.image_names, times[here], numbers[here])
                sorted_out.append(pool.submit(judge.sort, mentions, long.result(), partners))
                start = here.stop
            rows = pa.Table.from_batches([each.result() for each in sorted_out])
    except (NotColumnarError, pa.ArrowInvalid, pa.ArrowCapacityError):  # the last two: over 2 GiB of text in one array
        return None
    is_ordinary = rows["is_ordinary"].to_numpy()
    if is_ordinary.mean() < MIN_ORDINARY:
        return None
    others = {}
    texts = pa.chunked_array([batch.texts for batch, _ in batches])
    for number in np.flatnonzero(~is_ordinary).tolist():
        given = partners.captions(int(numbers[number]))
        row = entered(SourceRow(names[number].as_py(), given, texts[number].as_py()))
        others[number] = make_sample(source, row, tuple(dict.fromkeys(row.captions)), 0, int(times[number]))
    return ColumnTable(rows.drop_columns("is_ordinary"), others)


@dataclass(frozen=True, slots=True)
class _Mentions:
    """Images as rows name them: how often up to then, and the number of the key in the joined file or -1, (N,) each."""

    names: pa.StringArray
    times: NDArray[np.int32]
    partners: NDArray[np.int32]


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """One for each core; when something fails, what has not begun is dropped."""
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="columns")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _until(source: Source, limit: int | None) -> Iterator[SourceColumns]:
    """The batches of a source; of the last one what the limit leaves."""
    left = limit
    for batch in source.columns():
        if batch.kind != "caption_long":
            raise NotColumnarError
        yield batch if left is None else replace(batch, image_names=batch.image_names[:left], texts=batch.texts[:left])
        if left is not None and (left := left - len(batch.texts)) <= 0:
            return


def _times(names: pa.ChunkedArray, partners: NDArray[np.int32]) -> NDArray[np.int32]:
    """How often the image of each row has been named so far, (N,)."""
    has_own_partner = bool((partners >= 0).all()) and int(np.bincount(partners).max()) == 1
    if has_own_partner or len(pc.unique(names)) == len(names):
        return np.ones(len(names), np.int32)
    return np.array(list(map(Mentions().count, names.to_pylist())), np.int32)


def _keys(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """What `join_key` makes of names, (N,)."""
    if pc.any(pc.match_substring_regex(names, _ODD_NAME)).as_py():
        raise NotColumnarError
    names = pc.ascii_lower(names)
    if not len(names):
        return names
    head, slash, last = str(names[0]).rpartition("/")
    folder, suffix = head + slash, splitext(last)[1]
    if suffix and pc.all(pc.and_(pc.starts_with(names, folder), pc.ends_with(names, suffix))).as_py():
        stems = pc.utf8_slice_codeunits(names, len(folder), -len(suffix))
        if not pc.any(pc.match_substring_regex(stems, r"^\.*$|/")).as_py():  # all are called like the first
            return stems
    return pc.replace_substring_regex(names, _STEM, r"\1")


class _Partners:
    """The short texts of the joined file, by the key of their image (see `Joined.captions`)."""

    def __init__(self, joined: Joined) -> None:
        batches = [batch for batch in joined.columns() if len(batch.texts)]
        if not batches or any(batch.kind != "caption_short" for batch in batches):
            raise NotColumnarError
        self._texts = pa.concat_arrays([batch.texts for batch in batches])
        keys = _keys(pa.chunked_array([batch.image_names for batch in batches])).combine_chunks()
        self._keys, codes = keys, np.arange(len(keys), dtype=np.int32)
        if len(pc.unique(keys)) < len(keys):
            encoded = keys.dictionary_encode()
            self._keys, codes = encoded.dictionary, encoded.indices.to_numpy()
        self._order = np.argsort(codes, kind="stable")  # the texts, those of a key together
        self._begins = np.searchsorted(codes[self._order], np.arange(len(self._keys) + 1))

    def find(self, names: pa.ChunkedArray) -> NDArray[np.int32]:
        """The numbers of the keys of names (N,), -1 where there is none."""
        found: NDArray[np.int32] = pc.index_in(_keys(names), value_set=self._keys).fill_null(-1).to_numpy()
        return found

    def first(self, numbers: NDArray[np.int32]) -> tuple[pa.StringArray, NDArray[np.bool_]]:
        """The first text of each key (N,), "" for none, and whether it is the only one."""
        first = self._order[self._begins[np.maximum(numbers, 0)]]
        is_only = (self._begins[numbers + 1] - self._begins[numbers] == 1) & (numbers >= 0)
        return self._texts.take(pa.array(first, mask=numbers < 0)).fill_null(""), is_only

    def captions(self, number: int) -> tuple[str, ...]:
        """The texts of a key, as they stand there."""
        mine = self._order[self._begins[number] : self._begins[number + 1]] if number >= 0 else ()
        return tuple(self._texts[each].as_py() for each in mine)


@dataclass(frozen=True, slots=True)
class _Judged:
    """Texts (N,) as they are stored, their CLIP tokens, and which are plain and without anything a check might find."""

    texts: pa.StringArray
    num_tokens: NDArray[np.int32]
    is_ordinary: NDArray[np.bool_]


class _Judge:
    """Tells ordinary rows from others."""

    def __init__(self, source: Source, recipe: Recipe) -> None:
        self._source, self._checks = source, recipe.given_checks
        self._vocabulary = Vocabulary()

    def measure(self, column: CaptionColumn, texts: pa.StringArray) -> _Judged:
        """Judge the texts of a column, normalised where they are not plain."""
        length = pc.binary_length(texts).to_numpy(zero_copy_only=False)
        known = measure_texts(texts, self._vocabulary)
        if not known.plain.all():
            odd = texts.filter(pa.array(~known.plain))
            repaired = pa.array(list(map(normalise_caption, odd.to_pylist())), pa.string())
            texts = pc.replace_with_mask(texts, ~known.plain, repaired)
            known = known.replaced(measure_texts(repaired, self._vocabulary))
        is_ordinary = known.plain & (length <= MAX_TEXT)
        for check in self._checks.get(column, ()):
            assert check.screen is not None
            is_ordinary = is_ordinary & ~check.screen(known)
        return _Judged(texts, known.num_tokens, is_ordinary)

    def sort(self, rows: _Mentions, long: _Judged, partners: _Partners) -> pa.RecordBatch:
        """The columns of a batch, and which of its rows are ordinary."""
        names = rows.names.to_pylist()
        texts, is_only = partners.first(rows.partners)
        short = self.measure("caption_short", texts)
        is_found = np.array(self._source.images.find_each(names), bool)
        is_ordinary = is_found & (rows.times == 1) & is_only & short.is_ordinary & long.is_ordinary
        columns = {
            "image_name": rows.names,
            "caption_short": short.texts,
            "caption_long": long.texts,
            "num_tokens_short": pa.array(short.num_tokens),
            "num_tokens_long": pa.array(long.num_tokens),
            "is_ordinary": pa.array(is_ordinary),
        }
        return pa.record_batch(columns)
