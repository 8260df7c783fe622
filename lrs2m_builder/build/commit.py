"""The two files of a shard as one state: one conditional write commits both, whoever else writes the same shard.

    1. staging/<subset>/train-00000.<hash>.parquet    the rejections, under a name that their content gives them
    2. data/<subset>/train-00000.parquet    the records, whose footer names the hash of 1: publishing this is the commit
    3. rejected/<subset>/train-00000.parquet          1 is copied

Of all writers that ever commit a shard one wins; the others drop what they have. If a writer is killed before 2, the
shard is unchanged; after it, whoever sees the shard next does step 3.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.build.stored_rows import ADDED, RECORD_SCHEMA, REJECTION_SCHEMA
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import disk_errors
from lrs2m_builder.stores._base import NotAFileError, ReplacedError, Store, StoredFile, file_digest

_REJECTED, _ROUND, _SHARD, _SAMPLES = "lrs2m.rejected", "lrs2m.round", "lrs2m.shard", "lrs2m.samples"
_BUILD = "lrs2m.build"
NOT_PARQUET = (OSError, pa.ArrowException)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard by the names of its files.

    Attributes:
        build: hash of the build's settings, by which a shard of another build is detected; empty if unknown.
    """

    store: Store
    subset: str
    index: int
    build: str = ""

    @property
    def stem(self) -> str:
        """Subset and number, a part of every name."""
        return f"{self.subset}/train-{self.index:05d}"

    @property
    def name(self) -> str:
        """The name of both files, below data/ and rejected/."""
        return f"{self.stem}.parquet"

    @property
    def data(self) -> str:
        """The records."""
        return f"data/{self.name}"

    @property
    def rejected(self) -> str:
        """The rejections."""
        return f"rejected/{self.name}"

    @property
    def journal(self) -> str:
        """The folder of its journals."""
        return f"journal/{self.stem}"

    def staged(self, sealed: str) -> str:
        """Rejections before they are committed, by their hash."""
        return f"staging/{self.stem}.{sealed[:16]}.parquet"

    @property
    def staged_before(self) -> str:
        """The same in builds of earlier versions."""
        return f"rejected/{self.subset}/.train-{self.index:05d}.parquet.next"

    def where(self, name: str) -> str:
        """A file's name as people see it."""
        return f"{self.store.address}/{name}"


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """The content of a written shard.

    Attributes:
        rejections: number of rejections by reason.
        round: the round of retries in which it was last written, 0 for the first build.
        is_whole: whether the rejections belong to the records; if not, they are lost and their samples must be built.
        found: the records that were read.
    """

    records: int
    rejections: Counter[str]
    round: int
    is_whole: bool
    found: StoredFile


def seal(shard: Shard, rejections: Path, num_samples: int, number: int) -> dict[str, str]:
    """The footer of the records, once their rejections are written: their hash, and the number of samples."""
    return {
        _REJECTED: file_digest(rejections),
        _ROUND: str(number),
        _SHARD: shard.name,
        _SAMPLES: str(num_samples),
        _BUILD: shard.build,
    }


def commit(shard: Shard, records: Path, rejections: Path, before: StoredFile | None) -> bool:
    """Publish the two files of a shard.

    Args:
        records: their footer holds `seal` of the rejections.
        before: the records they replace; None for a shard that was not written.

    Returns:
        False if another writer was faster: nothing of these files counts.

    Raises:
        UserError: the store cannot be written, or does not answer; the shard is then unchanged, or committed.
    """
    store, sealed = shard.store, file_digest(rejections)
    seen = store.find(shard.rejected)  # before the commit: nobody has put newer rejections over these
    if not store.publish(shard.staged(sealed), rejections) and (broken := store.find(shard.staged(sealed))):
        store.replace(shard.staged(sealed), rejections, broken.version)
    won = store.replace(shard.data, records, before.version) if before else store.publish(shard.data, records)
    if won:
        _name_rejections(shard, rejections, seen)
    return won


def _name_rejections(shard: Shard, rejections: Path, seen: StoredFile | None) -> bool:
    if seen:
        return shard.store.replace(shard.rejected, rejections, seen.version)
    return shard.store.publish(shard.rejected, rejections)


def settle(
    shard: Shard, num_samples: int, say: Say, listed: Mapping[str, StoredFile] | None = None
) -> ShardStatus | None:
    """Finish or undo a killed writer's work on a shard, then return its status; None if it is not yet written.

    Records that cannot be read, or belong to another shard, are moved to a hidden name and rebuilt.

    Args:
        listed: the files of the store by name, if they are known.

    Raises:
        UserError: a file can be neither read nor renamed.
    """
    if listed is not None and shard.data not in listed:
        return None
    if listed is None:
        _set_aside_what_is_no_file(shard, say)
    while True:
        seen = listed.get(shard.rejected) if listed is not None else shard.store.find(shard.rejected)
        found = listed.get(shard.data) if listed is not None else shard.store.find(shard.data)
        listed = None
        if found is None:
            return None
        try:
            num_records, footer = _read_footer(shard, found, num_samples)
        except ReplacedError:
            continue
        except (*NOT_PARQUET, ValueError) as error:
            with disk_errors(Path(shard.where(shard.data))):
                if not _is_damage(error):
                    raise
            say(_aside_words(shard, shard.data, one_line(error), shard.store.set_aside(shard.data)))
            return None
        number, num_rejections = int(footer.get(_ROUND, "0")), num_samples - num_records
        content = shard.store.read(shard.rejected) if seen else None
        if content is not None and _agrees(content, footer, num_rejections):
            return ShardStatus(num_records, _reasons(shard, content), number, is_whole=True, found=found)
        if (staged := _staged(shard, footer)) is None:
            say(f"{shard.where(shard.rejected)}: missing or damaged; its {num_rejections} samples are rebuilt")
            return ShardStatus(num_records, Counter(), number, is_whole=False, found=found)
        with shard.store.draft(shard.rejected) as file:
            file.write_bytes(staged)
            _name_rejections(shard, file, seen)  # if another was faster, look again


def _set_aside_what_is_no_file(shard: Shard, say: Say) -> None:
    for name in (shard.data, shard.rejected, shard.staged_before, f"{shard.journal}.jsonl"):
        try:
            shard.store.find(name)
        except NotAFileError:
            say(_aside_words(shard, name, "not a regular file", shard.store.set_aside(name)))


def _aside_words(shard: Shard, name: str, why: str, aside: str) -> str:
    return f"{shard.where(name)}: cannot be used ({why}); it is now {aside}, and its samples are rebuilt"


def _staged(shard: Shard, footer: Mapping[str, str]) -> bytes | None:
    """The rejections that belong to the records with that footer, from where a killed writer left them."""
    sealed = footer.get(_REJECTED)
    for name in (shard.staged(sealed), shard.staged_before) if sealed else ():
        content = shard.store.read(name)
        if content is not None and _sha256(content) == sealed:
            return content
    return None


def _read_footer(shard: Shard, found: StoredFile, num_samples: int) -> tuple[int, Mapping[str, str]]:
    """The number of records of a shard, and the metadata of its footer.

    Raises:
        ValueError: it is not a shard, or not this one.
    """
    with shard.store.open(found) as file:
        num_records, footer = _footer(file, RECORD_SCHEMA)
    if not re.fullmatch("[0-9]{1,9}", text := footer.get(_ROUND, "0")):
        raise ValueError(f"it was made in round {text!r}")
    _check_owner(shard, num_samples, footer)
    return num_records, footer


def _footer(file: BinaryIO, schema: pa.Schema) -> tuple[int, Mapping[str, str]]:
    metadata = pq.read_metadata(file)
    names = metadata.schema.to_arrow_schema().names
    if names != [name for name in schema.names if name in names or name not in ADDED]:
        raise ValueError(f"it has other columns: {', '.join(names)}")
    ours = {key: value for key, value in (metadata.metadata or {}).items() if key.startswith(b"lrs2m.")}
    return metadata.num_rows, {key.decode(): value.decode() for key, value in ours.items()}


def _check_owner(shard: Shard, num_samples: int, footer: Mapping[str, str]) -> None:
    """Refuse the records of another shard or build; a footer without metadata is from an earlier version."""
    if (owner := footer.get(_SHARD, shard.name)) != shard.name:
        raise ValueError(f"it holds the records of {owner}")
    if shard.build and footer.get(_BUILD, shard.build) != shard.build:
        raise ValueError("it belongs to a build with other settings")
    if (samples := footer.get(_SAMPLES, str(num_samples))) != str(num_samples):
        raise ValueError(f"it was written for {samples} samples, the shard has {num_samples}")


def _agrees(rejected: bytes, footer: Mapping[str, str], num_rejections: int) -> bool:
    """Whether this is the content of the rejections of the records with that footer."""
    if _REJECTED in footer:
        return _sha256(rejected) == footer[_REJECTED]
    try:
        return _footer(io.BytesIO(rejected), REJECTION_SCHEMA)[0] == num_rejections
    except (*NOT_PARQUET, ValueError):
        return False


def _is_damage(error: Exception) -> bool:
    """Whether a file was read and has the wrong content; a disk error is no reason to rebuild."""
    return not (isinstance(error, OSError) and error.errno)


def _reasons(shard: Shard, rejected: bytes) -> Counter[str]:
    try:
        table = pq.read_table(pa.BufferReader(rejected), columns=["reason"], page_checksum_verification=True)
        return Counter(table["reason"].to_pylist())
    except NOT_PARQUET as error:
        name = shard.where(shard.rejected)
        raise UserError(f"{name}: cannot be read ({one_line(error)}); delete it and run again") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
