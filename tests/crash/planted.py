"""Commands with a fault of each kind, by which the tests see that the laboratory finds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.crash.scenarios import Scenario


def in_place(words: list[str]) -> None:
    """Takes a file for finished that is only begun."""
    path = Path(words[0]) / "result.txt"
    if not path.exists():
        path.write_text("all of the result")


def part_left(words: list[str]) -> None:
    """Writes to a name that the next run does not know."""
    path, part = Path(words[0]) / "result.txt", Path(words[0]) / f".{os.getpid()}.part"
    part.write_text("all of the result")
    part.replace(path)


def two_files(words: list[str]) -> None:
    """Two files that must agree, each with its own rename."""
    folder = Path(words[0])
    names = [folder / "one.txt", folder / "two.txt"]
    if names[0].exists() != names[1].exists():
        raise AssertionError("one is there, the other is not")
    for path in names:
        part = path.with_suffix(".part")
        part.write_text("whole")
        part.replace(path)


def traceback_when_full(words: list[str]) -> None:
    """Does not expect a full disk."""
    (Path(words[0]) / "result.txt").write_text("all of the result")


def not_synced(words: list[str]) -> None:
    """Takes the name for the end, though the content may not be on the disk."""
    path, part = Path(words[0]) / "result.txt", Path(words[0]) / "result.part"
    if not path.exists():
        part.write_text("all of the result")
        part.replace(path)
    (Path(words[0]) / "done.txt").touch()


def arrow_and_child(words: list[str]) -> None:
    """Writes by a library in C++ and in another process."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"number": [1]}), Path(words[0]) / "table.parquet")
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('x')"
    subprocess.run([sys.executable, "-c", code, str(Path(words[0]) / "child.txt")], check=True)


def planted() -> dict[str, Scenario]:
    """By name, a command with each fault."""
    acts = {
        "written in place": (in_place, "torn"),
        "a part left behind": (part_left, "kill"),
        "two files that are one state": (two_files, "kill"),
        "a traceback at a full disk": (traceback_when_full, "full"),
        "renamed before it is on the disk": (not_synced, "power"),
        "arrow and a child": (arrow_and_child, "kill"),
    }
    return {
        f"planted: {name}": Scenario(f"planted: {name}", ("{root}",), Path.mkdir, act=act, modes=(mode,))
        for name, (act, mode) in acts.items()
    }
