"""The command line run within the test's own process: fast enough for hundreds of odd inputs."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.cli import main


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command came to: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a command that refused its input."""
        assert self.code == 2 and not self.out, self
        lines = self.err.strip().split("\n")
        assert len(lines) == 1 and lines[0].startswith("error: "), self
        return lines[0]


def lrs2m(*arguments: str | Path) -> Finished:
    """Run `lrs2m` with these arguments; a bug raises here what a user would see as a traceback."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["lrs2m", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = 0
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
    finally:
        sys.argv = before
    return Finished(code, out.getvalue(), err.getvalue())
