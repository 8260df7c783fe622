"""A local folder, or one of a network file system, as a store.

A file is written under a name of its own and synced; then `link` gives it the final name, which fails if the name is
taken. Nothing is renamed over another file, except by `replace` under a lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors, sync_folder
from lrs2m_builder.stores._base import StoredFile, check_conditions, file_digest, is_hidden

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_guard = threading.Lock()  # record locks exclude other processes, not other threads of this one


class FolderStore:
    """A `Store` in a folder; subfolders are made as needed."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self._folder = folder

    def check(self) -> None:
        check_conditions(self)

    def publish(self, name: str, file: Path) -> bool:
        path = self._folder / name
        with disk_errors(path), _copied(file, path) as part:
            if not _linked(part, path):
                return _same_content(path, file)
            sync_folder(path.parent)
        return True

    def replace(self, name: str, file: Path, version: str) -> bool:
        path = self._folder / name
        with disk_errors(path), _copied(file, path) as part, _locked(path):
            found = self.find(name)
            if found is None or found.version != version:
                return found is not None and _same_content(path, file)
            part.replace(path)
            sync_folder(path.parent)
        return True

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        with disk_errors(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def find(self, name: str) -> StoredFile | None:
        path = self._folder / name
        with disk_errors(path):
            try:
                status = path.stat()
            except FileNotFoundError:
                return None
        return StoredFile(name, status.st_size, f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}")

    def files(self, folder: str = "") -> Iterator[StoredFile]:
        with disk_errors(self._folder):
            names = sorted(
                path.relative_to(self._folder).as_posix()
                for path in (self._folder / folder).rglob("*")
                if path.is_file()
            )
        for name in names:
            if not is_hidden(name) and (found := self.find(name)):
                yield found

    def delete(self, name: str) -> None:
        path = self._folder / name
        with disk_errors(path):
            path.unlink(missing_ok=True)


@contextmanager
def _copied(file: Path, path: Path) -> Iterator[Path]:
    """Yield a synced copy of the file beside its final path, under a name that no other writer has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    part = path.with_name(f".{path.name}.{writer}.part")
    try:
        with file.open("rb") as source, part.open("xb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


def _linked(part: Path, path: Path) -> bool:
    """Give a file its final name; False if another file has it."""
    try:
        os.link(part, path)
    except OSError as error:
        if part.stat().st_nlink == 2:  # NFS: the link was made, its answer was lost
            return True
        if error.errno == errno.EEXIST:
            return False
        if error.errno in _NO_LINKS:
            raise UserError(
                f"{path.parent}: this file system has no hard links ({error.strerror}); give a folder on another one"
            ) from error
        raise
    return True


def _same_content(path: Path, file: Path) -> bool:
    try:
        return path.stat().st_size == file.stat().st_size and file_digest(path) == file_digest(file)
    except FileNotFoundError:  # deleted meanwhile
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock of a name. The system drops it when the process dies."""
    with _guard, path.with_name(f".{path.name}.lock").open("ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield
