"""One pass with one engine in this process: what a local build and a replica have in common."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.plan import BuildPlan, Pass
from lrs2m_builder.build.runner import Runner
from lrs2m_builder.build.telemetry import Meter, Progress
from lrs2m_builder.build.work import ShardWork
from lrs2m_builder.engines._base import BatchingEngine, Engine
from lrs2m_builder.engines._batch_records import BatchRecords
from lrs2m_builder.engines._draining import drain_on_signal
from lrs2m_builder.engines._pool import EnginePool, NoEngine
from lrs2m_builder.errors import flag_named
from lrs2m_builder.stopping import leaving
from lrs2m_builder.verify.judge import judge_options


@dataclass(frozen=True, slots=True)
class PassEnd:
    """How a pass ended.

    Attributes:
        waiting: what some sample still needs of later passes: numbers of steps, JUDGE.
        is_stopped: whether it ended early.
    """

    waiting: frozenset[int]
    is_stopped: bool


def run_pass(
    plan: BuildPlan,
    one: Pass,
    options: BuildOptions,
    pool: EnginePool,
    works: AsyncIterator[ShardWork],
    meter: Meter,
    shown: AbstractContextManager[Progress],
    telemetry: Path,
    records: BatchRecords | None = None,
) -> PassEnd:
    """Start the engine of a pass and take shards through the pass.

    Args:
        shown: starts the clock of the meter, and shows it; entered when the engine has started.
        records: of what an engine sends as batches.

    Raises:
        UserError: the engine stopped or the disk failed; answers already there are in the journals.
        Stopped: a signal came while the engine started.
    """
    engine: Engine = NoEngine()
    if one.model:
        given = judge_options(options.engine, options.engine_options) if one.judges else options.engine_options
        began = time.monotonic()
        with flag_named("--model", one.flag):
            engine = pool.begin(options.engine, one.model, one.role, given, one.samplings)
        meter.start_s += time.monotonic() - began
        if isinstance(engine, BatchingEngine) and records is not None:
            engine.remember(records)
    with leaving() as leave_soon, flag_named("--model", one.flag):
        try:
            with shown as progress:
                runner = Runner(plan, one, engine, meter, progress, embed_images=options.images == "embed")
                is_stopped = pool.run(drain_on_signal(runner, runner.run(works, telemetry), leave_soon))
        finally:
            if one.model:
                pool.release(engine)
    return PassEnd(frozenset(runner.waiting), is_stopped)
