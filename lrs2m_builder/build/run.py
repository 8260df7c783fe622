"""`lrs2m build`: the straight line from a manifest to shards, resumable at any moment.

manifest -> samples -> requests -> completions -> records     -> data/<subset>/train-00000.parquet
                                               \\-> rejections -> rejected/<subset>/train-00000.parquet
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.pass_run import PassEnd, run_pass
from lrs2m_builder.build.plan import Pass
from lrs2m_builder.build.prepare import Prepared, prepare
from lrs2m_builder.build.replicas import Replicas
from lrs2m_builder.build.report import Report, write_report
from lrs2m_builder.build.settings import claimed, finish_build
from lrs2m_builder.build.stored_rows import warm_up
from lrs2m_builder.build.telemetry import Meter, kept_telemetry, measured
from lrs2m_builder.build.work import BATCHES, ShardWork, Work, find_work, open_works, sweep
from lrs2m_builder.build.workers import merge_shards
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.engines._batch_records import BatchRecords
from lrs2m_builder.engines._pool import EnginePool
from lrs2m_builder.errors import Stopped
from lrs2m_builder.terminal import say


class Passes(Protocol):
    """Where the passes of a build are answered: `Here`, or by several `Replicas`."""

    module: EngineModule

    def run(self, prepared: Prepared, work: Work, one: Pass, meter: Meter) -> PassEnd:
        """Take every shard that needs work through a pass."""
        ...


def build(options: BuildOptions, engines: EngineModule | EnginePool | Replicas) -> Report:
    """Build a subset, or resume a build that was interrupted.

    Args:
        engines: an engine's module, of which each pass starts one; a pool, whose engine may outlive the build; or
            replicas, of which several answer at once.

    Raises:
        UserError: a setting, a file or the model cannot be used, or the folder was built with other settings.
    """
    passes: Passes = engines if isinstance(engines, Replicas) else Here(engines)
    prepared = prepare(options, passes.module)
    for finding in prepared.lint:
        say(f"warning: {finding}")
    origin, command = prepared.plan.manifest.origin, options.command
    with claimed(
        prepared.store, prepared.settings, origin, restart=options.restart, part=options.part, command=command
    ):
        prepared, meter = prepared.with_kept_plan(), Meter()
        try:
            answer_all(prepared, find_work(prepared), passes, meter)
        except Stopped:
            return write_report(prepared, meter, stopped=True)
        report = write_report(prepared, meter, stopped=False)
        if not options.part:
            sweep(prepared)
            finish_build(prepared.store)
        return report


def answer_all(prepared: Prepared, work: Work, passes: Passes, meter: Meter) -> None:
    """Take every shard that needs work through every pass; in the last one it is written.

    Raises:
        UserError: the engine stopped or the disk failed; answers already there are in the journals.
        Stopped: a signal came; what was answered is kept.
    """
    if not work.num_left:
        return
    warm_up()
    if not prepared.passes:  # the recipe asks no model
        merge_shards(prepared, work, meter)
    needed: set[int] | None = None  # not known before the first pass
    for one in prepared.passes:
        if needed is not None and one.number not in needed and not one.is_last:
            work.skip(one)
        elif one.is_last or not work.has_passed(one):
            end = passes.run(prepared, work, one, meter)
            if end.is_stopped:
                raise Stopped
            needed = {later.number for later in prepared.passes if later.answers & end.waiting}


class Here:
    """Answers the passes of a build in this process, with one engine after the other."""

    def __init__(self, engines: EngineModule | EnginePool) -> None:
        self._pool = engines if isinstance(engines, EnginePool) else EnginePool(engines)
        self.module = self._pool.module

    def run(self, prepared: Prepared, work: Work, one: Pass, meter: Meter) -> PassEnd:
        """Start the engine of a pass and take every shard that needs work through the pass.

        Raises:
            UserError, Stopped: as `answer_all`.
        """
        shown = measured(meter, prepared.label, prepared.num_mine, work.num_left)
        works = _each_shard(prepared, work)
        records = BatchRecords(prepared.store, f"{BATCHES}/{prepared.subset}")
        with kept_telemetry(prepared.store, prepared.telemetry) as telemetry:
            return run_pass(prepared.plan, one, prepared.options, self._pool, works, meter, shown, telemetry, records)


async def _each_shard(prepared: Prepared, work: Work) -> AsyncIterator[ShardWork]:
    for shard in open_works(prepared, work):
        yield shard
