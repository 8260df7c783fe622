"""How a signal ends a program: by a handler, by an exception if no work can be finished, by force if it hangs.

`timeout`, systemd, Slurm and a closing terminal send SIGTERM or SIGHUP to all processes of a group, some of them twice.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import Any

from lrs2m_builder.errors import Stopped, UserError
from lrs2m_builder.terminal import say

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LEAVE_AFTER_S = 2.0  # after a second signal
END_AFTER_S = 10.0  # after a signal, before the process is ended by force
SAME_S = 1.0  # signals this close count as one: `timeout` sends it to the process and then to its group
SIGNAL_SLACK_S = 1.0  # another process's end may be noticed before the signal that ended both


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that stop a program, without SIGHUP under `nohup`; empty outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return ()
    return tuple(
        number for number in STOP_SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    )


def leave_terminal(number: int) -> None:
    """Redirect output from a closed terminal to /dev/null: writing to it would fail."""
    if number == signal.SIGHUP:
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream and not stream.closed and stream.isatty():
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def on_signals(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Inside the block, the signals that stop a program call a handler; only the main thread can set one."""

    def handle(number: int, frame: object) -> None:
        leave_terminal(number)
        handler(number, frame)

    before = {number: signal.signal(number, handle) for number in stop_signals()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class Interruption:
    """Raises KeyboardInterrupt at the first signal; a later signal, or ten seconds, end the process.

    Attributes:
        came: whether a signal came. Any error after it is a consequence: libraries turn the interrupt into others.
    """

    def __init__(self) -> None:
        self.came = False
        self._at = 0.0

    def __call__(self, number: int, frame: object) -> None:
        if self.came:
            if time.monotonic() - self._at > SAME_S:
                _end()
            return
        self.came, self._at = True, time.monotonic()
        timer = threading.Timer(END_AFTER_S, _end)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let every signal that stops a program interrupt it as Ctrl-C does; a command may install its own handler."""
    interruption = Interruption()
    with on_signals(interruption):
        yield interruption


def _end() -> None:
    os.write(2, b"stopped; run the same command to resume\n")
    os._exit(130)


@contextmanager
def signals_kept_from_children() -> Iterator[None]:
    """Block stop signals, so that child processes started inside begin with them blocked; here they stay pending."""
    came: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: came.append(number)) for number in stop_signals()}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def worker_processes(count: int) -> Iterator[Callable[..., Future[Any]]]:
    """A pool of spawned worker processes; a signal that stops the program stops them.

    Raises:
        UserError: a worker was killed, as the kernel does when out of memory.
    """
    with signals_kept_from_children():  # the resource tracker starts here too
        pool = ProcessPoolExecutor(count, get_context("spawn"), start_worker)

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        with signals_kept_from_children():
            return pool.submit(function, *arguments)

    try:
        yield submit
    except BrokenProcessPool as error:
        time.sleep(SIGNAL_SLACK_S)
        raise UserError("a worker process was killed, probably for lack of memory; run the same command") from error
    except KeyboardInterrupt:
        for process in active_children():
            process.kill()  # workers hold nothing to save
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def start_worker() -> None:
    """In a pool's worker: the main process decides what a stop signal does; the pool ends workers with SIGTERM."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose program was killed: it would wait forever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def signals_raise() -> AbstractContextManager[None]:
    """Inside the block, a stop signal raises `Stopped`: starting engines swallow a KeyboardInterrupt."""

    def stop(number: int, frame: object) -> None:
        raise Stopped

    return on_signals(stop)


@contextmanager
def leaving() -> Iterator[Callable[[], None]]:
    """Yield a function that ends this process after a moment if the block is still running, whatever blocks it.

    That may be a read from a dead disk or an engine that does not close. Every answer is already in the journal: a
    process ended this way loses no more than a killed one.
    """
    timers: list[threading.Timer] = []

    def leave() -> None:
        say("stopped; run the same command to resume")
        os._exit(130)

    def leave_soon() -> None:
        timers.append(threading.Timer(LEAVE_AFTER_S, leave))
        timers[-1].daemon = True
        timers[-1].start()

    try:
        yield leave_soon
    finally:
        for timer in timers:
            timer.cancel()
