"""Where a command writes: a new or empty folder, or its own from an earlier run, locked by one process.

No command overwrites what it did not write: a folder that is filled gradually carries a mark, a folder that appears
complete must be new, and a figure's metadata names the program that drew it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors, finished_file, sync_folder, write_json
from lrs2m_builder.stores.lock import LOCK_NAME, locked, locked_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARK = ".lrs2m-made.json"  # names the command that fills the folder
PROGRAM = "lrs2m-builder"  # in a figure's metadata
_OURS = {LOCK_NAME, MARK, f".{MARK}.part"}  # the last one is left by a run killed while writing the mark
MAX_SYNCED = 1000  # files that are synced one by one; more, and the whole system is synced


def mark_folder(folder: Path, command: str) -> None:
    """As `own_folder`, but without a lock: results of several commands may be written side by side.

    Raises:
        UserError: it holds something else, or it cannot be written.
    """
    _check_own(folder, command)
    if not (folder / MARK).exists():
        write_json(folder / MARK, {"made_by": f"lrs2m {command}"})


@contextmanager
def own_folder(folder: Path, command: str) -> Iterator[None]:
    """Lock a folder that a command fills: a new or empty one, which gets a mark, or one with its mark.

    Raises:
        UserError: it holds other files, another process fills it, or it cannot be written.
    """
    _check_own(folder, command)  # before a lock is put among a user's files
    with locked(folder, command):
        mark_folder(folder, command)
        yield


def _check_own(folder: Path, command: str) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: is a file; give a new or empty folder")
    with disk_errors(folder):
        other = next((entry.name for entry in folder.iterdir() if entry.name not in _OURS), None)
    if other is not None and _made_by(folder) != f"lrs2m {command}":
        raise UserError(
            f"{folder}: holds files that lrs2m {command} did not make, such as {other}; give a new or empty folder"
        )


def _made_by(folder: Path) -> str:
    try:
        content = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(content.get("made_by", "")) if isinstance(content, dict) else ""


@contextmanager
def finished_folder(path: Path, command: str = "lrs2m") -> Iterator[Path]:
    """Yield a temporary folder to fill; it is renamed to `path` if the block succeeds and removed otherwise.

    Its files are synced before it is renamed. Remains of a killed run are removed first.

    Raises:
        UserError: `path` exists (an empty folder is accepted), another process writes it, or the disk fails.
    """
    check_new(path)
    path = Path(os.path.realpath(path))
    part = path.with_name(f".{path.name}.part")
    with one_writer(path, command):
        check_new(path)  # another process may have finished it meanwhile
        with disk_errors(path):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            try:
                yield part
                _sync_all(part)
                part.replace(path)
                sync_folder(path.parent)
            finally:
                shutil.rmtree(part, ignore_errors=True)


@contextmanager
def one_writer(path: Path, command: str) -> Iterator[None]:
    """Lock the name of a file or folder that does not exist yet, for this process alone.

    Raises:
        UserError: another process writes it, or its folder cannot be written.
    """
    with disk_errors(path):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    with locked_file(path.absolute().with_name(f".{path.name}.lock"), command, shown=path, remove=True):
        yield


def check_new(path: Path, *, is_file: bool = False) -> None:
    """Raises:
    UserError: the path exists; an empty folder is accepted where a folder is to be written.
    """
    is_link_to_nothing = path.is_symlink() and not path.exists()
    if not (path.exists() or is_link_to_nothing):
        return
    with disk_errors(path):
        is_empty = path.is_dir() and next(path.iterdir(), None) is None
    if is_file or not is_empty:
        raise UserError(f"{path}: already exists; give a new {'file' if is_file else 'folder'} or remove it")
    if path.is_mount():
        raise UserError(f"{path}: is a mount point, which cannot be replaced; give a folder below it")


def save_picture(figure: Figure, path: Path, **options: Any) -> None:
    """Write a matplotlib figure as PNG or SVG; only a figure drawn by this program is overwritten.

    Raises:
        UserError: another file has the name, or the disk fails.
    """
    check_own_picture(path)
    kind = path.suffix[1:]
    metadata = {"Software": PROGRAM} if kind == "png" else {"Creator": PROGRAM, "Date": None}
    with finished_file(path) as part:
        figure.savefig(part, format=kind, metadata=metadata, **options)


def check_own_picture(path: Path) -> None:
    """Raises:
    UserError: a file of this name exists and this program did not draw it.
    """
    if not path.exists() and not path.is_symlink():
        return
    if path.is_file():
        with disk_errors(path), path.open("rb") as file:
            if PROGRAM.encode() in file.read(4096):
                return
    raise UserError(f"{path}: already exists and was not drawn by lrs2m; give another name or remove it")


def _sync_all(folder: Path) -> None:
    """Sync the files and names below a folder to the disk; if there are very many, sync the whole system."""
    entries = list(folder.rglob("*"))
    if len(entries) > MAX_SYNCED:
        os.sync()
        return
    for entry in entries:
        if entry.is_dir():
            sync_folder(entry)
        elif entry.is_file():
            with entry.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)
