"""A Ray cluster in virtual time: the build's own driver and dispatcher run on it, with replicas that only count.

The driver (`build.replicas.Watch`) and the dispatcher see a clock that jumps from event to event, so that a build of
days takes seconds. A replica answers captions at the rate of its machine, takes the next shard when what is left of the
others fits into its engine's window, reports finished shards, and dies at random moments. Its answers are in journals:
what it had answered stays, but for the last ones before its death.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from lrs2m_builder.build import dispatch, replicas
from lrs2m_builder.build.cluster import Cluster
from lrs2m_builder.build.commit import Shard
from lrs2m_builder.build.replicas import Watch
from lrs2m_builder.build.settings import Round
from lrs2m_builder.build.telemetry import Meter
from lrs2m_builder.build.work import ShardLeft, Work
from lrs2m_builder.stores.folder import FolderStore


@dataclass(frozen=True, slots=True)
class World:
    """What happens to replicas.

    Attributes:
        start_s: from the start of a replica to its first answer.
        mean_life_s: mean time between two deaths of a replica; None: none dies.
        lost_s: seconds of answers that are not yet durable when it dies.
        window: samples in its engine and before it; half of an answer is done on average.
    """

    start_s: float = 240.0
    mean_life_s: float | None = 4 * 3600.0
    lost_s: float = 30.0
    window: int = 544


class Clock:
    """Virtual time, in the place of the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.run(until=self.now + seconds)

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Call a function at a time."""
        self._count += 1
        heapq.heappush(self._events, (when, self._count, event))

    def run(self, until: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, at most until a condition holds."""
        while not stop() and self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        if not stop():
            self.now = until


class Ref:
    """The result of a remote call, perhaps of the future."""

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None

    def end(self, value: Any = None, error: Exception | None = None) -> None:
        self.done, self.value, self.error = True, value, error


class RayError(Exception):
    """A replica died."""


class RayTaskError(RayError):
    """A replica raised an error; none does here."""


class Remote:
    """An actor whose calls return at once."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Ref:
            result = getattr(self.target, name)(*arguments, **named)
            if isinstance(result, Ref):
                return result
            ref = Ref()
            ref.end(result)
            return ref

        return SimpleNamespace(remote=call)


class VirtualPlace:
    """What `build.cluster.Place` gives the driver, with machines of given rates (captions per second)."""

    def __init__(self, rates: Sequence[float], costs: Sequence[float], world: World, seed: int) -> None:
        self.clock, self.world, self.random = Clock(), world, random.Random(seed)
        self.cost, self.left = list(costs), list(costs)  # of each shard, in captions
        self.free = list(reversed(rates))
        self.num_deaths, self.finished_at = 0, 0.0
        self.cluster = Cluster(len(rates))
        self.ray = SimpleNamespace(
            get=self._get,
            wait=self._wait,
            kill=self._kill,
            exceptions=SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError),
        )

    def num_replicas(self) -> int:
        assert isinstance(self.cluster.replicas, int)
        return self.cluster.replicas

    def here(self, kind: type, *arguments: Any) -> Any:
        return Remote(kind(*arguments))

    def actor(self, kind: type) -> Any:
        return Remote(VirtualReplica(self))

    def _get(self, ref: Ref) -> Any:
        if ref.error is not None:
            raise ref.error
        return ref.value

    def _wait(self, refs: Sequence[Ref], timeout: float) -> tuple[list[Ref], list[Ref]]:
        self.clock.run(self.clock.now + timeout, stop=lambda: any(ref.done for ref in refs))
        return [ref for ref in refs if ref.done], [ref for ref in refs if not ref.done]

    def _kill(self, actor: Remote) -> None:
        if isinstance(actor.target, VirtualReplica):
            actor.target.leave()


class VirtualReplica:
    """Answers the shards that the real dispatcher gives it, one caption after the other."""

    def __init__(self, place: VirtualPlace) -> None:
        self._place, self._clock = place, place.clock
        self._rate = place.free.pop()
        self._end = Ref()
        self._shards: list[int] = []
        self._since, self._answered = 0.0, 0.0
        self._version = 0
        self._is_here, self._is_last = True, False

    def answer(self, name: str, given: Any, dispatcher: Remote) -> Ref:
        """As `Replica.answer`; the result comes later."""
        self._name, self._dispatcher = name, dispatcher.target
        begins = self._clock.now + self._place.world.start_s
        self._clock.at(begins, self._begin)
        if (mean := self._place.world.mean_life_s) is not None:
            self._clock.at(begins + self._place.random.expovariate(1 / mean), self._die)
        return self._end

    def leave(self) -> None:
        """Give the machine back."""
        if self._is_here:
            self._is_here = False
            self._place.free.append(self._rate)

    def _begin(self) -> None:
        if not self._end.done:
            self._since = self._clock.now
            self._report([])
            self._go_on()

    def _work(self) -> None:
        """Count what was answered since the last event: shard after shard, in their order."""
        done = (self._clock.now - self._since) * self._rate
        self._since = self._clock.now
        for shard in self._shards:
            step = min(done, self._place.left[shard])
            self._place.left[shard] -= step
            self._answered += step
            done -= step

    def _report(self, finished: list[int]) -> None:
        self._dispatcher.report(self._name, Meter(requests=int(self._answered)), finished)

    def _go_on(self) -> None:
        """Report finished shards, take the next ones, and find the next event."""
        place = self._place
        self._work()
        finished = [shard for shard in self._shards if place.left[shard] < 1e-6]
        if finished:
            self._shards = [shard for shard in self._shards if shard not in finished]
            place.finished_at = self._clock.now
            self._report(finished)
        while not self._is_last and sum(place.left[shard] for shard in self._shards) <= place.world.window:
            taken = self._dispatcher.take(self._name)
            if taken is None:
                self._is_last = True
            else:
                self._shards.append(taken.shard.index)
        if not self._shards:
            self._end.end(value=set())
            return
        total = sum(place.left[shard] for shard in self._shards)
        waits = [place.left[self._shards[0]] / self._rate]
        if not self._is_last:
            waits.append((total - place.world.window) / self._rate)
        self._version += 1
        version = self._version
        self._clock.at(self._clock.now + max(min(waits), 1e-6), lambda: self._due(version))

    def _due(self, version: int) -> None:
        if version == self._version and not self._end.done:
            self._go_on()

    def _die(self) -> None:
        if self._end.done:
            return
        self._work()
        self._report([])  # as every second
        lost = self._place.world.lost_s * self._rate + self._place.world.window / 2
        for shard in reversed(self._shards):  # the last answers
            again = min(lost, self._place.cost[shard] - self._place.left[shard])
            self._place.left[shard] += again
            lost -= again
        self._place.num_deaths += 1
        self.leave()
        self._end.end(error=RayError("the node is lost"))


@contextmanager
def virtual_time(clock: Clock, watch_s: float) -> Iterator[None]:
    """Let the driver and the dispatcher live by a virtual clock, and say nothing."""
    with ExitStack() as patches:
        for module in (replicas, dispatch):
            patches.enter_context(patch.object(module, "time", clock))
        patches.enter_context(patch.object(replicas, "WATCH_S", watch_s))
        patches.enter_context(patch.object(replicas, "say", lambda text: None))
        yield


def simulate(rates: Sequence[float], costs: Sequence[float], world: World, seed: int) -> tuple[float, int]:
    """(seconds until the last shard is finished, deaths) of a build by the real driver.

    In long builds it looks around every ten seconds instead of twice a second, which delays a new replica by as much.
    """
    watch_s = min(10.0, max(0.5, sum(costs) / sum(rates) / 1000))
    place = VirtualPlace(rates, costs, world, seed)
    store = FolderStore(Path("simulated"))
    left = [
        ShardLeft(shard=Shard(store, "toy", index, ""), length=int(cost), status=None, num_left=int(cost))
        for index, cost in enumerate(costs)
    ]
    watch = Watch(place, None, Work(tuple(left), Round(0, False)))  # type: ignore[arg-type]
    with virtual_time(place.clock, watch_s):
        for _ in watch.run():
            pass
    assert all(rest < 1e-6 for rest in place.left), "a shard was not finished"
    return place.finished_at, place.num_deaths
