"""`lrs2m build`: the straight line from a manifest to shards, resumable at any moment.

manifest -> samples -> requests -> completions -> records     -> data/<subset>/train-00000.parquet
                                               \\-> rejections -> rejected/<subset>/train-00000.parquet
"""

from __future__ import annotations

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.plan import Pass
from lrs2m_builder.build.prepare import Prepared, prepare
from lrs2m_builder.build.report import Report, write_report
from lrs2m_builder.build.runner import Runner
from lrs2m_builder.build.settings import claimed, finish_build
from lrs2m_builder.build.stored_rows import warm_up
from lrs2m_builder.build.telemetry import Meter, kept_telemetry, measured
from lrs2m_builder.build.work import Work, find_work, open_works, sweep
from lrs2m_builder.build.workers import merge_shards
from lrs2m_builder.engines._base import Engine, EngineModule
from lrs2m_builder.engines._draining import drain_on_signal
from lrs2m_builder.engines._pool import EnginePool, NoEngine
from lrs2m_builder.errors import Stopped, flag_named
from lrs2m_builder.stopping import leaving
from lrs2m_builder.terminal import say


def build(options: BuildOptions, engines: EngineModule | EnginePool) -> Report:
    """Build a subset, or resume a build that was interrupted.

    Args:
        engines: an engine's module, of which each pass starts one; or a pool, whose engine may outlive the build.

    Raises:
        UserError: a setting, a file or the model cannot be used, or the folder was built with other settings.
    """
    pool = engines if isinstance(engines, EnginePool) else EnginePool(engines)
    prepared = prepare(options, pool.module)
    for finding in prepared.lint:
        say(f"warning: {finding}")
    origin = prepared.plan.manifest.origin
    with claimed(prepared.store, prepared.settings, origin, restart=options.restart, part=options.part):
        prepared, meter = prepared.with_kept_plan(), Meter()
        try:
            answer_all(prepared, find_work(prepared), pool, meter)
        except Stopped:
            return write_report(prepared, meter, stopped=True)
        report = write_report(prepared, meter, stopped=False)
        if not options.part:
            sweep(prepared)
            finish_build(prepared.store)
        return report


def answer_all(prepared: Prepared, work: Work, pool: EnginePool, meter: Meter) -> None:
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
            needed = answer(prepared, work, one, pool, meter)


def answer(prepared: Prepared, work: Work, one: Pass, pool: EnginePool, meter: Meter) -> set[int]:
    """Start the engine of a pass and take every shard that needs work through the pass.

    Returns:
        The numbers of the later passes that some sample still needs.

    Raises:
        UserError, Stopped: as `answer_all`.
    """
    engine: Engine = NoEngine()
    options = prepared.options
    if one.model:
        with flag_named("--model", one.flag):
            engine = pool.begin(options.engine, one.model, one.role, options.engine_options, one.samplings)
    with leaving() as leave_soon, flag_named("--model", one.flag):
        try:
            with (
                measured(meter, prepared.label, prepared.num_mine, work.num_left) as display,
                kept_telemetry(prepared.store, prepared.telemetry) as telemetry,
            ):
                runner = Runner(prepared.plan, one, engine, meter, display, embed_images=prepared.embed_images)
                works = runner.run(open_works(prepared, work), telemetry)
                is_stopped = pool.run(drain_on_signal(runner, works, leave_soon))
        finally:
            if one.model:
                pool.release(engine)
    if is_stopped:
        raise Stopped
    return {later.number for later in prepared.passes if later.answers & runner.waiting}
