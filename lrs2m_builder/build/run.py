"""`lrs2m build`: the straight line from a manifest to shards, resumable at any moment.

    manifest -> samples -> requests -> completions -> records     -> data/<subset>/train-00000.parquet
                                                   \\-> rejections -> rejected/<subset>/train-00000.parquet

Conservation law, checked at the end: samples read = records + rejections.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lrs2m_builder.build.commit import settle
from lrs2m_builder.build.journal import count_answers
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.prepare import Prepared, prepare
from lrs2m_builder.build.runner import Runner
from lrs2m_builder.build.settings import BUILD_JSON, claim_settings, finish_build, is_restart_of, set_aside
from lrs2m_builder.build.stored_rows import warm_up
from lrs2m_builder.build.telemetry import Display, Meter
from lrs2m_builder.build.work import Work, find_work, open_works
from lrs2m_builder.build.workers import merge_shards
from lrs2m_builder.engines._base import EngineModule, EngineStoppedError
from lrs2m_builder.engines._pool import EnginePool
from lrs2m_builder.errors import Stopped, UserError, one_line
from lrs2m_builder.files import discard_parts, read_json, write_json
from lrs2m_builder.stopping import SIGNAL_SLACK_S, leave_terminal, leaving, on_signals, signals_raise, stop_signals
from lrs2m_builder.stores.lock import locked
from lrs2m_builder.terminal import say

REPORT_JSON = "report.json"


@dataclass(frozen=True, slots=True)
class Report:
    """What a build came to.

    Attributes:
        samples, records, rejections: of the whole folder, earlier runs included.
        run: counts and rates of this run alone.
        stopped: whether it was stopped by a signal before all samples came to their end.
        kept_answers, kept_samples: answers in the journals of unfinished shards, and how many samples they are of.
    """

    out_dir: str
    subset: str
    recipe: str
    model: str
    samples: int
    records: int
    rejections: dict[str, int]
    shards: int
    stopped: bool
    kept_answers: int
    kept_samples: int
    run: dict[str, Any]

    @property
    def reject_rate(self) -> float:
        """Rejections as a share of the samples."""
        return sum(self.rejections.values()) / self.samples if self.samples else 0.0


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
    out_dir = options.out_dir
    if options.restart and out_dir.is_dir():
        with locked(out_dir, "build"):
            if is_restart_of(out_dir, prepared.settings):
                say("going on with the restart that was begun before")
            elif aside := set_aside(out_dir):
                say(f"the earlier build is now {aside}")
    with locked(out_dir, "build"):
        discard_parts(out_dir / BUILD_JSON, out_dir / REPORT_JSON)
        claim_settings(out_dir, prepared.settings, prepared.plan.manifest.origin, restart=options.restart)
        work = find_work(prepared)
        meter = Meter()
        stopped = run_passes(prepared, work, pool, meter)
        report = make_report(prepared, meter, stopped=stopped)
        if not meter.passed:  # nothing was done: the report keeps the speed of the run that did it
            report = replace(report, run=_run_before(out_dir / REPORT_JSON) or report.run)
        write_json(out_dir / REPORT_JSON, asdict(report))
        if not stopped:
            finish_build(out_dir)
    return report


def run_passes(prepared: Prepared, work: Work, pool: EnginePool, meter: Meter) -> bool:
    """Run every pass that has work; whether a signal stopped it.

    Raises:
        UserError: the engine stopped or the disk failed; answers already there are in the journals.
    """
    if not work.num_left:
        return False
    if not prepared.passes:
        return _merge(prepared, work, meter)
    warm_up()
    for steps, model, role in prepared.passes:
        is_last = steps.stop == len(prepared.plan.recipe.steps)
        if not is_last and work.is_passed(steps.stop):
            continue  # an earlier run asked all there is to ask of this model
        say(f"starting {prepared.options.engine} on {model} ...")
        samplings = [prepared.plan.recipe.steps[number].sampling for number in steps]
        try:
            with signals_raise():
                engine = pool.start(model, role, prepared.options.engine_options, samplings)
        except Stopped:
            return True
        with leaving() as leave_soon:
            try:
                with _measured(prepared, meter, work.num_left) as display:
                    runner = Runner(prepared.plan, steps, engine, meter, display, embed_images=prepared.embed_images)
                    stopped = pool.run(_run_one(runner, prepared, work, leave_soon))
            finally:
                pool.release(engine)
        if stopped:
            return True
    return False


def _merge(prepared: Prepared, work: Work, meter: Meter) -> bool:
    """Run a recipe that asks no model; whether a signal stopped it."""
    stopping = threading.Event()

    def stop(number: int, frame: object) -> None:
        if stopping.is_set():
            leave_soon()
        else:
            say("stopping: finishing the shards that were begun (once more to leave at once)")
        stopping.set()

    with leaving() as leave_soon, _measured(prepared, meter, work.num_left) as display, on_signals(stop):
        merge_shards(prepared, work, meter, display, stopping.is_set)
    return stopping.is_set()


@contextmanager
def _measured(prepared: Prepared, meter: Meter, num_left: int) -> Iterator[Display]:
    """Let the clock run and the progress show meanwhile."""
    meter.start()
    display = Display(prepared.num_samples, prepared.num_samples - num_left, prepared.subset)
    try:
        yield display
    finally:
        meter.stop()
        display.close()


async def _run_one(runner: Runner, prepared: Prepared, work: Work, leave_soon: Callable[[], None]) -> bool:
    """Run a pass; the first signal drains it, the second drops what is in flight and leaves at once."""
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


def _run_before(path: Path) -> dict[str, Any] | None:
    """What the report says of its run; None if there is none, or a broken one, which is about to be replaced."""
    try:
        run = read_json(path).get("run")
    except UserError:
        return None
    return run if isinstance(run, dict) and run.keys() >= Meter().snapshot().keys() else None


def make_report(prepared: Prepared, meter: Meter, *, stopped: bool) -> Report:
    """Count what the folder holds and check the conservation law: samples = records + rejections.

    Raises:
        UserError: a file of a finished shard was changed or lost meanwhile.
    """
    records, rejections, samples, shards = 0, Counter[str](), 0, 0
    for paths, length in prepared.shards():
        status = settle(paths, length, say)
        if status is None or not status.is_whole:
            if stopped:
                continue
            raise UserError(f"{paths.data}: was changed while the build ran; run the same command again")
        records, samples, shards = records + status.records, samples + length, shards + 1
        rejections += status.rejections
    kept = count_answers(prepared.options.out_dir / "journal" / prepared.subset) if stopped else (0, 0)
    return Report(
        out_dir=str(prepared.options.out_dir),
        subset=prepared.subset,
        recipe=prepared.settings["recipe"]["name"],
        model=" + ".join(dict.fromkeys(name for name, _ in prepared.plan.models)),
        samples=samples,
        records=records,
        rejections=dict(sorted(rejections.items())),
        shards=shards,
        stopped=stopped,
        kept_answers=kept[0],
        kept_samples=kept[1],
        run=meter.snapshot(),
    )
