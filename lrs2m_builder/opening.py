"""Opens files from outside: only regular files, so that the program never waits for a pipe, socket or device."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read its bytes.

    Raises:
        OSError: it is missing, cannot be opened, is not a regular file, or has a name that no file can have.
    """
    try:
        _refuse_others(path.stat().st_mode, path)  # before opening, which alone may wait, or rewind a tape
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as error:  # a NUL or half of a surrogate pair in the name
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path)) from error
    try:
        _refuse_others(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, at_most: int) -> bytes:
    """All bytes of a regular file.

    Raises:
        OSError: as `open_regular`; EFBIG, before anything is read, if it has more than `at_most` bytes.
    """
    with open_regular(path) as file:
        refuse_larger(os.fstat(file.fileno()).st_size, at_most, path)
        return file.read(at_most)


def is_folder(path: Path) -> bool:
    """Whether the folder exists; False also for a name that no file can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def would_wait(path: Path) -> bool:
    """Whether opening a path may wait forever: it is a pipe, a socket or a device."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def refuse_larger(num_bytes: int, at_most: int, where: object) -> None:
    """Raise OSError (EFBIG) for more bytes than may be read at once."""
    if num_bytes > at_most:
        raise OSError(errno.EFBIG, f"{num_bytes:,} bytes, at most {at_most:,} are read", str(where))


def _refuse_others(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"{_KINDS.get(stat.S_IFMT(mode), 'no file')}, not a regular file", str(path))
