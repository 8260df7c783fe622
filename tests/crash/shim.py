"""The C library that stands between a command and its files: compiled, told what to do, and read.

`shim.c` counts every operation that changes files below one folder, of the process and of all its children, and kills
or fails at the N-th. What both sides know lies in a file that is mapped into memory.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
LOG_SIZE = 8 << 20
CONTROL = "CRASH_CONTROL"  # names the mapped file
# What happens at the N-th operation: nothing; the end before it; the end after half of a write; from then on no space
# is left; that one fails with EIO.
MODES = ("count", "kill", "torn", "full", "broken")


class _Control(ctypes.Structure):
    """The same as `struct control` in shim.c."""

    _fields_ = (
        *[(name, ctypes.c_int32) for name in ("armed", "mode", "at", "alone", "count", "done", "log_used", "unused")],
        ("root", ctypes.c_char * 1024),
        ("log", ctypes.c_char * LOG_SIZE),
    )


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on a file: its letter (see shim.c), and the sizes and paths that belong to it."""

    letter: str
    size: int
    path: str
    to: str

    def __str__(self) -> str:
        name = NAMES.get(self.letter, self.letter)
        return f"{name} {Path(self.path).name}" + (f" -> {Path(self.to).name}" if self.letter == "r" else "")


NAMES = {
    "c": "create",
    "o": "open to append",
    "w": "write",
    "f": "fsync",
    "t": "truncate",
    "r": "rename",
    "u": "unlink",
    "m": "mkdir",
    "d": "rmdir",
    "l": "link",
    "!": "before",
}


def compiler() -> str | None:
    """The C compiler of this machine, or None."""
    return shutil.which("cc") or shutil.which("gcc")


def compile_shim(folder: Path) -> Path:
    """Compile the library into the folder; returns its path."""
    found = compiler()
    assert found is not None
    library = folder / "shim.so"
    subprocess.run([found, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def environment(library: Path, control: Path) -> dict[str, str]:
    """The environment of a process that the library shall watch."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    control.write_bytes(b"")
    os.truncate(control, ctypes.sizeof(_Control))
    return {**os.environ, **one_thread, "LD_PRELOAD": str(library), CONTROL: str(control)}


class Watch:
    """This side of the library, in a process that runs with it."""

    def __init__(self, root: Path) -> None:
        with Path(os.environ[CONTROL]).open("r+b") as file:
            self._control = _Control.from_buffer(mmap.mmap(file.fileno(), 0))
        self._control.root = os.fsencode(root)

    def arm(self, mode: str = "count", at: int = 0, *, alone: bool = False) -> None:
        """Count from zero, and do what the mode says at the operation `at`."""
        control = self._control
        control.mode, control.at, control.alone = MODES.index(mode), at, alone
        control.count = control.done = control.log_used = 0
        control.armed = 1

    def disarm(self) -> None:
        """Let everything pass, uncounted."""
        self._control.armed = 0

    @property
    def count(self) -> int:
        """The operations since `arm`."""
        return int(self._control.count)

    @property
    def struck(self) -> bool:
        """Whether the operation to kill or fail at was reached."""
        return bool(self._control.done)

    def operations(self) -> list[Operation]:
        """What was done since `arm`, in order; a kill is the last, with its letter "!"."""
        used = min(self._control.log_used, LOG_SIZE)
        text = ctypes.string_at(ctypes.addressof(self._control) + _Control.log.offset, used)
        found = []
        for line in os.fsdecode(text).splitlines():
            letter, size, path, to = line.split("\t")
            found.append(Operation(letter, int(size), path, to))
        return found


def lose_unsynced(operations: list[Operation]) -> list[str]:
    """Cut each file to what was on the disk by its last fsync, as a power cut may leave it; names of the files cut.

    Names and folders stay as they are: a journaling file system keeps their order, but of a file's content only what
    was synced.
    """
    synced: dict[str, list[int]] = {}  # the names of one file share a list
    for operation in operations:
        if operation.letter == "c":
            synced[operation.path] = [0]
        elif operation.letter in "ow":
            synced.setdefault(operation.path, [operation.size if operation.letter == "o" else 0])
        elif operation.letter == "f":
            synced.setdefault(operation.path, [0])[0] = operation.size
        elif operation.letter == "r":
            _move(synced, operation.path, operation.to)
        elif operation.letter == "l" and operation.path in synced:
            synced[operation.to] = synced[operation.path]
        elif operation.letter == "u":
            synced.pop(operation.path, None)
    cut = []
    for path, (size,) in synced.items():
        if Path(path).is_file() and Path(path).stat().st_size > size:
            os.truncate(path, size)
            cut.append(path)
    return cut


def _move(synced: dict[str, list[int]], path: str, to: str) -> None:
    """A renamed file or folder takes what is known of it to its new name."""
    for old in [name for name in synced if name == path or name.startswith(path + "/")]:
        synced[to + old[len(path) :]] = synced.pop(old)
