"""Builds with a recipe without a model: whole shards, on all cores.

The rows are read in this process, because their order determines the shards; worker processes check the texts, count
their tokens and write, one shard at a time.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from os import cpu_count

from lrs2m_builder.build.commit import Shard, ShardStatus
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.plan import BuildPlan, make_plan
from lrs2m_builder.build.prepare import Prepared
from lrs2m_builder.build.shards import write_shard
from lrs2m_builder.build.stages import end_without_model
from lrs2m_builder.build.stored_rows import warm_up
from lrs2m_builder.build.telemetry import Display, Meter, measured
from lrs2m_builder.build.work import ShardWork, Work, open_works
from lrs2m_builder.errors import Stopped, UserError
from lrs2m_builder.schema import Sample
from lrs2m_builder.stopping import leaving, on_signals, signals_kept_from_children, start_worker
from lrs2m_builder.terminal import say

MIN_SHARDS = 4  # fewer are written here: workers take a second to start
POLL_S = 0.25
WORKERS = cpu_count() or 1

_plan: BuildPlan  # set in worker processes
_options: BuildOptions


def merge_shards(prepared: Prepared, work: Work, meter: Meter) -> None:
    """Finish every shard; on a signal, only those that were begun.

    Raises:
        UserError: the disk is full or fails, or a worker was killed; finished shards are safe.
        Stopped: a signal came.
    """
    stopping = threading.Event()

    def stop(number: int, frame: object) -> None:
        if stopping.is_set():
            leave_soon()
        else:
            say("stopping: finishing the shards that were begun (once more to leave at once)")
        stopping.set()

    with (
        leaving() as leave_soon,
        measured(meter, prepared.subset, prepared.num_samples, work.num_left) as display,
        on_signals(stop),
    ):
        if prepared.num_shards < MIN_SHARDS:
            _merge_here(prepared, open_works(prepared, work), meter, display, stopping.is_set)
        else:
            _merge_in_workers(prepared, open_works(prepared, work), meter, display, stopping.is_set)
    if stopping.is_set():
        raise Stopped


def _merge_here(
    prepared: Prepared, works: Iterator[ShardWork], meter: Meter, display: Display, stopping: Callable[[], bool]
) -> None:
    for work in works:
        work.journal.remove()  # without a model there are no answers
        if stopping():
            return
        _count(meter, display, _write(prepared.plan, prepared.options, _task(work)))


def _merge_in_workers(
    prepared: Prepared, works: Iterator[ShardWork], meter: Meter, display: Display, stopping: Callable[[], bool]
) -> None:
    # Spawned processes: a fork would copy the locks of the threads that run here.
    with signals_kept_from_children():
        pool = ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn"), _start_worker, (prepared.options,))
    try:
        with pool:
            pending: set[Future[Counter[str]]] = set()
            for work in works:
                work.journal.remove()
                pending = _drain(pending, 2 * WORKERS, meter, display)
                if stopping():
                    break
                with signals_kept_from_children():
                    pending.add(pool.submit(_write_in_worker, _task(work)))
            _drain(pending, 1, meter, display)
    except BrokenProcessPool as error:
        if not stopping():  # a batch system ends all processes of a job: unfinished shards are repeated
            raise UserError(
                f"{prepared.options.out_dir}: a worker process was killed, probably for lack of memory; "
                "finished shards are safe, the same command resumes"
            ) from error


def _drain(pending: set[Future[Counter[str]]], below: int, meter: Meter, display: Display) -> set[Future[Counter[str]]]:
    """Wait until fewer than `below` shards are pending."""
    while len(pending) >= below:
        done, pending = wait(pending, POLL_S, FIRST_COMPLETED)
        for future in done:
            _count(meter, display, future.result())
    return pending


def _count(meter: Meter, display: Display, ends: Counter[str]) -> None:
    meter.passed += ends.total()
    meter.records += ends.pop("", 0)
    meter.rejections += ends
    display.update(meter)


def _start_worker(options: BuildOptions) -> None:
    global _plan, _options
    start_worker()
    _plan, _options = make_plan(options), options
    warm_up()


@dataclass(frozen=True, slots=True)
class _Task:
    """A shard as sent to a worker process."""

    shard: Shard
    order: tuple[str, ...]
    samples: tuple[Sample, ...]
    before: ShardStatus | None
    number: int


def _task(work: ShardWork) -> _Task:
    return _Task(work.shard, work.order, work.samples, work.before, work.number)


def _write_in_worker(task: _Task) -> Counter[str]:
    return _write(_plan, _options, task)


def _write(plan: BuildPlan, options: BuildOptions, task: _Task) -> Counter[str]:
    """Write one shard; returns the number of its samples by reason of rejection, "" for records."""
    outcomes = {sample.sample_id: end_without_model(plan, sample) for sample in task.samples}
    embed = options.images == "embed"
    ends = write_shard(
        task.shard,
        task.order,
        outcomes,
        plan.manifest.part,
        before=task.before,
        number=task.number,
        embed_images=embed,
    )
    return ends or Counter()  # another process was faster: nothing to count
