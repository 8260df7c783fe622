"""Makes batches from the rows of a plan: decoded images, and texts as token ids."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from lrs2m_builder.checks.base import split_sentences
from lrs2m_builder.clip.preprocess import Transform
from lrs2m_builder.clip.tokens import Tokenize
from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.images.files import image_ref
from lrs2m_builder.images.load import decode
from lrs2m_builder.train.augment import Augmentation, augment_caption, augment_image
from lrs2m_builder.train.index import SEVERAL, RowIndex, Rows
from lrs2m_builder.train.plan import STREAMS, EpochPlan
from lrs2m_builder.train.streaming import GroupCache

TrainOn = Literal["both", "short", "long", "first_sentence"]
COLUMNS: dict[TrainOn, tuple[str, ...]] = {
    "both": ("caption_long", "caption_short"),
    "short": ("caption_short",),
    "long": ("caption_long",),
    "first_sentence": ("caption_long",),
}
READ_ROWS = 256  # rows of a row group read at once
BUFFER_BYTES = 1 << 20  # bytes of a column read at once
OPEN_FILES = 16
MAX_TRIES = 16  # rows tried for one position in a batch before the data counts as broken


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of one process; a text that is not trained on is None; T is the length of the longest text.

    Attributes:
        pixels_BCHW: uint8, normalised on the device; in memory the channels come last (`torch.channels_last`).
        image_ids_B, long_ids_B, short_ids_B: equal numbers mean equal content.
        num_unreadable: number of unreadable images, each replaced by a row of a later batch.
        problem: the error of the first of them.
    """

    pixels_BCHW: Tensor
    long_BT: Tensor | None
    short_BT: Tensor | None
    image_ids_B: Tensor
    long_ids_B: Tensor | None
    short_ids_B: Tensor | None
    num_unreadable: int = 0
    problem: str = ""

    def pin_memory(self) -> Batch:
        """The batch in pinned memory; the DataLoader calls this."""
        return self.each(lambda tensor: tensor.pin_memory())

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with a function applied to each tensor."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(value) for name, value in values.items() if isinstance(value, Tensor)})


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """Settings for turning rows into tensors.

    Attributes:
        transform: `ToPixels`, or a transform to normalised floats.
        length_multiple: texts are padded to a multiple of this number of tokens; 1 pads to the longest of the batch.
        image_dir: folder of the images, if the rows contain only their names.
        augment_captions: probability that a long text loses its opening; the other sentences are sampled and shuffled.
        augment_images: names of image augmentations.
        cache: gives the row groups of streamed data.
    """

    train_on: TrainOn
    tokenize: Tokenize
    transform: Transform
    image_size: int
    length_multiple: int = 1
    image_dir: Path | None = None
    augment_captions: float = 0.0
    augment_images: tuple[Augmentation, ...] = ()
    cache: GroupCache | None = None


class BatchRows(Dataset[Batch]):  # type: ignore[misc]
    """Batches by their number in the plan; caches the rows of the current pools.

    A row group is read when one of its rows is first needed; only those rows of the open pools are cached that this
    worker of the DataLoader makes batches of.

    A row with several long texts is read with one of them, with another one in each epoch.

    Args:
        key: seed and epoch; the chosen texts follow from it, and the augmentations from it with the batch's number and
            the place in the batch of all processes.
        start: number of the first batch that is asked for.
    """

    def __init__(
        self, index: RowIndex, plan: EpochPlan, reading: ReadSettings, key: tuple[int, ...] = (0,), *, start: int = 0
    ) -> None:
        self._key, self._start = key, start
        self._index, self._plan, self._reading = index, plan, reading
        self._columns = ["image", *COLUMNS[reading.train_on]]
        self._pools: dict[int, _Pool] = {}  # the open ones, by their stream
        self._files: dict[Path, pq.ParquetFile] = {}

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> Batch:
        pool = self._open_pool(int(self._plan.pools[number]))
        rows, images, problems = [], [], []
        for place in range(self._plan.rows.shape[1]):
            row, image, failed = self._readable(pool, number, place)
            rows.append(row)
            images.append(image)
            problems += failed
        texts = {name: [row[name] for row in rows] for name in self._columns[1:]}
        if self._reading.augment_captions and "caption_long" in texts:
            texts["caption_long"] = [
                self._other_text(text, self._key_of(number, place)) for place, text in enumerate(texts["caption_long"])
            ]
        return _make_batch(rows, texts, images, problems, self._reading)

    def _key_of(self, number: int, place: int) -> tuple[int, ...]:
        return (*self._key, number, self._plan.first_place + place)

    def _other_text(self, text: str, key: tuple[int, ...]) -> str:
        """The text or, with probability `augment_captions`, an augmented one."""
        random = np.random.default_rng(key)
        return augment_caption(text, random) if random.random() < self._reading.augment_captions else text

    def _readable(self, pool: _Pool, number: int, place: int) -> tuple[dict[str, Any], Tensor, list[str]]:
        """The row at a position in a batch, or the first readable one at that position in the pool's next batches."""
        problems: list[str] = []
        for tries in range(MAX_TRIES):
            row_number = int(self._plan.rows[(number + tries * STREAMS) % len(self._plan), place])
            row = self._row(pool, row_number)
            try:
                return row, self._pixels(row["image"], self._key_of(number, place)), problems
            except SampleError as error:
                group = self._index.groups[self._index.group_of(row_number)]
                where = f"{group.path} row {row_number - group.first_row} of group {group.number}"
                problems.append(f"{where}: {one_line(error)}")
        raise UserError(f"{MAX_TRIES} consecutive images cannot be read; the first: {problems[0]}")

    def _pixels(self, image: dict[str, Any] | bytes, key: tuple[int, ...]) -> Tensor:
        reading = self._reading
        if not reading.augment_images:
            return reading.transform(decode(image_ref(image, reading.image_dir)))
        picture = decode(image_ref(image, reading.image_dir))
        return reading.transform(augment_image(picture, reading.augment_images, reading.image_size, key))

    def _row(self, pool: _Pool, row_number: int) -> dict[str, Any]:
        if row_number not in pool.rows:
            number = self._index.group_of(row_number)
            pool.rows |= self._read_rows(number, pool.needed.pop(number, np.array([row_number])))
        if row_number not in pool.rows:  # of another pool or worker, replacing an unreadable one
            return self._read_rows(self._index.group_of(row_number), np.array([row_number]))[row_number]
        return pool.rows[row_number]

    def _read_rows(self, number: int, rows: Rows) -> dict[int, dict[str, Any]]:
        """Rows of a row group, which is never in memory as a whole: some contain a whole data set."""
        group = self._index.groups[number]
        read: dict[int, dict[str, Any]] = {}
        first = group.first_row
        cache = self._reading.cache
        is_streamed = cache is not None and cache.holds(group)
        try:
            file = cache.open(group) if cache is not None and is_streamed else self._open(group.path)
            has_several = "caption_long" in self._columns and SEVERAL in file.schema_arrow.names
            columns = [*self._columns, *([SEVERAL] if has_several else [])]
            for batch in file.iter_batches(
                READ_ROWS, row_groups=[0 if is_streamed else group.number], columns=columns, use_threads=False
            ):
                for row in rows[(rows >= first) & (rows < first + len(batch))]:
                    values = {name: batch.column(name)[int(row) - first].as_py() for name in columns}
                    read[int(row)] = self._with_one_text(values, int(row))
                first += len(batch)
                if len(read) == len(rows):
                    break
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            raise UserError(f"{group.path}: no longer readable ({one_line(error)}); repair it and run again") from error
        if len(read) < len(rows):
            raise UserError(f"{group.path}: has fewer rows than when the run began; run the command again")
        return read

    def _with_one_text(self, row: dict[str, Any], number: int) -> dict[str, Any]:
        """The row with the text of this epoch among its long ones: a first one by the seed, then in turn."""
        if texts := row.pop(SEVERAL, None):
            seed, epoch = self._key[0], self._key[-1]
            first = int(np.random.default_rng((seed, number)).integers(len(texts)))
            row["caption_long"] = texts[(first + epoch) % len(texts)]
        return row

    def _open(self, path: Path) -> pq.ParquetFile:
        """The opened file; the last few stay open, because reading a footer takes as long as a row group."""
        if path not in self._files:
            if len(self._files) == OPEN_FILES:
                self._files.pop(next(iter(self._files))).close()
            self._files[path] = pq.ParquetFile(path, buffer_size=BUFFER_BYTES, page_checksum_verification=True)
        return self._files[path]

    def _open_pool(self, number: int) -> _Pool:
        """The pool; if it is new, the previous one of its stream is dropped."""
        pool = self._pools.get(number % STREAMS)
        if pool is None or pool.number != number:
            needed = self._needed_of(number)
            pool = self._pools[number % STREAMS] = _Pool(number, needed)
            if self._reading.cache is not None:
                soon, later = (
                    [self._index.groups[each] for each in groups]
                    for groups in (needed, self._needed_of(number + STREAMS))
                )
                self._reading.cache.will_need(soon, later)
        return pool

    def _needed_of(self, number: int) -> dict[int, Rows]:
        """The rows of a pool that this worker makes batches of, by row group, these in the order of their first use."""
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        own = np.arange(self._start + first, len(self._plan), step)
        rows = self._plan.rows[own[self._plan.pools[own] == number]].ravel()
        groups, first_use, group = np.unique(self._index.groups_of(rows), return_index=True, return_inverse=True)
        parts = np.split(rows[np.argsort(group, kind="stable")], np.cumsum(np.bincount(group))[:-1])
        return {int(groups[each]): np.unique(parts[each]) for each in np.argsort(first_use)}


@dataclass(slots=True)
class _Pool:
    """An open pool: the rows of it that were read, and those that will be needed, by row group."""

    number: int
    needed: dict[int, Rows]
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)


def _make_batch(
    rows: list[dict[str, Any]],
    texts: dict[str, list[str]],
    images: list[Tensor],
    problems: list[str],
    reading: ReadSettings,
) -> Batch:
    """The rows as tensors; `texts` are the loaded texts, `rows` give the ids."""
    long, short = texts.get("caption_long"), texts.get("caption_short")
    if reading.train_on == "first_sentence":
        short = [first_sentence(row["caption_long"]) for row in rows]
    return Batch(
        # Stacked as height x width x channel, as they lie in memory: a plain copy of each image.
        pixels_BCHW=torch.stack([image_CHW.movedim(0, -1) for image_CHW in images]).movedim(-1, 1),
        long_BT=_ids(long, reading),
        short_BT=_ids(short, reading),
        image_ids_B=_content_ids([image_key(row["image"]) for row in rows]),
        long_ids_B=None if long is None else _content_ids([row["caption_long"].encode() for row in rows]),
        short_ids_B=None if short is None else _content_ids([text.encode() for text in short]),
        num_unreadable=len(problems),
        problem=problems[0] if problems else "",
    )


def first_sentence(text: str) -> str:
    """The first sentence of a text, used as the short text in one of the paper's ablations."""
    return next(iter(split_sentences(text)), text)


def _ids(texts: Sequence[str] | None, reading: ReadSettings) -> Tensor | None:
    if texts is None:
        return None
    ids_BT = reading.tokenize(texts, trim=True)
    multiple = reading.length_multiple
    longer = min(-(-ids_BT.shape[1] // multiple) * multiple, reading.tokenize.context_length)
    return torch.nn.functional.pad(ids_BT, (0, longer - ids_BT.shape[1]))


def image_key(image: dict[str, Any] | bytes) -> bytes:
    if isinstance(image, bytes):
        return image
    return image["bytes"] if image["bytes"] is not None else str(image["path"]).encode()


def _content_ids(contents: Sequence[bytes]) -> Tensor:
    """One number per distinct content, int64: [B]."""
    digests = [hashlib.blake2b(content, digest_size=8).digest() for content in contents]
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests])
