"""A replica: one engine that takes shards, answers them and publishes them, in a process that Ray placed somewhere."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lrs2m_builder.build.journal import publish_abandoned
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.pass_run import run_pass
from lrs2m_builder.build.plan import BuildPlan, Pass, make_plan
from lrs2m_builder.build.plan_file import PlanFile, kept_plan
from lrs2m_builder.build.settings import Round, versions
from lrs2m_builder.build.stored_rows import warm_up
from lrs2m_builder.build.telemetry import Meter, kept_telemetry
from lrs2m_builder.build.work import ShardLeft, ShardWork, open_work, still_left
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.engines._pool import EnginePool
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.stores._base import Store, writer_name
from lrs2m_builder.stores.scratch import own_scratch
from lrs2m_builder.verify.decide import VerifySettings

REPORT_S = 1.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that a replica needs to know; it loads the recipe again on its machine.

    Attributes:
        models: (name, revision) of the model of each step, as the driver found them.
        folder: the driver's working directory, to which paths may be relative.
        versions: of the driver's packages.
    """

    options: BuildOptions
    module: EngineModule
    models: tuple[tuple[str, str], ...]
    verify: VerifySettings | None
    one: Pass
    round: Round
    store: Store
    folder: Path
    versions: dict[str, str]

    def plan(self) -> BuildPlan:
        """The driver's plan."""
        return replace(make_plan(self.options), models=self.models, verify=self.verify)

    def telemetry(self, name: str) -> str:
        """The name of a replica's file of rates; on an object store nobody appends to a file of an earlier run."""
        if self.store.folder is None:
            return f"telemetry/{writer_name()}.jsonl"
        part = "part-{}-of-{}-".format(*self.options.part) if self.options.part else ""
        return f"telemetry/{part}{name}.jsonl"

    def differences(self) -> str:
        """What is installed here in another version than where the driver runs."""
        here = versions(tuple(self.versions))
        other = {name: here.get(name, "missing") for name, wanted in self.versions.items() if here.get(name) != wanted}
        return ", ".join(f"{name} {found}, the driver has {self.versions[name]}" for name, found in other.items())


class Reporter:
    """A replica's display: its counts go to the dispatcher, whose answer says whether to stop."""

    def __init__(self, name: str, dispatcher: Any) -> None:
        self._name, self._dispatcher = name, dispatcher
        self._finished: list[int] = []
        self._reply: Any = None
        self._last = 0.0
        self._must_stop = False

    @property
    def has_begun(self) -> bool:
        """Whether the engine has started."""
        return self._last > 0

    @contextmanager
    def measured(self, meter: Meter) -> Iterator[Reporter]:
        """Let the clock of the pass run until the block ends."""
        meter.start()
        self._send(meter)  # the engine has started
        yield self
        meter.stop()

    def finished(self, index: int) -> None:
        """A shard has come to the end of the pass."""
        self._finished.append(index)

    def update(self, meter: Meter) -> bool:
        """Report now and then, without waiting for the answer; whether the run should stop."""
        import ray

        if self._reply is not None and ray.wait([self._reply], timeout=0)[0]:
            self._must_stop, self._reply = ray.get(self._reply), None
        if self._reply is None and time.monotonic() - self._last >= REPORT_S:
            self._send(meter)
        return self._must_stop

    def send_last(self, meter: Meter) -> None:
        """Report what is left, and wait until it has arrived."""
        import ray

        self._send(meter)
        ray.get(self._reply)

    def _send(self, meter: Meter) -> None:
        self._last = time.monotonic()
        finished, self._finished = self._finished, []
        self._reply = self._dispatcher.report.remote(self._name, meter, finished)


class Replica:
    """One engine for one pass; Ray runs it in a process of its own."""

    def answer(self, name: str, given: Assignment, dispatcher: Any) -> set[int] | str:
        """Take shards until none is left.

        Returns:
            What some sample still needs of later passes (see `PassEnd`); or why this replica cannot go on.
        """
        machine, meter, reporter = os.uname().nodename, Meter(), Reporter(name, dispatcher)
        if differences := given.differences():
            return f"{machine} has {differences}: install the same on every machine"
        try:
            os.chdir(given.folder)
        except OSError as error:
            return f"{machine}: {given.folder}: {error.strerror}; every machine must see the folders of the build"
        warm_up()
        plan, pool, shown = given.plan(), EnginePool(given.module), reporter.measured(meter)
        assert given.options.data_dir is not None
        try:
            with own_scratch(given.store) as store, kept_telemetry(store, given.telemetry(name)) as telemetry:
                samples = kept_plan(store, plan.manifest.name, given.options.data_dir)
                works = _works(name, dispatcher, reporter, store, samples, given.round)
                end = run_pass(plan, given.one, given.options, pool, works, meter, shown, telemetry)
        except UserError as error:
            return one_line(error)
        finally:
            if reporter.has_begun:
                reporter.send_last(meter)
        return set(end.waiting)


async def _works(
    name: str, dispatcher: Any, reporter: Reporter, store: Store, samples: PlanFile, number: Round
) -> AsyncIterator[ShardWork]:
    """The shards that the dispatcher hands out, opened; the engine goes on while the store is asked."""

    def opened(left: ShardLeft) -> ShardWork | None:
        publish_abandoned(store)  # perhaps of the replica that had the shard
        mine = still_left(replace(left, shard=replace(left.shard, store=store)), number)
        return open_work(mine, samples.shard(left.shard.index), number) if mine else None

    while (left := await dispatcher.take.remote(name)) is not None:
        if (work := await asyncio.to_thread(opened, left)) is not None:
            yield work
        else:
            reporter.finished(left.shard.index)  # the replica that had it died after it was published
