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
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from lrs2m_builder.engines.base import EngineModule
from lrs2m_builder.errors import Stopped
from lrs2m_builder.files import read_json, write_json
from lrs2m_builder.journal import Journal
from lrs2m_builder.lock import locked
from lrs2m_builder.merging import merge_shards
from lrs2m_builder.prepare import BuildOptions, Prepared, prepare
from lrs2m_builder.provenance import claim_settings, set_aside
from lrs2m_builder.runner import Runner, ShardWork
from lrs2m_builder.shards import ShardPaths, count_rows, iter_rows, read_rejections, warm_up
from lrs2m_builder.telemetry import Display, Meter, say

REPORT_JSON = "report.json"


@dataclass(frozen=True, slots=True)
class Report:
    """What a build came to.

    Attributes:
        samples, records, rejections: of the whole folder, earlier runs included.
        run: counts and rates of this run alone.
        stopped: whether it was stopped by a signal before all samples came to their end.
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
    run: dict[str, Any]

    @property
    def reject_rate(self) -> float:
        """Rejections as a share of the samples."""
        return sum(self.rejections.values()) / self.samples if self.samples else 0.0


def build(options: BuildOptions, module: EngineModule, loop: asyncio.Runner | None = None) -> Report:
    """Build a subset, or go on with a build that was interrupted.

    Args:
        loop: where the requests run, for an engine that outlives the build; a loop of the build's own by default.

    Raises:
        UserError: a setting, a file or the model cannot be used, or the folder was built with other settings.
    """
    prepared = prepare(options, module)
    for finding in prepared.lint:
        say(f"warning: {finding}")
    out_dir = options.out_dir
    if options.restart and out_dir.is_dir():
        with locked(out_dir, "build"):
            if aside := set_aside(out_dir):
                say(f"the earlier build is now {aside}")
    with locked(out_dir, "build"):
        claim_settings(out_dir, prepared.settings)
        meter = Meter()
        stopped = run_passes(prepared, module, meter, loop)
        report = make_report(prepared, meter, stopped=stopped)
        if not meter.passed and (out_dir / REPORT_JSON).exists():
            report = replace(report, run=read_json(out_dir / REPORT_JSON).get("run", report.run))  # nothing was done
        write_json(out_dir / REPORT_JSON, asdict(report))
    return report


def run_passes(prepared: Prepared, module: EngineModule, meter: Meter, loop: asyncio.Runner | None = None) -> bool:
    """Run every pass that has work; whether a signal stopped it.

    Raises:
        UserError: the engine stopped or the disk failed; answers already there are in the journals.
    """
    for paths, _ in prepared.shards():
        if paths.finished:
            paths.journal.unlink(missing_ok=True)  # its shard was renamed, then the process died
    num_left = sum(_count_left(prepared, paths, length) for paths, length in prepared.shards())
    if not num_left:
        return False
    if not prepared.passes:
        return _merge(prepared, meter, num_left)
    warm_up()
    for steps, model, role in prepared.passes:
        say(f"starting {prepared.options.engine} on {model} ...")
        samplings = [prepared.plan.recipe.recipe.steps[number].sampling for number in steps]
        try:
            with _signals_raise():
                engine = module.load(model, role, prepared.options.engine_options, samplings)
        except Stopped:
            return True
        try:
            with _measured(prepared, meter, num_left) as display:
                runner = Runner(prepared.plan, steps, engine, meter, display, embed_images=prepared.embed_images)
                stopped = (loop.run if loop else asyncio.run)(_run_one(runner, prepared))
        finally:
            engine.close()
        if stopped:
            return True
    return False


def _merge(prepared: Prepared, meter: Meter, num_left: int) -> bool:
    """Run a recipe that asks no model; whether a signal stopped it."""
    stopping = threading.Event()

    def stop(number: int, frame: object) -> None:
        if not stopping.is_set():
            say("stopping: finishing the shards that were begun")
        stopping.set()

    with _measured(prepared, meter, num_left) as display, _on_signals(stop):
        merge_shards(prepared, open_works(prepared), meter, display, stopping.is_set)
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


@contextmanager
def _on_signals(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM call a handler meanwhile; only the main thread can be told so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _signals_raise() -> AbstractContextManager[None]:
    """Let SIGINT and SIGTERM raise `Stopped` meanwhile; engines swallow a KeyboardInterrupt while they start."""

    def stop(number: int, frame: object) -> None:
        raise Stopped

    return _on_signals(stop)


async def _run_one(runner: Runner, prepared: Prepared) -> bool:
    """Run a pass; the first SIGINT or SIGTERM drains it, the second drops what is in flight."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if runner.stopping:
            runner.cancel()
            return
        runner.stop()
        say("stopping: keeping the answers in flight (once more to drop them)")

    # Only the main thread can be told of signals.
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        await runner.run(open_works(prepared), prepared.options.out_dir / "telemetry.jsonl")
    except asyncio.CancelledError:
        if not runner.stopping:
            raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
    return runner.stopping


def _count_left(prepared: Prepared, paths: ShardPaths, length: int) -> int:
    """How many samples of a shard are still to be taken to an end."""
    if not paths.finished:
        return length
    if prepared.options.retry_rejected or _is_retry_unfinished(paths):
        return count_rows(paths)[1].total()
    return 0


def _is_retry_unfinished(paths: ShardPaths) -> bool:
    """Whether a retry was interrupted; a journal whose answers all stand in the shard is only left over."""
    if not paths.retry_journal.exists():
        return False
    have = {row["sample_id"] for row in iter_rows(paths.data, ["sample_id"])}
    rejected = {rejection.sample_id: set(rejection.attempts) for rejection in read_rejections(paths.rejected)}
    with Journal(paths.retry_journal) as journal:
        entries = [attempt for attempts in journal.attempts.values() for attempt in attempts if not attempt.problem]
    if any(entry.sample_id not in have and entry not in rejected.get(entry.sample_id, ()) for entry in entries):
        return True
    paths.retry_journal.unlink()
    return False


def open_works(prepared: Prepared) -> Iterator[ShardWork]:
    """The shards that need work, opened one after the other."""
    samples = prepared.samples()
    for paths, length in prepared.shards():
        batch = tuple(islice(samples, length))
        if not _count_left(prepared, paths, length):
            continue
        order = tuple(sample.sample_id for sample in batch)
        if not paths.finished:
            yield ShardWork(paths, order, batch, Journal(paths.journal))
            continue
        have = {row["sample_id"] for row in iter_rows(paths.data, ["sample_id"])}
        prior = {rejection.sample_id: rejection.attempts for rejection in read_rejections(paths.rejected)}
        rejected = tuple(sample for sample in batch if sample.sample_id not in have)
        yield ShardWork(paths, order, rejected, Journal(paths.retry_journal), prior)


def make_report(prepared: Prepared, meter: Meter, *, stopped: bool) -> Report:
    """Count what the folder holds and check the conservation law: samples = records + rejections."""
    records, rejections, samples, shards = 0, Counter[str](), 0, 0
    for paths, length in prepared.shards():
        if not paths.finished:
            continue
        shard_records, shard_rejections = count_rows(paths)
        if shard_records + shard_rejections.total() != length:
            raise AssertionError(f"{paths.data}: {length} samples, {shard_records} + {shard_rejections} rows")
        records, samples, shards = records + shard_records, samples + length, shards + 1
        rejections += shard_rejections
    if not stopped and samples != prepared.num_samples:
        raise AssertionError(f"{prepared.num_samples} samples read, {samples} in finished shards")
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
        run=meter.snapshot(),
    )
