"""Files: a finished name means a finished file, a full disk is one clear line, and only regular files are opened."""

from __future__ import annotations

import errno
import json
import os
import pkgutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from lrs2m_builder.errors import UserError, one_line

# Folders of macOS, Synology, QNAP, Windows and ext4: thumbnails, copies and deleted files.
_OF_SYSTEMS = {
    *("__macosx", "@eadir", "#recycle", "@recycle", "#snapshot", "$recycle.bin", "system volume information"),
    "lost+found",
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a disk error while `path` is written into a UserError of one line: what, where, what next.

    Any other OSError raised inside, from a source file or the network, becomes one line that names its file.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or one_line(error)
        if _is_full(error):
            reason = "no space left on the disk" if error.errno != errno.EDQUOT else "your disk quota is used up"
        if _is_of(error, path):
            raise UserError(
                f"{path}: {reason}; finished files are safe: fix the disk and run the same command again"
            ) from error
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        raise UserError(f"{where}{reason}; {path} is not finished: run the same command again") from error


def _is_full(error: OSError) -> bool:
    """Whether the disk is full; pyarrow says so only in the message."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT} or "No space left" in str(error)


def _is_of(error: OSError, path: Path) -> bool:
    """Whether an error came from writing `path`: it names that path, one below or above it, or none, as writes do."""
    if error.filename is None:
        return _is_full(error) or error.errno in {errno.EIO, errno.EFBIG, errno.EROFS}
    if isinstance(error.filename, int):
        return True
    path, other = path.absolute(), Path(os.fsdecode(error.filename)).absolute()
    if path.parent in other.parents and other.relative_to(path.parent).parts[0].startswith(f".{path.name}."):
        return True  # a temporary name, or below one
    return other in {path, *path.parents} or path in other.parents


@contextmanager
def finished_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it is renamed to `path` if the block succeeds and removed otherwise.

    The file is synced before it is renamed, so that after a power cut the name never exists without its content.
    """
    part = _part(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def discard_parts(*paths: Path) -> None:
    """Remove half-written versions of these files that a killed process left; only their one writer may call this."""
    for part in map(_part, paths):
        with disk_errors(part):
            part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk, if the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically."""
    with finished_file(path) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: it cannot be read or is not an object.
    """
    try:
        with open_regular(path) as file:
            content = json.loads(file.read().decode())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object")
    return content


def is_hidden(name: str) -> bool:
    """Whether the name is one that the system or another program uses for its own files."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def files_below(path: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the files in a folder and below with these suffixes, in upper or lower case, following links to folders.

    Hidden files are left out: an unfinished export, a notebook's copies. A folder reached twice is read once.

    Raises:
        UserError: a folder cannot be read; its files would be missing.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: {error.strerror}") from error

    if not path.is_dir():
        return
    seen = {os.path.realpath(path)}
    for folder, folders, names in os.walk(path, onerror=refuse, followlinks=True):
        folders.sort(key=lambda name: Path(folder, name).is_symlink())  # a folder before a link to it
        for name in tuple(folders):
            real_path = os.path.realpath(Path(folder, name))
            if is_hidden(name) or real_path in seen:
                folders.remove(name)
            seen.add(real_path)
        for name in names:
            if not is_hidden(name) and name.lower().endswith(suffixes):
                yield Path(folder, name)


def member_names(path: Iterable[str]) -> list[str]:
    """Names of the members of a registry folder, sorted: its modules that do not begin with "_".

    Args:
        path: the `__path__` of the package.
    """
    return sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))


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
