"""The processes that vLLM starts: in a group of their own, and what they write in a file instead of at the terminal."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEVEL = "VLLM_LOGGING_LEVEL"
_IS_READ = LEVEL in os.environ  # a user who sets it wants to see what vLLM writes
# Loggers of imports that speak in this process of packages which the machine has and vLLM does not use.
_CHATTY = ("vllm.triton_utils.importing", "torch.utils.cpp_extension")
_EXCEPTION = re.compile(
    r"^(?:\([^)]*\)\s*)?(?:ERROR [^\]]*\]\s*)?(?P<what>[A-Za-z_][\w.]*(?:Error|Exception)\b.*)$", re.MULTILINE
)
_UNTOLD = "Engine core initialization failed"


class EngineLog:
    """What vLLM's processes write: a file that is removed when they end well, or the terminal."""

    def __init__(self) -> None:
        """Keep vLLM quiet in this process; the file is made with the first of its own."""
        self.path: Path | None = None
        self._is_named = False
        os.environ.setdefault(LEVEL, "ERROR")
        for name in () if _IS_READ else _CHATTY:
            logging.getLogger(name).setLevel(logging.ERROR)

    def open(self) -> None:
        """Make the file."""
        if not _IS_READ:
            handle, name = tempfile.mkstemp(prefix="lrs2m-vllm-", suffix=".log")
            os.close(handle)
            self.path = Path(name)

    def reason(self, error: BaseException | None = None) -> str:
        """Why the processes failed, in one line: their last exception, else `error`; and where all they wrote is."""
        self._is_named = True
        said = self.path.read_text(encoding="utf-8", errors="replace") if self.path else ""
        found = [match["what"] for match in _EXCEPTION.finditer(said) if _UNTOLD not in match["what"]]
        what = " ".join((found[-1] if found else str(error or "")).split())[:500]
        where = f"all it wrote is in {self.path}" if self.path else "its own message stands above"
        return f"{what}; {where}" if what else where

    def remove(self) -> None:
        """Remove the file, unless the user was told of it."""
        if self.path is not None and not self._is_named:
            self.path.unlink(missing_ok=True)


@contextmanager
def children_apart(log: EngineLog) -> Iterator[None]:
    """Let the processes started meanwhile form groups of their own, out of reach of a Ctrl-C, and write to the log.

    The signal goes to every process of the terminal's group, and an engine that ends on it leaves nothing to drain.
    multiprocessing offers no hook between fork and exec, but lets the interpreter be chosen: a shell line that calls
    setpgrp first. (Not setsid: Linux shares the CPU evenly between sessions, and the engine's would starve ours.)
    """
    log.open()
    with tempfile.TemporaryDirectory(prefix="lrs2m-") as folder:
        launcher = Path(folder) / "python"
        code = "import os, sys; os.setpgrp(); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
        line = f'exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"'
        output = f" >>{shlex.quote(str(log.path))} 2>&1" if log.path else ""
        launcher.write_text(f"#!/bin/sh\n{line}{output}\n")
        launcher.chmod(0o700)
        multiprocessing.set_executable(str(launcher))
        try:
            yield
        finally:
            multiprocessing.set_executable(sys.executable)
