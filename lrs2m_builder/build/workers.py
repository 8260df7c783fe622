"""Builds with a recipe without a model: whole shards, on all cores.

Worker processes read the samples of a shard from the plan file, check the texts, count their tokens and write, one
shard at a time.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from os import cpu_count
from pathlib import Path

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.plan import BuildPlan, make_plan
from lrs2m_builder.build.plan_file import PlanFile
from lrs2m_builder.build.prepare import Prepared
from lrs2m_builder.build.settings import Round
from lrs2m_builder.build.shards import write_shard
from lrs2m_builder.build.stages import end_without_model
from lrs2m_builder.build.stored_rows import warm_up
from lrs2m_builder.build.telemetry import Display, Meter, measured
from lrs2m_builder.build.work import ShardLeft, ShardWork, Work, open_work, open_works
from lrs2m_builder.errors import Stopped, UserError
from lrs2m_builder.stopping import leaving, on_signals, signals_kept_from_children, start_worker
from lrs2m_builder.terminal import say

MIN_SHARDS = 4  # fewer are written here: workers take a second to start
POLL_S = 0.25
WORKERS = cpu_count() or 1

_plan: BuildPlan  # set in worker processes
_options: BuildOptions
_plan_file: PlanFile


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
        measured(meter, prepared.label, prepared.num_mine, work.num_left) as display,
        on_signals(stop),
    ):
        if prepared.num_shards < MIN_SHARDS:
            _merge_here(prepared, work, meter, display, stopping.is_set)
        else:
            _merge_in_workers(prepared, work, meter, display, stopping.is_set)
    if stopping.is_set():
        raise Stopped


def _merge_here(prepared: Prepared, work: Work, meter: Meter, display: Display, stopping: Callable[[], bool]) -> None:
    for shard in open_works(prepared, work):
        if stopping():
            return
        _count(meter, display, _write(prepared.plan, prepared.options, shard))


def _merge_in_workers(
    prepared: Prepared, work: Work, meter: Meter, display: Display, stopping: Callable[[], bool]
) -> None:
    assert isinstance(prepared.samples_plan.file.file, Path), "its folder has the plan"
    given = (prepared.options, prepared.samples_plan.file.file)
    # Spawned processes: a fork would copy the locks of the threads that run here.
    with signals_kept_from_children():
        pool = ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn"), _start_worker, given)
    try:
        with pool:
            pending: set[Future[Counter[str]]] = set()
            for shard in work.shards:
                pending = _drain(pending, 2 * WORKERS, meter, display)
                if stopping():
                    break
                with signals_kept_from_children():
                    pending.add(pool.submit(_write_in_worker, shard, work.round))
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


def _start_worker(options: BuildOptions, plan_file: Path) -> None:
    global _plan, _options, _plan_file
    start_worker()
    _plan, _options = make_plan(options), options
    assert options.data_dir is not None
    _plan_file = PlanFile(plan_file, _plan.manifest.name, options.data_dir)
    warm_up()


def _write_in_worker(left: ShardLeft, number: Round) -> Counter[str]:
    return _write(_plan, _options, open_work(left, _plan_file.shard(left.shard.index), number))


def _write(plan: BuildPlan, options: BuildOptions, work: ShardWork) -> Counter[str]:
    """Write one shard; returns the number of its samples by reason of rejection, "" for records."""
    work.journal.remove()  # without a model there are no answers
    outcomes = {sample.sample_id: end_without_model(plan, sample) for sample in work.samples}
    embed = options.images == "embed"
    ends = write_shard(
        work.shard,
        work.order,
        outcomes,
        plan.manifest.part,
        before=work.before,
        number=work.number,
        embed_images=embed,
    )
    return ends or Counter()  # another process was faster: nothing to count
