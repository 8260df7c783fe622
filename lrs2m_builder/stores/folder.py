"""A local folder, or one of a network file system, as a store.

A file is written under a name of its own and synced; then `link` gives it the final name, which fails if the name is
taken. Nothing is renamed over another file, except by `replace` under a lock of that file.
"""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import disk_errors, files_below, open_regular, sync_folder
from lrs2m_builder.stores._base import (
    NotAFileError,
    ReplacedError,
    StoredFile,
    check_conditions,
    file_digest,
    is_hidden,
    writer_name,
)

NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_PART = ".part"


class FolderStore:
    """A `Store` in a folder; subfolders are made as needed."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self._folder = folder

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def scratch(self) -> Path:
        return self._folder

    def check(self) -> None:
        check_conditions(self)

    @contextmanager
    def draft(self, name: str) -> Iterator[Path]:
        """Beside the final name, so that publishing is a link."""
        path = self._folder / name
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = _part(path)
            try:
                yield part
            finally:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def publish(self, name: str, file: Path) -> bool:
        path = self._folder / name
        with disk_errors(path), _synced(file, path) as part:
            if not _linked(part, path):
                return _same_content(path, file)
            sync_folder(path.parent)
        return True

    def replace(self, name: str, file: Path, version: str) -> bool:
        path = self._folder / name
        with disk_errors(path), _synced(file, path) as part, _locked(path) as is_there:
            found = self.find(name) if is_there else None
            if found is None or found.version != version:
                return found is not None and _same_content(path, file)
            part.replace(path)
            sync_folder(path.parent)
        return True

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        with disk_errors(path):
            try:
                with _regular(path) as file:
                    return file.read()
            except FileNotFoundError:
                return None

    def open(self, found: StoredFile) -> BinaryIO:
        path = self._folder / found.name
        with disk_errors(path):
            try:
                file = _regular(path)
            except FileNotFoundError as error:
                raise ReplacedError from error
            if _version(os.fstat(file.fileno())) != found.version:
                file.close()
                raise ReplacedError
        return file

    def find(self, name: str) -> StoredFile | None:
        path = self._folder / name
        with disk_errors(path):
            try:
                with _regular(path) as file:
                    status = os.fstat(file.fileno())
            except FileNotFoundError:
                return None
        return StoredFile(name, status.st_size, _version(status))

    def files(self, folder: str = "") -> Iterator[StoredFile]:
        with disk_errors(self._folder):
            names = sorted(
                path.relative_to(self._folder).as_posix()
                for path in files_below(self._folder / folder, "")
                if path.is_file()
            )
        for name in names:
            if not is_hidden(name) and (found := self.find(name)):
                yield found

    def delete(self, name: str) -> None:
        path = self._folder / name
        with disk_errors(path):
            path.unlink(missing_ok=True)

    def set_aside(self, name: str) -> str:
        path = self._folder / name
        aside = path.with_name(f".{path.name}.damaged")
        number = 1
        while aside.is_dir() or (os.path.lexists(aside) and path.is_dir()):
            number += 1
            aside = path.with_name(f".{path.name}.damaged.{number}")
        with disk_errors(path):
            path.replace(aside)
        return aside.name

    def sweep(self, folders: Sequence[str], is_ours: Callable[[str], bool]) -> None:
        self.sweep_named(folders, is_ours, f"*{_PART}")

    def sweep_named(self, folders: Sequence[str], is_ours: Callable[[str], bool], names: str) -> None:
        """Delete hidden files of another pattern too."""
        for folder in folders:
            with disk_errors(self._folder / folder):
                for path, _, files in os.walk(self._folder / folder, followlinks=True):
                    for name in filter(is_ours, fnmatch.filter(files, f".{names}")):
                        Path(path, name).unlink(missing_ok=True)

    def prune(self, folder: str) -> None:
        """Delete a folder if nothing is in it, and those below it in which nothing is."""
        for path, _, _ in os.walk(self._folder / folder, topdown=False):
            if not is_hidden(path):
                with suppress(OSError):  # something is in it
                    Path(path).rmdir()

    def sweep_here(self, *names: str) -> None:
        """Delete half-written files of killed writers in the folder itself, by name, and what a killed probe left."""
        with disk_errors(self._folder):
            for pattern in (".probe-*", ".part-*.lock", *(f".{name}.*{_PART[1:]}" for name in names)):
                for path in self._folder.glob(pattern):
                    path.unlink(missing_ok=True)


def _regular(path: Path) -> BinaryIO:
    """Open a file.

    Raises:
        NotAFileError: it is something else.
        OSError: it is missing, or the disk fails.
    """
    try:
        return open_regular(path)
    except OSError as error:
        is_broken_link = isinstance(error, FileNotFoundError) and os.path.lexists(path)
        if is_broken_link or error.errno in {errno.EISDIR, errno.EINVAL, errno.ELOOP}:
            reason = "a link to nothing" if is_broken_link else error.strerror or one_line(error)
            raise NotAFileError(f"{path}: {reason}; move it away and run the same command again") from error
        raise


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{writer_name()}{_PART}")


@contextmanager
def _synced(file: Path, path: Path) -> Iterator[Path]:
    """Yield a synced file beside the final path, under a name of its own: a link to a draft, or a copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    try:
        is_draft = is_hidden(file.name) and file.suffix == _PART
        if not (is_draft and _is_linked_beside(file, part)):
            with file.open("rb") as source, part.open("xb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
        with part.open("rb") as content:
            os.fsync(content.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


def _is_linked_beside(file: Path, part: Path) -> bool:
    """Whether a link could be made; not to another disk."""
    try:
        os.link(file, part)
    except OSError as error:
        if error.errno == errno.EXDEV or error.errno in _NO_LINKS:
            return False
        raise
    return True


def _linked(part: Path, path: Path) -> bool:
    """Give a file its final name; False if another file has it."""
    try:
        os.link(part, path)
    except OSError as error:
        if _is_same(part, path):  # NFS: the link was made, its answer was lost
            return True
        if error.errno == errno.EEXIST:
            return False
        if error.errno in _NO_LINKS:
            raise UserError(
                f"{path.parent}: this file system has no hard links ({error.strerror}); give a folder on another one"
            ) from error
        raise
    return True


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.stat(), other.lstat())
    except FileNotFoundError:
        return False


def _same_content(path: Path, file: Path) -> bool:
    try:
        with _regular(path) as found:
            size = os.fstat(found.fileno()).st_size
        return size == file.stat().st_size and file_digest(path) == file_digest(file)
    except FileNotFoundError:  # deleted meanwhile
        return False


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Lock a file that is to be replaced; False if there is none, or another took its place meanwhile.

    The system drops the lock when the process dies. Where a file system knows no locks, none is held: of two writers
    at the same moment the later one wins, and both files are whole.
    """
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield True
