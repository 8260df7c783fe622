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

POLL_S = 2.0
_CLEAN = b"c"


class Reaper:
    """Watches over the children of this process from `start` to `stop`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the terminal is not for it
        )

    def stop(self, *, kill: bool = False) -> None:
        """End the watch; with `kill` end what is left of the engine's processes, too."""
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            if not kill:
                pipe.write(_CLEAN)
            pipe.close()
            self._process.wait(timeout=30)


def watch(parent_pid: int) -> None:
    """Note the parent's new descendants until standard input ends; end them unless it ends with the clean mark."""
    import psutil

    parent = psutil.Process(parent_pid)
    # What was there before the engine is not its own: another child of the user's program.
    others = {child.pid for child in parent.children(recursive=True)} | {os.getpid()}
    seen: dict[int, psutil.Process] = {}
    while True:
        try:
            children = parent.children(recursive=True)
        except psutil.NoSuchProcess:
            break
        seen.update({child.pid: child for child in children if child.pid not in others})
        readable, _, _ = select.select([sys.stdin], [], [], POLL_S)
        if readable:
            if sys.stdin.buffer.read(1) == _CLEAN:
                return  # the engine was shut down by its own means
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
