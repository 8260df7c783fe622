"""Ends an engine's processes when the process that started them dies without doing so.

vLLM's engine and worker processes outlive a killed parent and keep its GPU memory (vllm issues 34643 and 55510), so
that a build could not be resumed. A small process watches: it notes the build's descendants while the build lives,
and ends those that are left when the build's end of a pipe closes.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from types import TracebackType

POLL_S = 2.0


class Reaper:
    """Watches over the children of this process from `start` to `stop`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the terminal is not for it
        )

    def stop(self) -> None:
        """End what is left of the children and the watch itself."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
            self._process.wait(timeout=30)

    def __enter__(self) -> Reaper:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()


def watch(parent_pid: int) -> None:
    """Note the parent's descendants until standard input closes, then end those that still run."""
    import psutil

    seen: dict[int, psutil.Process] = {}
    parent = psutil.Process(parent_pid)
    while True:
        try:
            children = parent.children(recursive=True)
        except psutil.NoSuchProcess:
            break
        seen.update({child.pid: child for child in children if child.pid != os.getpid()})
        readable, _, _ = select.select([sys.stdin], [], [], POLL_S)
        if readable:
            break
    # psutil compares start times, so a number the system has given to another process since is safe.
    left = [child for child in seen.values() if child.is_running()]
    for child in left:
        try:
            child.terminate()
        except psutil.NoSuchProcess:
            continue
    for child in psutil.wait_procs(left, timeout=5)[1]:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue


if __name__ == "__main__":
    watch(int(sys.argv[1]))
