"""A replica: one engine that takes shards, answers them and publishes them, in a process that Ray placed somewhere."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.pass_run import run_pass
from lrs2m_builder.build.plan import BuildPlan, Pass, make_plan
from lrs2m_builder.build.plan_file import PlanFile
from lrs2m_builder.build.settings import Round, versions
from lrs2m_builder.build.stored_rows import warm_up
from lrs2m_builder.build.telemetry import Meter
from lrs2m_builder.build.work import ShardWork, open_work, still_left
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.engines._pool import EnginePool
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.verify.decide import VerifySettings

REPORT_S = 1.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that a replica needs to know; it loads the recipe again on its machine.

    Attributes:
        models: (name, revision) of the model of each step, as the driver found them.
        plan_file: path of the samples.
        versions: of the driver's packages.
    """

    options: BuildOptions
    module: EngineModule
    models: tuple[tuple[str, str], ...]
    verify: VerifySettings | None
    one: Pass
    round: Round
    plan_file: Path
    versions: dict[str, str]

    def plan(self) -> BuildPlan:
        """The driver's plan."""
        return replace(make_plan(self.options), models=self.models, verify=self.verify)

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
        if differences := given.differences():
            return f"{os.uname().nodename} has {differences}: install the same on every machine"
        warm_up()
        plan, meter, reporter = given.plan(), Meter(), Reporter(name, dispatcher)
        assert given.options.data_dir is not None
        samples = PlanFile(given.plan_file, plan.manifest.name, given.options.data_dir)

        async def works() -> AsyncIterator[ShardWork]:
            while (shard := await dispatcher.take.remote(name)) is not None:
                if (left := still_left(shard, given.round)) is None:
                    reporter.finished(shard.shard.index)  # the replica that had it died after it was published
                else:
                    yield open_work(left, samples.shard(shard.shard.index), given.round)

        assert isinstance(given.options.out_dir, Path), "replicas need a folder (parse_cluster)"
        telemetry = given.options.out_dir / "telemetry" / f"{name}.jsonl"
        telemetry.parent.mkdir(exist_ok=True)
        pool = EnginePool(given.module)
        try:
            end = run_pass(plan, given.one, given.options, pool, works(), meter, reporter.measured(meter), telemetry)
        except UserError as error:
            return one_line(error)
        finally:
            reporter.send_last(meter)
        return set(end.waiting)
