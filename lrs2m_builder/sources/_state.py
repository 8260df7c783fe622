"""What tells that a source has changed since it was read: size and time of its files, and of folders of images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import storable
from lrs2m_builder.files import files_below

GONE = -1


def below(path: Path, data_dir: Path) -> str:
    """A path as it is stored: relative to the data folder, which may move; absolute if it is not inside."""
    text, folder = os.fspath(path), os.fspath(data_dir)
    if folder == "." and not path.is_absolute():
        return text
    if text.startswith(f"{folder.rstrip('/')}/"):
        return text[len(folder.rstrip("/")) + 1 :]
    return "." if text == folder else str(path.absolute())


def file_states(paths: Iterable[Path], data_dir: Path) -> dict[str, list[Any]]:
    """Size and time (ns) of each file, by its name; of a folder, a hash of those of the files in it and below.

    Raises:
        UserError: a folder cannot be read.
    """
    return {storable(below(path, data_dir)): _state(path) for path in paths}


def changed_at(folder: Path) -> int:
    """When the names in a folder last changed, in ns."""
    try:
        return folder.stat().st_mtime_ns
    except (OSError, ValueError):  # it is gone, or no file system has such a name
        return GONE


def is_unchanged(folders: Mapping[str, int], data_dir: Path) -> bool:
    """Whether no image was added to or removed from the folders since their times were taken."""
    return all(changed_at(data_dir / folder) == time for folder, time in folders.items())


def _state(path: Path) -> list[Any]:
    if not path.is_dir():
        return _of_file(path)
    digest = hashlib.sha256()
    for file in sorted(files_below(path, "")):
        digest.update(f"{file}\0{_of_file(file)}\n".encode("utf-8", "surrogateescape"))
    return [digest.hexdigest()]


def _of_file(path: Path) -> list[int]:
    try:
        state = path.stat()
    except OSError:
        return [GONE, GONE]
    return [state.st_size, state.st_mtime_ns]
