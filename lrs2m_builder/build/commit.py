"""The two files of a shard as one state: one rename commits both, and remains of a killed writer are repaired.

    1. rejected/<subset>/.train-00000.parquet.next    the rejections, synced to the disk
    2. data/<subset>/train-00000.parquet    the records, whose footer names the hash of 1: this rename is the commit
    3. rejected/<subset>/train-00000.parquet          1 is renamed

If killed before 2, the shard is unchanged; if killed after it, the next run does step 3.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.build.stored_rows import ADDED, RECORD_SCHEMA, REJECTION_SCHEMA
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import discard_parts, disk_errors, finished_file, sync_folder

_REJECTED, _ROUND, _SHARD, _SAMPLES = "lrs2m.rejected", "lrs2m.round", "lrs2m.shard", "lrs2m.samples"
_BUILD = "lrs2m.build"
NOT_PARQUET = (OSError, pa.ArrowException)
Say = Callable[[str], None]


class ShardPaths:
    """The paths of one shard's files."""

    def __init__(self, out_dir: Path, subset: str, index: int, build: str = "") -> None:
        """Make the paths.

        Args:
            build: hash of the build's settings, by which a shard of another build is detected; empty if unknown.
        """
        self.build = build
        name = f"train-{index:05d}.parquet"
        self.name = f"{subset}/{name}"
        self.data = out_dir / "data" / subset / name
        self.rejected = out_dir / "rejected" / subset / name
        self.next = self.rejected.with_name(f".{name}.next")
        self.journal = out_dir / "journal" / subset / f"train-{index:05d}.jsonl"

    @property
    def finished(self) -> bool:
        """Whether the records file exists."""
        return self.data.exists()


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """The content of a written shard.

    Attributes:
        rejections: number of rejections by reason.
        round: the round of retries in which it was last written, 0 for the first build.
        is_whole: whether the rejections belong to the records; if not, they are lost and their samples must be built.
    """

    records: int
    rejections: Counter[str]
    round: int
    is_whole: bool


@contextmanager
def both_files(paths: ShardPaths) -> Iterator[tuple[Path, Path]]:
    """Yield temporary paths for records and rejections; both are renamed if the block succeeds.

    The footer of the records must hold `seal` of the rejections.
    """
    with finished_file(paths.data) as data:
        paths.next.parent.mkdir(parents=True, exist_ok=True)
        yield data, paths.next
    _name_rejections(paths)


def seal(paths: ShardPaths, num_samples: int, number: int) -> dict[str, str]:
    """The footer of the records, once their rejections are written: their hash, and the number of samples."""
    return {
        _REJECTED: _sha256(paths.next),
        _ROUND: str(number),
        _SHARD: paths.name,
        _SAMPLES: str(num_samples),
        _BUILD: paths.build,
    }


def settle(paths: ShardPaths, num_samples: int, say: Say) -> ShardStatus | None:
    """Finish or undo a killed writer's work on a shard, then return its status; None if it is not yet written.

    Records that cannot be read, or belong to another shard, are moved to a hidden name and rebuilt.

    Raises:
        UserError: a file can be neither read nor renamed.
    """
    with disk_errors(paths.data):
        for path in (paths.data, paths.rejected, paths.next, paths.journal):
            if os.path.lexists(path) and not path.is_file():
                _set_aside(path, "not a regular file", say)
        discard_parts(paths.data)
        if not paths.data.exists():
            paths.next.unlink(missing_ok=True)
            return None
        try:
            num_records, footer = _footer(paths.data, RECORD_SCHEMA)
            _check_owner(paths, num_samples, footer)
            number = _round(footer)
        except (*NOT_PARQUET, ValueError) as error:
            if not _is_damage(error):
                raise
            _set_aside(paths.data, one_line(error), say)
            return None
        if not _agrees(paths.rejected, footer, num_samples - num_records):
            if _REJECTED in footer and _agrees(paths.next, footer, num_samples - num_records):
                _name_rejections(paths)
            else:
                say(f"{paths.rejected}: missing or damaged; its {num_samples - num_records} samples are rebuilt")
                return ShardStatus(num_records, Counter(), number, is_whole=False)
        paths.next.unlink(missing_ok=True)
    return ShardStatus(num_records, _reasons(paths.rejected), number, is_whole=True)


def _set_aside(path: Path, why: str, say: Say) -> None:
    """Rename an unusable file to a free hidden name, or to that of a file moved earlier."""
    aside = path.with_name(f".{path.name}.damaged")
    number = 1
    while aside.is_dir() or (os.path.lexists(aside) and path.is_dir()):
        number += 1
        aside = path.with_name(f".{path.name}.damaged.{number}")
    path.replace(aside)
    say(f"{path}: cannot be used ({why}); it is now {aside.name}, and its samples are rebuilt")


def is_whole(paths: ShardPaths) -> bool:
    """Whether a shard is written and its rejections belong to its records."""
    if not paths.data.exists():
        return False
    try:
        num_records, footer = _footer(paths.data, RECORD_SCHEMA)
        num_samples = int(footer.get(_SAMPLES, num_records + pq.read_metadata(paths.rejected).num_rows))
    except (*NOT_PARQUET, ValueError):
        return False
    return _agrees(paths.rejected, footer, num_samples - num_records)


def _name_rejections(paths: ShardPaths) -> None:
    with disk_errors(paths.rejected):
        paths.next.replace(paths.rejected)
        sync_folder(paths.rejected.parent)


def _footer(path: Path, schema: pa.Schema) -> tuple[int, Mapping[str, str]]:
    """The number of rows of a Parquet file, and the metadata of its footer."""
    metadata = pq.read_metadata(path)
    names = metadata.schema.to_arrow_schema().names
    if names != [name for name in schema.names if name in names or name not in ADDED]:
        raise ValueError(f"it has other columns: {', '.join(names)}")
    ours = {key: value for key, value in (metadata.metadata or {}).items() if key.startswith(b"lrs2m.")}
    return metadata.num_rows, {key.decode(): value.decode() for key, value in ours.items()}


def _check_owner(paths: ShardPaths, num_samples: int, footer: Mapping[str, str]) -> None:
    """Refuse the records of another shard or build; a footer without metadata is from an earlier version."""
    if (owner := footer.get(_SHARD, paths.name)) != paths.name:
        raise ValueError(f"it holds the records of {owner}")
    if paths.build and footer.get(_BUILD, paths.build) != paths.build:
        raise ValueError("it belongs to a build with other settings")
    if (samples := footer.get(_SAMPLES, str(num_samples))) != str(num_samples):
        raise ValueError(f"it was written for {samples} samples, the shard has {num_samples}")


def _agrees(rejected: Path, footer: Mapping[str, str], num_rejections: int) -> bool:
    """Whether a file contains the rejections of the records with that footer."""
    try:
        if _REJECTED in footer:
            return _sha256(rejected) == footer[_REJECTED]
        return _footer(rejected, REJECTION_SCHEMA)[0] == num_rejections
    except (*NOT_PARQUET, ValueError) as error:
        if not (_is_damage(error) or isinstance(error, FileNotFoundError)):
            raise
        return False


def _is_damage(error: Exception) -> bool:
    """Whether a file was read and has the wrong content; a disk error is no reason to rebuild."""
    return not (isinstance(error, OSError) and error.errno)


def _round(footer: Mapping[str, str]) -> int:
    if not re.fullmatch("[0-9]{1,9}", text := footer.get(_ROUND, "0")):
        raise ValueError(f"it was made in round {text!r}")
    return int(text)


def _reasons(rejected: Path) -> Counter[str]:
    try:
        return Counter(
            pq.read_table(rejected, columns=["reason"], page_checksum_verification=True)["reason"].to_pylist()
        )
    except NOT_PARQUET as error:
        raise UserError(f"{rejected}: cannot be read ({one_line(error)}); delete it and run again") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
