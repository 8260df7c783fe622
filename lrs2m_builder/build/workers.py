"""A build whose recipe asks no model: whole shards, on all cores.

Reading stays in this process, because the order of the rows decides the shards; judging the texts, counting their
tokens and writing is done by worker processes, a shard at a time.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from os import cpu_count

from lrs2m_builder.build.commit import ShardPaths
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.prepare import Prepared, make_plan
from lrs2m_builder.build.runner import ShardWork
from lrs2m_builder.build.shards import write_shard
from lrs2m_builder.build.stages import BuildPlan, end_without_model
from lrs2m_builder.build.stored_rows import warm_up
from lrs2m_builder.build.telemetry import Display, Meter
from lrs2m_builder.build.work import Work, open_works
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Sample
from lrs2m_builder.stopping import signals_kept_from_children, start_worker

MIN_SHARDS = 4  # fewer are written here: workers take a second to start
POLL_S = 0.25
WORKERS = cpu_count() or 1

_plan: BuildPlan  # of a worker process
_options: BuildOptions


def merge_shards(prepared: Prepared, work: Work, meter: Meter, display: Display, stopping: Callable[[], bool]) -> None:
    """Take every shard to its end, or to where `stopping` says so; a shard that was begun is finished.

    Raises:
        UserError: the disk is full or fails, or a worker was killed; the shards written so far stand.
    """
    if prepared.num_shards < MIN_SHARDS:
        warm_up()
        for shard in open_works(prepared, work):
            shard.journal.remove()  # there are no answers to keep
            if stopping():
                return
            _count(meter, display, _write(prepared.plan, prepared.options, _task(shard)))
        return
    try:
        _merge_in_workers(prepared, open_works(prepared, work), meter, display, stopping)
    except BrokenProcessPool as error:
        if not stopping():  # a batch system ends all processes of a job: what they had begun is made again
            raise UserError(
                f"{prepared.options.out_dir}: a worker process was killed, probably for lack of memory; "
                "what is written stands, the same command goes on"
            ) from error


def _merge_in_workers(
    prepared: Prepared, works: Iterator[ShardWork], meter: Meter, display: Display, stopping: Callable[[], bool]
) -> None:
    # Processes that begin anew: a fork would copy the locks of the threads that run here.
    with signals_kept_from_children():
        pool = ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn"), _start_worker, (prepared.options,))
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
    """A shard as a worker process is given it."""

    paths: ShardPaths
    order: tuple[str, ...]
    samples: tuple[Sample, ...]
    number: int


def _task(work: ShardWork) -> _Task:
    return _Task(work.paths, work.order, work.samples, work.number)


def _write_in_worker(task: _Task) -> Counter[str]:
    return _write(_plan, _options, task)


def _write(plan: BuildPlan, options: BuildOptions, task: _Task) -> Counter[str]:
    """Write one shard; the number of its samples by reason of rejection, "" for records."""
    outcomes = {sample.sample_id: end_without_model(plan, sample) for sample in task.samples}
    embed = options.images == "embed"
    return write_shard(task.paths, task.order, outcomes, plan.manifest.part, number=task.number, embed_images=embed)
