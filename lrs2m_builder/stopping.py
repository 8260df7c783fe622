"""How a signal ends a program: by a handler, by an exception if nothing can drain, by force if something hangs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from lrs2m_builder.errors import Stopped
from lrs2m_builder.telemetry import say

LEAVE_AFTER_S = 2.0  # after a second signal


@contextmanager
def on_signals(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM call a handler meanwhile; only the main thread can be told so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def signals_raise() -> AbstractContextManager[None]:
    """Let SIGINT and SIGTERM raise `Stopped` meanwhile; engines swallow a KeyboardInterrupt while they start."""

    def stop(number: int, frame: object) -> None:
        raise Stopped

    return on_signals(stop)


@contextmanager
def leaving() -> Iterator[Callable[[], None]]:
    """A function that ends this process a moment later if the block still runs then, whatever holds it.

    That may be a read from a dead disk or an engine that does not close. Every answer is in its journal already: a
    process that ends so loses no more than one that is killed.
    """
    timers: list[threading.Timer] = []

    def leave() -> None:
        say("stopped; run the same command to go on")
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
