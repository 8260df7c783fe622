"""Several engines on one or many machines: Ray places them and notices deaths, and nothing else is left to it.

    driver      hands out shards, watches, reports; holds the lock of the build and writes no row
    replica     one engine in a process of its own; takes shards, answers them and publishes them
    dispatcher  which replica has which shard

A replica or the driver may die, or wake up late, at any moment: the store lets one content win for each shard, and
answers are in the journals.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from lrs2m_builder.build.cluster import Cluster, Place, connected
from lrs2m_builder.build.dispatch import Dispatcher, Standing
from lrs2m_builder.build.pass_run import PassEnd
from lrs2m_builder.build.plan import Pass
from lrs2m_builder.build.prepare import Prepared
from lrs2m_builder.build.replica import Assignment, Replica
from lrs2m_builder.build.settings import versions
from lrs2m_builder.build.telemetry import Meter, measured
from lrs2m_builder.build.work import Work
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.stopping import leaving, on_signals
from lrs2m_builder.terminal import say

WATCH_S = 0.5
MAX_WAIT_S = 60.0  # before a replica that died is replaced
# Deaths per replica without an answer in between, before the build ends: of engines that do not start, of engines that
# have answered nothing yet, and of others. To find a sample that kills its engine takes four deaths (see `Journal`).
MAX_FAILED_STARTS, MAX_DEATHS_AT_FIRST, MAX_DEATHS = 2, 5, 10


class Replicas:
    """Answers the passes of a build with several engines (see `run.Passes`).

    Connects to the cluster when the first pass needs it, and leaves it at the end of the block.
    """

    def __init__(self, cluster: Cluster, module: EngineModule) -> None:
        self._cluster, self.module = cluster, module
        self._connection = ExitStack()
        self._place: Place | None = None

    def __enter__(self) -> Replicas:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._connection.__exit__(kind, error, tb)

    def run(self, prepared: Prepared, work: Work, one: Pass, meter: Meter) -> PassEnd:
        """Take every shard that needs work through a pass.

        Raises:
            UserError: the replicas die without an answer, or one shard kills them; what was answered is kept.
        """
        plan, base = prepared.plan, replace(meter)
        given = Assignment(
            options=prepared.options,
            module=self.module,
            models=plan.models,
            verify=plan.verify,
            one=one,
            round=work.round,
            store=prepared.store,
            folder=Path.cwd(),
            versions=versions(),
        )
        say(f"starting {self._cluster.replicas} replicas of {prepared.options.engine} on {one.model or 'no model'} ...")
        if self._place is None:
            self._place = self._connection.enter_context(connected(self._cluster, prepared.options.engine_options))
        with measured(meter, prepared.label, prepared.num_mine, work.num_left) as display:
            watch = Watch(self._place, given, work)

            def on_signal(number: int, frame: object) -> None:
                leave_soon() if watch.is_stopping else watch.stop()

            with leaving() as leave_soon, on_signals(on_signal):
                for standing in watch.run():
                    meter.become(base, standing.meter)
                    display.update(meter)
        return PassEnd(frozenset(watch.waiting), watch.is_stopping)


@dataclass(slots=True)
class _Running:
    name: str
    actor: Any
    since: float


@dataclass(slots=True)
class Watch:
    """The replicas of one pass: started, watched, replaced when they die.

    Attributes:
        waiting: what some sample still needs of later passes (see `PassEnd`).
        is_stopping: whether a signal came.
    """

    place: Place
    given: Assignment
    work: Work
    waiting: set[int] = field(default_factory=set)
    is_stopping: bool = False
    _dispatcher: Any = None
    _running: dict[Any, _Running] = field(default_factory=dict)  # by the reference to its end
    _num_started: int = 0
    _num_in_vain: int = 0
    _num_answered: int = 0
    _not_before: float = 0.0

    def stop(self) -> None:
        """Have the replicas keep what is in flight, and end."""
        self.is_stopping = True
        say("stopping: the replicas keep the answers in flight (once more to leave at once)")
        if self._dispatcher is not None:
            self._dispatcher.stop.remote()

    def run(self) -> Iterator[Standing]:
        """Yield how far the pass is, until it ends.

        Raises:
            UserError: as `Replicas.run`.
        """
        ray, stall_s = self.place.ray, self.place.cluster.stall_minutes * 60
        self._dispatcher = self.place.here(Dispatcher, self.work.shards)
        try:
            while True:
                standing: Standing = ray.get(self._dispatcher.standing.remote(stall_s))
                yield standing
                if not self._running and (self.is_stopping or not standing.num_waiting):
                    return
                self._start_more(standing)
                if self._running:
                    for end in ray.wait(list(self._running), timeout=WATCH_S)[0]:
                        self._end(end, standing)
                else:
                    time.sleep(WATCH_S)  # the next one may start soon
                self._kill_silent(standing)
        finally:
            for running in self._running.values():
                ray.kill(running.actor)
            ray.kill(self._dispatcher)

    def _start_more(self, standing: Standing) -> None:
        if self.is_stopping or time.monotonic() < self._not_before:
            return
        for _ in range(min(self.place.num_replicas() - len(self._running), standing.num_waiting)):
            self._num_started += 1
            name = f"replica-{self._num_started:04d}"
            actor = self.place.actor(Replica)
            end = actor.answer.remote(name, self.given, self._dispatcher)
            self._running[end] = _Running(name, actor, time.monotonic())

    def _end(self, end: Any, standing: Standing) -> None:
        """A replica has come to its end, or died: hand out again what it had."""
        ray, running, is_dead = self.place.ray, self._running.pop(end), False
        try:
            result: set[int] | str = ray.get(end)
        except ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from error  # a bug
        except ray.exceptions.RayError as error:
            is_dead = True
            result = f"{running.name} died: {one_line(error)[:300]}"
        ray.kill(running.actor)  # its engine ends with it
        has_begun = ray.get(self._dispatcher.take_back.remote(running.name, died=is_dead))
        if isinstance(result, set):
            self.waiting |= result
        elif not self.is_stopping:
            self._count_death(result, standing, has_begun=has_begun)

    def _count_death(self, why: str, standing: Standing, *, has_begun: bool) -> None:
        answered = standing.meter.requests + standing.meter.claims
        is_in_vain = answered == self._num_answered
        self._num_answered, self._num_in_vain = answered, self._num_in_vain + 1 if is_in_vain else 1
        most = MAX_DEATHS if answered else MAX_DEATHS_AT_FIRST if has_begun else MAX_FAILED_STARTS
        rounds = self._num_in_vain / max(1, self.place.num_replicas())
        if rounds >= most:
            raise UserError(f"{why}; no replica answers any more. What was answered is kept: run the same command")
        wait_s = min(MAX_WAIT_S, 2.0 ** int(rounds))
        self._not_before = time.monotonic() + wait_s
        say(f"warning: {why}; its shards are handed out again")

    def _kill_silent(self, standing: Standing) -> None:
        """Kill replicas that hang or were stopped: Ray does not notice them."""
        now, patience = time.monotonic(), self.place.cluster
        for running in self._running.values():
            never = running.name not in standing.ready and now - running.since > patience.start_minutes * 60
            if running.name in standing.silent or never:
                say(f"warning: {running.name} has said nothing for {patience.stall_minutes:g} minutes; it is killed")
                self.place.ray.kill(running.actor)  # its end is then an error
