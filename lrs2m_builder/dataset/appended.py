"""A file of JSON lines that is only ever appended to: a history that several people and programs may write at once."""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import sync_folder

MAX_REVIEWER = 100  # characters

Entry = TypeVar("Entry")


class AppendedFile(ABC, Generic[Entry]):
    """The entries of a file, a JSON object per line; safe for several threads, and for several programs.

    A line is synced to the disk before `_append` returns. A partial line of a killed program is skipped.

    Attributes:
        lock: held while entries are kept or forgotten.
    """

    def __init__(self, path: Path) -> None:
        """Read the existing entries.

        Raises:
            UserError: the file cannot be read.
        """
        self.path = path
        self.lock = threading.Lock()
        self._read_bytes = 0
        self._read_new()

    @abstractmethod
    def _parse(self, line: bytes) -> Entry | None:
        """A line as an entry; None for a partial or another line."""

    @abstractmethod
    def _keep(self, entry: Entry) -> None:
        """Take an entry that was read, after those before it."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop all entries: the file was replaced by another one."""

    def _append(self, content: Mapping[str, Any], check: Callable[[], object] = lambda: None) -> None:
        """Append an entry; it is on the disk when this returns.

        Args:
            check: called when all entries so far are known and nobody else may write; raises to refuse the new one.

        Raises:
            UserError: the disk fails.
        """
        line = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with self.lock:
            try:
                is_new = not self.path.exists()
                with self.path.open("a+b", buffering=0) as file:
                    fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
                    self._take(file)
                    check()
                    _append(file, line)
                    self._take(file)
                if is_new:
                    sync_folder(self.path.parent)
            except OSError as error:
                raise UserError(f"{self.path}: not saved: {error.strerror}") from error

    def _read_new(self) -> None:
        """Read what was appended since, by this program or another one."""
        with self.lock:
            try:
                size = self.path.stat().st_size if self.path.exists() else 0
                if size < self._read_bytes:
                    self._forget()
                    self._read_bytes = 0
                if size > self._read_bytes:
                    with self.path.open("rb") as file:
                        self._take(file)
            except OSError as error:
                raise UserError(f"{self.path}: {error.strerror}") from error

    def _take(self, file: BinaryIO | Any) -> None:
        """Take the lines from where the last reading ended; the last one may still be written."""
        file.seek(self._read_bytes)
        content = b"".join(iter(lambda: file.read(2**20), b""))
        for line in re.findall(rb"[^\n]*\n|[^\n]+", content):
            entry = self._parse(line)
            if entry is not None:
                self._keep(entry)
            elif not line.endswith(b"\n"):
                break
            self._read_bytes += len(line)


def check_reviewer(name: str) -> None:
    """Check a person's name, which may be "".

    Raises:
        UserError: it is too long or not printable.
    """
    if len(name) > MAX_REVIEWER or not name.isprintable():
        raise UserError(f"--reviewer {name!r}: a name has at most {MAX_REVIEWER} printable characters")


def now() -> str:
    """The time in UTC, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _append(file: BinaryIO | Any, line: bytes) -> None:
    """Append a line, on a new line even after a partial one, and sync."""
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        line = line if file.read(1) == b"\n" else b"\n" + line
    written = 0
    while written < len(line):  # a disk that becomes full writes a part, and fails at the next write
        written += file.write(line[written:])
    os.fsync(file.fileno())
