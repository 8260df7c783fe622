"""One writer per folder: a lock that other processes, and other threads of this one, respect."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.terminal import say

LOCK_NAME = ".lock"
LOOKS = 10
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}

_guard = threading.Lock()
_held: set[tuple[int, int]] = set()  # device and inode of the lock files that this process holds


@contextmanager
def locked(folder: Path, what: str, *, needs_locks: bool = True) -> Iterator[None]:
    """Lock a folder for this process alone, creating it if it is missing.

    Args:
        what: the kind of work, such as "build", for the error message of a second process.
        needs_locks: if not, a file system that knows no locks is accepted with a warning.

    Raises:
        UserError: the folder cannot be created or written, or is locked.
    """
    with disk_errors(folder):
        Path(os.path.realpath(folder)).mkdir(
            parents=True, exist_ok=True
        )  # a link may lead to a folder that was moved away
    with locked_file(folder / LOCK_NAME, what, shown=folder, needs_locks=needs_locks):
        yield


@contextmanager
def locked_file(
    path: Path, what: str, *, shown: Path, remove: bool = False, needs_locks: bool = True
) -> Iterator[None]:
    """Lock a file for this process alone, for an output that may not exist yet.

    The lock is a POSIX record lock: the system drops it when the process dies, and child processes do not inherit it.

    Args:
        shown: the locked path in error messages.
        remove: delete the file at the end.
        needs_locks: as `locked`.

    Raises:
        UserError: the file cannot be written or is locked.
    """
    file, inode = _hold(path, what, shown, needs_locks=needs_locks)
    try:
        yield
    finally:
        with _guard:
            if remove:
                with suppress(OSError):  # the work is done, and the next run reuses a file that remains
                    path.unlink()
            _held.discard(inode)
            file.close()


def is_locked(path: Path) -> str | None:
    """The kind of work and the process that holds a lock file; None if nobody does, or nobody can tell."""
    with _guard, disk_errors(path):
        if not path.is_file():
            return None
        if _inode(path) in _held:
            return "build of this process"
        with path.open() as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    return None
                holder, _, work = file.read().strip().partition(" ")
                return f"{work or 'build'} (process {holder or 'unknown'})"
    return None


def _hold(path: Path, what: str, shown: Path, *, needs_locks: bool) -> tuple[IO[str], tuple[int, int]]:
    """Open and lock the file that has this name now; it may be replaced between opening and locking."""
    while True:
        # The guard comes first: closing a file drops every lock that this process holds on it.
        with _guard, disk_errors(shown):
            if os.path.lexists(path) and not path.is_file():
                raise UserError(f"{path}: not a regular file; move it away and run the same command again")
            if (inode := _inode(path)) in _held:
                raise UserError(f"{shown}: another {what} of this process is writing there; wait for it or stop it")
            file = path.open("a+")
            try:
                _lock(file, what, shown, needs_locks=needs_locks)
            except UserError:
                file.close()
                raise
            status = os.fstat(file.fileno())
            inode = (status.st_dev, status.st_ino)
            if inode == _inode(path):
                _held.add(inode)
                file.truncate(0)
                file.write(f"{os.getpid()} {what}")
                file.flush()
                return file, inode
            file.close()


def _lock(file: IO[str], what: str, shown: Path, *, needs_locks: bool) -> None:
    try:
        _lock_soon(file)
    except OSError as error:
        if error.errno in _NO_LOCKS and not needs_locks:
            say(f"warning: {shown}: this file system knows no locks ({error.strerror}); run one {what} there at a time")
            return
        if error.errno not in {errno.EACCES, errno.EAGAIN}:
            raise UserError(f"{shown}: cannot be locked ({error.strerror}); give a folder on a local disk") from error
        file.seek(0)
        holder, _, work = file.read().strip().partition(" ")
        raise UserError(
            f"{shown}: another {work or what} (process {holder or 'unknown'}) is writing there; wait for it or stop it"
        ) from error


def _lock_soon(file: IO[str]) -> None:
    """Lock a file, even if another process just looks whether it is locked."""
    for _ in range(LOOKS):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EAGAIN}:
                raise
            time.sleep(0.02)
        else:
            return
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
