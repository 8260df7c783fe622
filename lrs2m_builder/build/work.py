"""The remaining work of a build: shards not yet written, and rejections to retry."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from lrs2m_builder.build.commit import Shard, ShardStatus, settle
from lrs2m_builder.build.journal import Journal, publish_abandoned, remove_journals
from lrs2m_builder.build.plan import Pass
from lrs2m_builder.build.prepare import Prepared
from lrs2m_builder.build.settings import Round, open_round, read_round, sweep_temporary
from lrs2m_builder.build.shards import read_rejections, stored_rows, write_shard
from lrs2m_builder.engines._base import ENDPOINT_FAILED
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Attempt
from lrs2m_builder.schema import Record, Rejection, Sample
from lrs2m_builder.stores._base import Store
from lrs2m_builder.stores.folder import FolderStore
from lrs2m_builder.stores.objects import PARALLEL
from lrs2m_builder.terminal import say

BATCHES = "batches"  # the folder of what an engine sent as batches
_OLD_JOURNAL = re.compile(r"(.*/train-\d+)\.jsonl")
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class ShardLeft:
    """A shard that needs work.

    Attributes:
        index: its number.
        length: its number of samples.
        status: its present content; None if it is not yet written.
        num_left: unfinished samples.
        num_deaths: of processes that died while they had it, and could not say so in its journal.
    """

    shard: Shard
    length: int
    status: ShardStatus | None
    num_left: int
    num_deaths: int = 0


@dataclass(slots=True)
class ShardWork:
    """A shard in progress.

    Attributes:
        before: the content of the shard when its work began; None if it was not written.
        order: ids of all samples of the shard.
        samples: the unfinished samples; in a retry only the rejected ones.
        prior: answers that earlier rounds rejected, by sample.
        journal: the answers of this round.
        number: the round of retries, 0 for the first build.
    """

    shard: Shard
    order: tuple[str, ...]
    samples: tuple[Sample, ...]
    journal: Journal
    before: ShardStatus | None = None
    prior: Mapping[str, Sequence[Attempt]] = field(default_factory=dict)
    number: int = 0
    outcomes: dict[str, Record | Rejection] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """The remaining work of a build, and the round of retries it belongs to."""

    shards: tuple[ShardLeft, ...]
    round: Round

    @property
    def num_left(self) -> int:
        """Number of unfinished samples."""
        return sum(shard.num_left for shard in self.shards)

    def has_passed(self, one: Pass) -> bool:
        """Whether no sample needs the model of a pass, or of an earlier pass, any more."""
        if not self.shards:
            return True
        store = self.shards[0].shard.store
        numbers = in_parallel(store, lambda left: Journal(store, left.shard.journal).num_passed, self.shards)
        return all(number > one.number for number in numbers)

    def skip(self, one: Pass) -> None:
        """Store that no sample needs a pass."""
        for journal in self._journals():
            with journal:
                journal.finish_pass(one.number + 1)

    def _journals(self) -> Iterator[Journal]:
        return (Journal(left.shard.store, left.shard.journal) for left in self.shards)


def find_work(prepared: Prepared) -> Work:
    """Repair the remains of a killed run, begin a round of retries if requested, and return the remaining work.

    Raises:
        UserError: the folder contains shards of another build, or the disk fails.
    """
    store = prepared.store
    _refuse_strays(prepared)
    publish_abandoned(store)
    number = read_round(store)
    journaled = {_journal_of(found.name) for found in store.files("journal")}
    found = [
        (shard, length, _repair(shard, length, status, number, has_journal=shard.journal in journaled))
        for shard, length, status in statuses(prepared)
    ]
    if number.is_open:
        say(f"resuming round {number.number} of --retry-rejected")
    elif prepared.options.retry_rejected and any(status and status.rejections for _, _, status in found):
        number = open_round(store, number.number + 1)
    left = [ShardLeft(*each, _num_left(each[1], each[2], number)) for each in found]
    return Work(tuple(shard for shard in left if shard.num_left), number)


def _journal_of(name: str) -> str:
    """The folder of the shard to which a file of a journal belongs."""
    old = _OLD_JOURNAL.fullmatch(name)
    return old[1] if old else name.rpartition("/")[0]


def statuses(prepared: Prepared) -> Iterator[tuple[Shard, int, ShardStatus | None]]:
    """Yield each shard of this run with its status, after the remains of killed runs were repaired.

    An object store is listed once, and asked for many shards at once.

    Raises:
        UserError: a file can be neither read nor renamed.
    """
    store = prepared.store
    listed = None
    if store.folder is None:
        listed = {
            found.name: found for kind in ("data", "rejected") for found in store.files(f"{kind}/{prepared.subset}")
        }

    def of(each: tuple[Shard, int]) -> tuple[Shard, int, ShardStatus | None]:
        return (*each, settle(*each, say, listed))

    yield from in_parallel(store, of, prepared.shards())


def in_parallel(store: Store, function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """The function's result of each item, in order; of an object store many at once."""
    if store.folder is not None:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(PARALLEL) as pool:
        yield from pool.map(function, items)


def _repair(
    shard: Shard, length: int, status: ShardStatus | None, number: Round, *, has_journal: bool
) -> ShardStatus | None:
    """Finish a killed run's work on a shard, as far as that needs no model; returns the shard's status."""
    if status is not None and not status.is_whole and status.records == length:
        # Only the file is missing that says that nothing was rejected.
        order = [row["sample_id"] for row in stored_rows(shard, status.found, ["sample_id"])]
        write_shard(shard, order, {}, before=status, number=status.round)
        status = settle(shard, length, say)
    if has_journal and status is not None and not _num_left(length, status, number):
        remove_journals(shard.store, shard.journal)  # the process died after the shard was committed
    return status


def _num_left(length: int, status: ShardStatus | None, number: Round) -> int:
    """Number of unfinished samples of a shard in this round."""
    if status is None:
        return length
    if not status.is_whole:
        return length - status.records
    if _is_retried(status, number):
        return status.rejections.total()
    return status.rejections[ENDPOINT_FAILED]  # the endpoint failed, not the sample


def _is_retried(status: ShardStatus, number: Round) -> bool:
    return number.is_open and status.round < number.number


def still_left(left: ShardLeft, number: Round) -> ShardLeft | None:
    """A shard as it is now; None if another process has finished it meanwhile."""
    status = settle(left.shard, left.length, say)
    status = _repair(left.shard, left.length, status, number, has_journal=True)
    num_left = _num_left(left.length, status, number)
    return replace(left, status=status, num_left=num_left) if num_left else None


def open_works(prepared: Prepared, work: Work) -> Iterator[ShardWork]:
    """Yield the shards that need work, opened one after the other."""
    for left in work.shards:
        yield open_work(left, prepared.samples_of(left.shard.index), work.round)


def open_work(left: ShardLeft, samples: Sequence[Sample], number: Round) -> ShardWork:
    """A shard that needs work, opened.

    Args:
        samples: all of the shard's, in the order of the source.
    """
    shard = left.shard
    order = tuple(sample.sample_id for sample in samples)
    journal = _open_journal(shard)
    for _ in range(left.num_deaths):
        journal.note_death()
    if left.status is None:
        return ShardWork(shard, order, tuple(samples), journal, number=number.number)
    ended, prior = _ends(shard, left.status, number)
    again = tuple(sample for sample in samples if sample.sample_id not in ended)
    return ShardWork(shard, order, again, journal, left.status, prior, number.number)


def _ends(shard: Shard, status: ShardStatus, number: Round) -> tuple[set[str], dict[str, tuple[Attempt, ...]]]:
    """The samples of a written shard that are unchanged, and the answers of those to retry."""
    ended = {row["sample_id"] for row in stored_rows(shard, status.found, ["sample_id"])}
    if not status.is_whole:
        return ended, {}
    is_retried = _is_retried(status, number)
    again: list[Rejection] = []
    for rejection in read_rejections(shard):
        if is_retried or rejection.reason == ENDPOINT_FAILED:
            again.append(rejection)
        else:
            ended.add(rejection.sample_id)
    return ended, {rejection.sample_id: rejection.attempts for rejection in again}


def _open_journal(shard: Shard) -> Journal:
    journal = Journal(shard.store, shard.journal)
    if journal.num_damaged:
        where = shard.where(shard.journal)
        say(f"{where}: {journal.num_damaged} damaged lines were dropped; their answers are requested again")
    return journal


def sweep(prepared: Prepared) -> None:
    """Delete what no finished build needs: staged rejections, journals of zombies, records of batches."""
    store = prepared.store
    names = [found.name for kind in ("staging", "journal", BATCHES) for found in store.files(kind)]
    for _ in in_parallel(store, store.delete, names):
        pass
    sweep_temporary(store)
    if isinstance(store, FolderStore):
        store.sweep_named(["rejected"], lambda name: True, "*.parquet.next")  # staged rejections of earlier versions
        for kind in ("staging", "journal", BATCHES):
            store.prune(kind)


def _refuse_strays(prepared: Prepared) -> None:
    """Refuse a Parquet file below data/ that is not a shard of this build: every reader would count it."""
    store, out_dir = prepared.store, prepared.store.folder
    names = {shard.name for shard, _ in prepared.every_shard()}
    if out_dir is not None:
        _refuse_odd_folders(out_dir, prepared.subset)
    for kind in ("data", "rejected"):
        for found in store.files(kind):
            if found.name.endswith(".parquet") and found.name.removeprefix(f"{kind}/") not in names:
                raise UserError(
                    f"{store.address}/{found.name}: not a shard of this build, which has {len(names)} of subset "
                    f"{prepared.subset}; move it away"
                )


def _refuse_odd_folders(out_dir: Path, subset: str) -> None:
    """Refuse what has the name of a folder of a build and is none."""
    for folder in (out_dir / kind / name for kind in ("data", "rejected", "journal") for name in ("", subset)):
        if os.path.lexists(folder) and not folder.is_dir():
            raise UserError(
                f"{folder}: not a folder, nor a link to one; repair or move it and run the same command again"
            )
