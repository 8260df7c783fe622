"""Writing files so that a finished name means a finished file, and a full disk is one clear line."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a failure of the disk into one line for the user: what, where, what next."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if "No space left" in str(error):
            reason = "no space left on the disk"
        raise UserError(
            f"{path}: {reason}; nothing finished is lost: mend it and run the same command again"
        ) from error


@contextmanager
def finished_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to; it becomes `path` when the block ends well and is removed otherwise.

    The file is on the disk before it gets its name, so the name survives a power cut only with its content.
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
    """Remove what a killed process left half written of these files; only their one writer may."""
    for path in paths:
        with disk_errors(path):
            _part(path).unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that is either there in full or not at all."""
    with finished_file(path) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: it cannot be read or is not one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object")
    return content


@contextmanager
def finished_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; it becomes `path` when the block ends well and is removed otherwise.

    Raises:
        UserError: something is there already (an empty folder is taken), or the disk fails.
    """
    if path.exists() and not (path.is_dir() and next(path.iterdir(), None) is None):
        raise UserError(f"{path}: is there already; give a new folder or remove it")
    path = path.absolute()
    part = path.with_name(f".{path.name}.part")
    with disk_errors(path):
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        part.mkdir(parents=True)
        try:
            yield part
            part.replace(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
