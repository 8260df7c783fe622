"""What the requests to one endpoint share: waiting while it is away, and whose fault a refusal is.

While an endpoint is away all requests wait behind one gate; one after the other tries whether it is back, so that no
storm meets a server that is starting and one request that always kills it does not hold up the others. A refusal is
believed to be its request's own when others are answered beside it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from lrs2m_builder.engines._base import EngineStoppedError
from lrs2m_builder.engines._endpoint_errors import AwayError, PassingError
from lrs2m_builder.terminal import duration, say

MAX_IN_A_ROW = 8  # requests given up or refused one after the other: not they are at fault
SAY_EVERY_S = 60.0
KEPT = "what was answered is kept, the same command goes on"

T = TypeVar("T")


class GivenUpError(PassingError):
    """A request that fails although the endpoint is there; no other try follows."""


class Gate:
    """Lets requests through while the endpoint is there, and one at a time while it is away."""

    def __init__(self, name: str, wait_s: float, max_pause_s: float, max_tries: int) -> None:
        """Prepare a gate, open.

        Args:
            wait_s: how long an endpoint is waited for.
            max_pause_s: between two tries of it at most.
            max_tries: of one request while nobody else can tell whether the endpoint is there.
        """
        self._name, self._wait_s, self._max_pause_s, self._max_tries = name, wait_s, max_pause_s, max_tries
        self._since: float | None = None
        self._openings = self._probes = 0
        self._said = 0.0
        self._why: AwayError = AwayError("")
        self._turn = asyncio.Lock()
        self._waiting: set[asyncio.Task[object]] = set()
        self._stopped = False

    async def through(self, send: Callable[[], Awaitable[T]], is_there: Callable[[], Awaitable[bool]]) -> T:
        """Send a request as soon as the endpoint is there, again if it went away meanwhile.

        Args:
            is_there: asks the endpoint something else.

        Raises:
            AwayError: for this request the endpoint seemed away, others were answered: a fault of its own.
            GivenUpError: the same, found out by asking something else.
            EngineStoppedError: the endpoint was away for longer than it is waited for.
        """
        openings, failed = self._openings, 0
        while True:
            try:
                if self.is_open():
                    return await send()
                with self._wait():
                    await self._turn.acquire()
                try:
                    if self.is_open():
                        continue
                    await self._pause()
                    if failed < self._max_tries:
                        return await send()
                    if await is_there():
                        raise GivenUpError(str(self._why))
                finally:
                    self._turn.release()
            except AwayError as error:
                self._close(error)
                if self._openings != openings:
                    raise
                failed += 1

    def is_open(self) -> bool:
        """Whether the endpoint is taken to be there."""
        return self._since is None

    def open(self) -> None:
        """The endpoint answered, whatever it said."""
        if self._since is None:
            return
        if self._said:
            say(f"{self._name} is back after {duration(time.monotonic() - self._since)}")
        self._since, self._probes, self._said = None, 0, 0.0
        self._openings += 1

    def _close(self, error: AwayError) -> None:
        if self._since is None:
            self._since = time.monotonic()
        self._why = error

    async def _pause(self) -> None:
        """Wait before the endpoint is tried again, longer each time; say so from the second time on.

        Raises:
            EngineStoppedError: it was waited for long enough.
        """
        assert self._since is not None
        now = time.monotonic()
        left = self._since + self._wait_s - now
        if left <= 0:
            raise EngineStoppedError(
                f"{self._name}: away for {duration(now - self._since)} ({self._why}); {KEPT}; "
                "--engine-option wait_s=SECONDS waits longer"
            )
        if self._probes and not self._said:
            self._said = now
            say(f"waiting for {self._name} ({self._why}), {duration(left)} at most; what was answered is kept")
        elif self._said and now - self._said >= SAY_EVERY_S:
            self._said = now
            say(f"still waiting for {self._name} ({self._why}), {duration(left)} left")
        growing = min(0.5 * 2 ** min(self._probes, 30) * random.uniform(1, 1.5), self._max_pause_s)
        self._probes += 1
        await self.sleep(min(max(growing, self._why.wait_s or 0.0), left))

    async def sleep(self, seconds: float) -> None:
        """Sleep, unless the build is stopped."""
        with self._wait():
            await asyncio.sleep(seconds)

    def stop_waiting(self) -> None:
        """The build stops: what only waits is dropped, what is being answered is not."""
        self._stopped = True
        for task in self._waiting:
            task.cancel()

    @contextmanager
    def _wait(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        if self._stopped:
            raise asyncio.CancelledError
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)


class Verdicts:
    """Tells refusals that are their requests' own from a setting that makes the endpoint refuse everything.

    A refusal is held back while other requests are on the wire. An answer to one of them clears it. Where eight in a
    row were refused and none is left that could be answered, the setting is at fault.
    """

    def __init__(self) -> None:
        self.has_answered = False
        self._on_wire = self._refused = 0
        self._held: list[asyncio.Future[bool]] = []
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def wait_for_verdict(self) -> None:
        """Send nothing more while it is not clear whether all would be refused."""
        await self._quiet.wait()

    @contextmanager
    def on_wire(self) -> Iterator[None]:
        """A request is with the endpoint meanwhile."""
        self._on_wire += 1
        try:
            yield
        finally:
            self._on_wire -= 1
            # Later, when what came of the request has been counted.
            asyncio.get_running_loop().call_soon(self._settle_if_idle)

    def answered(self) -> None:
        """A request was answered: the setting is good."""
        self._refused, self.has_answered = 0, True
        self._settle(own=True)

    async def is_own(self, *, named: bool) -> bool:
        """Whether a refusal is its request's own.

        Args:
            named: the endpoint named what is wrong with this request; it waits for the others only in a long row.
        """
        self._refused += 1
        if self._refused >= MAX_IN_A_ROW:
            self._quiet.clear()
        elif named:
            return True
        verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._held.append(verdict)
        return await verdict

    def _settle_if_idle(self) -> None:
        if not self._on_wire:
            self._settle(own=self._refused < MAX_IN_A_ROW)

    def _settle(self, *, own: bool) -> None:
        for verdict in self._held:
            if not verdict.done():
                verdict.set_result(own)
        self._held.clear()
        self._quiet.set()
