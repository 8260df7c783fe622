"""Which replica has which shard: handed out in order, taken back from those that died, counted for the driver.

It lives in a process of its own that the driver starts, so that replicas and driver ask it and never each other. All
it knows may be lost: the store alone decides which shards are finished.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lrs2m_builder.build.telemetry import Meter
from lrs2m_builder.build.work import ShardLeft


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a pass is.

    Attributes:
        meter: what all replicas counted together, the dead ones included.
        num_waiting: shards that nobody has.
        ready: replicas that have reported: their engines have started.
        silent: those of them that have not reported for longer than was asked.
    """

    meter: Meter
    num_waiting: int
    ready: frozenset[str]
    silent: frozenset[str]


class Dispatcher:
    """The shards of one pass, and the replicas that answer them."""

    def __init__(self, shards: Sequence[ShardLeft]) -> None:
        self._waiting = deque(shards)
        self._held: dict[str, dict[int, ShardLeft]] = {}
        self._meters: dict[str, Meter] = {}
        self._seen: dict[str, float] = {}
        self._deaths: Counter[int] = Counter()  # of processes, since the shard was last handed out
        self._is_stopping = False

    def take(self, replica: str) -> ShardLeft | None:
        """The next shard for a replica; None if there is none, or if the build is stopping."""
        if self._is_stopping or not self._waiting:
            return None
        left = self._waiting.popleft()
        self._held.setdefault(replica, {})[left.shard.index] = left
        return replace(left, num_deaths=self._deaths.pop(left.shard.index, 0))

    def report(self, replica: str, meter: Meter, finished: Iterable[int]) -> bool:
        """Take a replica's counts and the shards that it has finished since; whether it should stop."""
        self._seen[replica] = time.monotonic()
        self._meters[replica] = meter
        for index in finished:
            self._held.get(replica, {}).pop(index, None)
        return self._is_stopping

    def take_back(self, replica: str, *, died: bool) -> bool:
        """Hand out again what a replica had: it is gone, or has ended before its shards were finished.

        Args:
            died: its process died; whoever takes its shards notes it.

        Returns:
            Whether its engine had started.
        """
        held = self._held.pop(replica, {})
        if died:
            self._deaths.update(held.keys())
        self._waiting.extendleft(sorted(held.values(), key=lambda left: -left.shard.index))
        return self._seen.pop(replica, None) is not None

    def stop(self) -> None:
        """Hand out no more, and tell each replica with its next report."""
        self._is_stopping = True

    def standing(self, silent_s: float) -> Standing:
        """How far the pass is.

        Args:
            silent_s: seconds without a report after which a replica counts as silent.
        """
        total, now = Meter(), time.monotonic()
        for meter in self._meters.values():
            total.add(meter)
        silent = frozenset(replica for replica, seen in self._seen.items() if now - seen > silent_s)
        return Standing(total, len(self._waiting), frozenset(self._seen), silent)
