"""`lrs2m build`: the straight line from a manifest to shards, resumable at any moment.

manifest -> samples -> requests -> completions -> records     -> data/<subset>/train-00000.parquet
                                               \\-> rejections -> rejected/<subset>/train-00000.parquet
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.plan import Pass
from lrs2m_builder.build.prepare import Prepared, prepare
from lrs2m_builder.build.report import Report, write_report
from lrs2m_builder.build.runner import Runner
from lrs2m_builder.build.settings import claimed, finish_build
from lrs2m_builder.build.stored_rows import warm_up
from lrs2m_builder.build.telemetry import Meter, measured
from lrs2m_builder.build.work import Work, find_work, open_works
from lrs2m_builder.build.workers import merge_shards
from lrs2m_builder.engines._base import EngineModule, EngineStoppedError
from lrs2m_builder.engines._pool import EnginePool
from lrs2m_builder.errors import Stopped, one_line
from lrs2m_builder.stopping import SIGNAL_SLACK_S, leave_terminal, leaving, signals_raise, stop_signals
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
    with claimed(options.out_dir, prepared.settings, prepared.plan.manifest.origin, restart=options.restart):
        meter = Meter()
        try:
            answer_all(prepared, find_work(prepared), pool, meter)
        except Stopped:
            return write_report(prepared, meter, stopped=True)
        report = write_report(prepared, meter, stopped=False)
        finish_build(options.out_dir)
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
    for one in prepared.passes:
        if one.is_last or not work.has_passed(one.steps):
            answer(prepared, work, one, pool, meter)


def answer(prepared: Prepared, work: Work, one: Pass, pool: EnginePool, meter: Meter) -> None:
    """Start the engine of a pass and take every shard that needs work through the steps of the pass.

    Raises:
        UserError, Stopped: as `answer_all`.
    """
    say(f"starting {prepared.options.engine} on {one.model} ...")
    with signals_raise():
        engine = pool.start(one.model, one.role, prepared.options.engine_options, one.samplings)
    with leaving() as leave_soon:
        try:
            with measured(meter, prepared.subset, prepared.num_samples, work.num_left) as display:
                runner = Runner(prepared.plan, one.steps, engine, meter, display, embed_images=prepared.embed_images)
                is_stopped = pool.run(_drain_on_signal(runner, prepared, work, leave_soon))
        finally:
            pool.release(engine)
    if is_stopped:
        raise Stopped


async def _drain_on_signal(runner: Runner, prepared: Prepared, work: Work, leave_soon: Callable[[], None]) -> bool:
    """Run a pass; the first signal drains it, the second drops what is in flight. Whether a signal came."""
    loop = asyncio.get_running_loop()
    is_signalled = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal is_signalled
        leave_terminal(number)
        if is_signalled:
            leave_soon()
            runner.cancel()
            return
        is_signalled = True
        runner.stop()
        say("stopping: keeping the answers in flight (once more to drop them)")

    handlers = {number: signal.getsignal(number) for number in stop_signals()}
    for number in handlers:
        loop.add_signal_handler(number, on_signal, number)
    try:
        await runner.run(open_works(prepared, work), prepared.options.out_dir / "telemetry.jsonl")
    except asyncio.CancelledError:
        if not runner.stopping:
            raise
    except EngineStoppedError as error:
        # A signal to the group reaches the engine's processes too, and their end may be noticed before the signal.
        await asyncio.sleep(SIGNAL_SLACK_S)
        if not is_signalled:
            raise
        say(f"the engine ended with the build: {one_line(error)}")
    finally:
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
    return runner.stopping
