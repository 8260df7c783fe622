"""How a signal ends a run that asks an engine: what is in flight is answered and kept, a second signal drops it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from lrs2m_builder.engines._base import EngineStoppedError
from lrs2m_builder.errors import one_line
from lrs2m_builder.stopping import SIGNAL_SLACK_S, leave_terminal, stop_signals
from lrs2m_builder.terminal import say


class Drainable(Protocol):
    """A run that can be stopped in two steps."""

    @property
    def stopping(self) -> bool:
        """Whether one of them was taken."""
        ...

    def stop(self) -> None:
        """Ask no more; what is in flight is answered and kept."""
        ...

    def cancel(self) -> None:
        """Drop what is in flight too."""
        ...


async def drain_on_signal(run: Drainable, work: Coroutine[Any, Any, None], leave_soon: Callable[[], None]) -> bool:
    """Do the work of a run; the first signal drains it, the second drops what is in flight. Whether a signal came."""
    loop = asyncio.get_running_loop()
    is_signalled = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal is_signalled
        leave_terminal(number)
        if is_signalled:
            leave_soon()
            run.cancel()
            return
        is_signalled = True
        run.stop()
        say("stopping: keeping the answers in flight (once more to drop them)")

    handlers = {number: signal.getsignal(number) for number in stop_signals()}
    for number in handlers:
        loop.add_signal_handler(number, on_signal, number)
    try:
        await work
    except asyncio.CancelledError:
        if not run.stopping:
            raise
    except EngineStoppedError as error:
        # A signal to the group reaches the engine's processes too, and their end may be noticed before the signal.
        await asyncio.sleep(SIGNAL_SLACK_S)
        if not is_signalled:
            raise
        say(f"the engine ended with the run: {one_line(error)}")
    finally:
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
    return run.stopping
