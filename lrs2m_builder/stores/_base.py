"""The contract of a store: files under names, published by one conditional write, so that two writers never mix.

A finished local file is published whole; a name that is taken is never overwritten unless the writer names the version
that it replaces. Everything else (leases, queues, journals) may be lost without a wrong file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lrs2m_builder.errors import UserError, one_line


class StoreUnavailable(UserError):  # noqa: N818 - a state of the store, not a wrong setting
    """The store does not answer; a finished local file can be published later."""


class NotAFileError(UserError):
    """A folder, pipe or broken link has the name of a file."""


class ReplacedError(Exception):
    """A file is not any more the version that was found."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a store.

    Attributes:
        name: relative to the store, with "/" between folders.
        size: bytes.
        version: differs from that of any other content published under this name.
    """

    name: str
    size: int
    version: str


class ReadableStore(Protocol):
    """What is needed to copy files from a store, or to read parts of them.

    Attributes:
        address: as a user writes it; another process that is given it reads the same files.
        scratch: a folder of this machine for copies.
    """

    @property
    def address(self) -> str: ...

    @property
    def scratch(self) -> Path: ...

    def files(self, folder: str = "") -> Iterator[StoredFile]:
        """The files below a folder, by name. Names that begin with "." are left out."""
        ...

    def open(self, found: StoredFile) -> BinaryIO:
        """A file that was found, to read parts of it.

        Raises:
            ReplacedError: now, or when it is read: the name holds another version, or nothing.
        """
        ...


class Store(ReadableStore, Protocol):
    """A folder, or a prefix of a bucket.

    All methods raise UserError if the place cannot be used, and StoreUnavailable if it does not answer.

    Attributes:
        address: as a user writes it.
        folder: the folder itself, in which a file can grow in place; None for an object store.
        scratch: where files are made before they are published, and where those wait that could not be.
    """

    @property
    def folder(self) -> Path | None: ...

    def check(self) -> None:
        """Check that the place can be written and honours conditions; once, before the first file."""
        ...

    def draft(self, name: str) -> AbstractContextManager[Path]:
        """A path that no other writer has, for a file that is to be published; deleted when the block ends."""
        ...

    def publish(self, name: str, file: Path) -> bool:
        """Store a finished local file under a new name.

        Returns:
            True if the name now holds this content, whoever wrote it; False if it holds other content.
        """
        ...

    def replace(self, name: str, file: Path, version: str) -> bool:
        """Store a finished local file in place of a version that was read.

        Returns:
            True if the name now holds this content; False if it holds neither it nor that version.
        """
        ...

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        ...

    def find(self, name: str) -> StoredFile | None:
        """Size and version of a file; None if there is none."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        ...

    def sweep(self, folders: Sequence[str], is_ours: Callable[[str], bool]) -> None:
        """Delete what killed writers left half written below folders.

        Args:
            is_ours: whether nobody else writes a file with this temporary name.
        """
        ...

    def set_aside(self, name: str) -> str:
        """Move what cannot be used to a hidden name, which is returned."""
        ...


def check_conditions(store: Store) -> None:
    """Write a small file and try to overwrite it: some stores accept a condition and ignore it.

    Raises:
        UserError: it cannot be written, or ignores conditions.
    """
    name = f".probe-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "first"), Path(folder, "second")
        first.write_text(f"first {name}")
        second.write_text(f"second {name}")
        is_kept = store.publish(name, first) and not store.publish(name, second)
        if is_kept and (found := store.find(name)):
            is_kept = store.replace(name, second, found.version) and not store.replace(name, first, found.version)
        store.delete(name)
    if not is_kept:
        raise ignores_conditions(store)


def ignores_conditions(store: Store) -> UserError:
    """The error for a store that overwrites what it must not."""
    return UserError(
        f"{store.address}: this store ignores conditions (If-None-Match, If-Match), so that two writers could mix; "
        "write to a local folder and copy it afterwards"
    )


def writer_name() -> str:
    """A name that no other writer has: host, process and chance."""
    host = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())[:60]
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def read_object(store: Store, name: str) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no file.

    Raises:
        UserError: it cannot be read or is not an object.
    """
    content = store.read(name)
    if content is None:
        return None
    try:
        found = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{store.address}/{name}: cannot be read: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise UserError(f"{store.address}/{name}: not a JSON object")
    return found


def write_object(store: Store, name: str, content: Mapping[str, Any], over: StoredFile | None) -> bool:
    """Publish a JSON object under a new name, or in place of what was found there; False if another was faster."""
    with store.draft(name) as file:
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return store.replace(name, file, over.version) if over else store.publish(name, file)


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_hidden(name: str) -> bool:
    """Whether a file is a store's own: a temporary one, a lock or a probe."""
    return name.rpartition("/")[2].startswith(".")
