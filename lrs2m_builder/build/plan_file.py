"""The plan file: the samples of a build, read from the source once, in shards that any process can read by number.

    OUT/plan/<subset>.parquet    a row per sample in the order of the source, a row group per shard
    OUT/plan/<subset>.json       what it was made from: settings, and size and time of the source's files and folders;
                                 and the data folder, by which a viewer finds the images of rejected samples

Worker processes and other machines read the plan and not the source, and so does a resumed build while nothing of what
the plan was made from has changed. The first file depends on the samples alone, and is there before the second.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.build.provenance import fingerprints
from lrs2m_builder.build.sample_rows import SAMPLE_SCHEMA, from_table, to_table
from lrs2m_builder.build.stored_rows import place_columns
from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.errors import UserError, one_line, storable
from lrs2m_builder.files import disk_errors, finished_file
from lrs2m_builder.schema import NOWHERE, Place, Sample
from lrs2m_builder.sources import Source, annotation_files, read_samples
from lrs2m_builder.sources._state import file_states, is_unchanged
from lrs2m_builder.stores._base import ReplacedError, Store, StoreUnavailable, read_object, write_object

PLAN = "plan"  # the folder below OUT
FORMAT = 2
MAX_FOLDERS = 1_000_000  # of images; the source of a build with more is read again whenever it is resumed
_FOOTER = b"lrs2m.plan"
_NOT_A_PLAN = (OSError, pa.ArrowException, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a plan is made from, apart from the content of the source.

    Attributes:
        limit: maximum number of samples, from the first on.
        shard_size: samples of a row group.
    """

    manifest: Manifest
    data_dir: Path
    limit: int | None
    shard_size: int

    def settings(self) -> dict[str, Any]:
        """What an equal plan was made with, and the states of the source's files."""
        return {
            "format": FORMAT,
            "manifest": self.manifest.sha256,
            "limit": self.limit,
            "shard_size": self.shard_size,
            "states": file_states(annotation_files(self.manifest, self.data_dir), self.data_dir),
        }


class PlanFile:
    """The samples of a written plan. Opening it reads its footer; each shard is read when it is asked for.

    Attributes:
        file: its path; or an open file: of an object store, or without a name before a build's folder is its own.
        samples: number and hash of the samples, as in build.json.
    """

    def __init__(self, file: Path | IO[bytes] | BinaryIO, subset: str, data_dir: Path) -> None:
        """Open it.

        Raises:
            OSError, pyarrow.ArrowException, ValueError, KeyError, TypeError: it is not a plan.
        """
        self.file, self.subset, self.data_dir = file, subset, data_dir
        self._parquet = pq.ParquetFile(file, page_checksum_verification=True)
        metadata = self._parquet.metadata
        footer = json.loads((metadata.metadata or {})[_FOOTER])
        self.samples: dict[str, Any] = footer["samples"]
        self._shard_size = int(footer["shard_size"])
        if self._parquet.schema_arrow.names != SAMPLE_SCHEMA.names or metadata.num_rows != self.samples["number"]:
            raise ValueError("it has other columns or rows")

    def shard(self, index: int) -> list[Sample]:
        """The samples of a shard, in the order of the source.

        Raises:
            UserError: the file is damaged.
        """
        try:
            return from_table(self._parquet.read_row_group(index, use_threads=False), self.subset, self.data_dir)
        except (*_NOT_A_PLAN, UnicodeError) as error:
            raise UserError(
                f"{self.file}: cannot be read ({one_line(error)}); delete it and run the same command again"
            ) from error

    def pick(self, numbers: range) -> Iterator[Sample]:
        """The samples with these numbers, in order."""
        index, shard = -1, list[Sample]()
        for number in numbers:
            if number // self._shard_size != index:
                index = number // self._shard_size
                shard = self.shard(index)
            yield shard[number % self._shard_size]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan with what it was made from.

    Attributes:
        fingerprints: name, size and hash of the source's files, as in build.json.
        settings: of its origin, with the states of the source's files.
        folders: when the folders of images last changed (ns); None if they are too many.
        layout: where the images were found.
    """

    file: PlanFile
    fingerprints: dict[str, Any]
    settings: dict[str, Any]
    folders: dict[str, int] | None
    layout: str

    def is_of(self, origin: Origin) -> bool:
        """Whether the plan of an origin would be this one: neither a setting nor a file has changed."""
        same = self.settings == origin.settings()
        return same and self.folders is not None and is_unchanged(self.folders, origin.data_dir)

    def keep(self, store: Store) -> Plan:
        """This plan in the place of a build, where others can read it.

        Raises:
            UserError: the disk is full or fails, or the store does not answer.
        """
        if isinstance(self.file.file, Path):
            return self
        name, notes = _name(self.file.subset), _notes(self.file.subset)
        with store.draft(name) as draft:
            with disk_errors(draft), draft.open("wb") as target:
                self.file.file.seek(0)
                shutil.copyfileobj(self.file.file, target, 2**24)
            while not store.publish(name, draft):
                store.delete(notes)  # they tell of another plan
                if (other := store.find(name)) and store.replace(name, draft, other.version):
                    break
        content = {part: getattr(self, part) for part in _NOTES} | {"data_dir": str(self.file.data_dir.absolute())}
        while not write_object(store, notes, content, store.find(notes)):
            pass  # another process of this build wrote them meanwhile
        path = _local(store, name)
        assert path is not None, "it was published"
        return replace(self, file=PlanFile(path, self.file.subset, self.file.data_dir))


_NOTES = ("fingerprints", "settings", "folders", "layout")


def _name(subset: str) -> str:
    return f"{PLAN}/{subset}.parquet"


def _notes(subset: str) -> str:
    return f"{PLAN}/{subset}.json"


def _local(store: Store, name: str) -> Path | None:
    """A stored file as a file of this machine: itself in a folder, a copy in the scratch of an object store."""
    if store.folder is not None:
        path = store.folder / name
        return path if path.is_file() else None
    if (found := store.find(name)) is None:
        return None
    copy = store.scratch / f"{hashlib.sha256(f'{name} {found.version}'.encode()).hexdigest()[:16]}.parquet"
    if not copy.exists():
        with finished_file(copy) as part, part.open("wb") as target, store.open(found) as source:
            shutil.copyfileobj(source, target, 2**24)
    return copy


def find_plan(store: Store, origin: Origin) -> Plan | None:
    """The plan of a build; None if there is none, it is damaged, or something has changed since.

    Raises:
        UserError: the store does not answer.
    """
    subset = origin.manifest.name
    try:
        notes = read_object(store, _notes(subset))
        if notes is None or (path := _local(store, _name(subset))) is None:
            return None
        found = Plan(PlanFile(path, subset, origin.data_dir), **{part: notes[part] for part in _NOTES})
        return found if found.is_of(origin) else None
    except StoreUnavailable:
        raise
    except (*_NOT_A_PLAN, UserError):
        return None


def kept_plan(store: Store, subset: str, data_dir: Path) -> PlanFile:
    """The plan of a build that has begun; of an object store only the shards that are asked for are read.

    Raises:
        UserError: it is not there or damaged, or the store does not answer.
    """
    name = _name(subset)
    found = store.find(name)
    if found is None:
        raise UserError(f"{store.address}/{name}: is not there; run the same command again")
    try:
        return PlanFile(store.folder / name if store.folder else store.open(found), subset, data_dir)
    except (*_NOT_A_PLAN, ReplacedError) as error:
        raise UserError(
            f"{store.address}/{name}: cannot be read ({one_line(error)}); delete it and run the same command again"
        ) from error


def write_plan(origin: Origin, source: Source, out_dir: Path, *, with_hash: bool) -> Plan:
    """Read the source once and write its plan to a file without a name, on the disk of the build's folder.

    Args:
        with_hash: hash the samples (without images); not needed if the files' hashes determine them.

    Raises:
        UserError: a file of the source is broken, or the disk is full.
    """
    settings = origin.settings()  # before the files are read: a change meanwhile is a change since
    digest, number = hashlib.sha256(), 0
    with disk_errors(out_dir), ThreadPoolExecutor(1) as hashing:
        files = hashing.submit(fingerprints, source)  # files are hashed while they are read
        spool = tempfile.TemporaryFile(dir=_existing(out_dir))  # noqa: SIM115 - lives as long as the plan
        with _writer(spool) as writer, ThreadPoolExecutor(1) as writing:  # encoded while the next ones are read
            written: Future[None] | None = None
            for samples in _batches(islice(read_samples(source), origin.limit), origin.shard_size):
                if with_hash:
                    digest.update(_known(samples))
                number += len(samples)
                table = to_table(samples, origin.data_dir)
                if written is not None:
                    written.result()
                written = writing.submit(writer.write_table, table, row_group_size=origin.shard_size)
            if written is not None:
                written.result()
            samples_of = {"number": number, **({"sha256": digest.hexdigest()} if with_hash else {})}
            footer = {"samples": samples_of, "shard_size": origin.shard_size}
            writer.add_key_value_metadata({_FOOTER: json.dumps(footer)})
    listed = source.images.listed
    folders = listed if len(listed) <= MAX_FOLDERS and all(map(_is_storable, listed)) else None
    file = PlanFile(spool, origin.manifest.name, origin.data_dir)
    return Plan(file, files.result(), settings, folders, source.images.layout)


def _is_storable(name: str) -> bool:
    return storable(name) == name


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.resolve()
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _writer(file: IO[bytes]) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        file,
        SAMPLE_SCHEMA,
        compression="zstd",
        use_dictionary=["image_file", "image_inside", "label", "no_anchors"],
        write_statistics=False,
        write_page_checksum=True,
    )


def _batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    rest = iter(samples)
    while batch := list(islice(rest, size)):
        yield batch


def _known(samples: Iterable[Sample]) -> bytes:
    """What is known of samples but their images, to be hashed."""
    rows = (
        (
            "\x00".join((s.sample_id, *s.captions, s.caption_long, repr(s.anchors), s.label)),
            _known_place(s.place),
            _known_boxes(s),
        )
        for s in samples
    )
    return "".join(chain.from_iterable(rows)).encode("utf-8", "surrogatepass")


def _known_boxes(sample: Sample) -> str:
    return "" if sample.image_size is None else repr((sample.image_size, [each.boxes for each in sample.anchors]))


def _known_place(place: Place) -> str:
    return "" if place is NOWHERE or place == NOWHERE else repr(place_columns(place))
