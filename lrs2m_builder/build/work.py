"""The remaining work of a build: shards not yet written, and rejections to retry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lrs2m_builder.build.commit import ShardPaths, ShardStatus, settle
from lrs2m_builder.build.journal import Journal
from lrs2m_builder.build.plan import Pass
from lrs2m_builder.build.prepare import Prepared
from lrs2m_builder.build.settings import Round, open_round, read_round
from lrs2m_builder.build.shards import iter_rows, read_rejections, write_shard
from lrs2m_builder.engines._base import ENDPOINT_FAILED
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors, files_below
from lrs2m_builder.schema import Attempt, Record, Rejection, Sample
from lrs2m_builder.terminal import say


@dataclass(frozen=True, slots=True)
class ShardLeft:
    """A shard that needs work.

    Attributes:
        index: its number.
        length: its number of samples.
        status: its present content; None if it is not yet written.
        num_left: unfinished samples.
    """

    index: int
    paths: ShardPaths
    length: int
    status: ShardStatus | None
    num_left: int


@dataclass(slots=True)
class ShardWork:
    """A shard in progress.

    Attributes:
        order: ids of all samples of the shard.
        samples: the unfinished samples; in a retry only the rejected ones.
        prior: answers that earlier rounds rejected, by sample.
        journal: the answers of this round.
        number: the round of retries, 0 for the first build.
    """

    paths: ShardPaths
    order: tuple[str, ...]
    samples: tuple[Sample, ...]
    journal: Journal
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
        for shard in self.shards:
            if not shard.paths.journal.exists():
                return False
            with Journal(shard.paths.journal) as journal:
                if journal.num_passed <= one.number:
                    return False
        return True

    def skip(self, one: Pass) -> None:
        """Store that no sample needs a pass."""
        for shard in self.shards:
            with Journal(shard.paths.journal) as journal:
                journal.finish_pass(one.number + 1)


def find_work(prepared: Prepared) -> Work:
    """Repair the remains of a killed run, begin a round of retries if requested, and return the remaining work.

    Raises:
        UserError: the folder contains shards of another build, or the disk fails.
    """
    _refuse_strays(prepared)
    number = read_round(prepared.options.out_dir)
    shards = [(paths, length, _repair(paths, length, number)) for paths, length in prepared.shards()]
    if number.is_open:
        say(f"resuming round {number.number} of --retry-rejected")
    elif prepared.options.retry_rejected and any(status and status.rejections for _, _, status in shards):
        number = open_round(prepared.options.out_dir, number.number + 1)
    left = [ShardLeft(index, *shard, _num_left(shard[1], shard[2], number)) for index, shard in enumerate(shards)]
    return Work(tuple(shard for shard in left if shard.num_left), number)


def _repair(paths: ShardPaths, length: int, number: Round) -> ShardStatus | None:
    """Finish or undo a killed run's work on a shard, as far as that needs no model; returns the shard's status."""
    status = settle(paths, length, say)
    if (
        status is not None and not status.is_whole and status.records == length
    ):  # only the empty rejections file is missing
        write_shard(paths, [row["sample_id"] for row in iter_rows(paths.data, ["sample_id"])], {}, number=status.round)
        status = settle(paths, length, say)
    if status is not None and not _num_left(length, status, number):
        with disk_errors(paths.journal):
            paths.journal.unlink(missing_ok=True)  # the process died after the shard was renamed
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


def open_works(prepared: Prepared, work: Work) -> Iterator[ShardWork]:
    """Yield the shards that need work, opened one after the other."""
    for shard in work.shards:
        yield open_work(shard, prepared.samples_of(shard.index), work.round)


def open_work(shard: ShardLeft, samples: Sequence[Sample], number: Round) -> ShardWork:
    """A shard that needs work, opened.

    Args:
        samples: all of the shard's, in the order of the source.
    """
    order = tuple(sample.sample_id for sample in samples)
    journal = _open_journal(shard.paths.journal)
    if shard.status is None:
        return ShardWork(shard.paths, order, tuple(samples), journal, number=number.number)
    ended, prior = _ends(shard, number)
    again = tuple(sample for sample in samples if sample.sample_id not in ended)
    return ShardWork(shard.paths, order, again, journal, prior, number.number)


def _ends(shard: ShardLeft, number: Round) -> tuple[set[str], dict[str, tuple[Attempt, ...]]]:
    """The samples of a written shard that are unchanged, and the answers of those to retry."""
    assert shard.status is not None
    ended = {row["sample_id"] for row in iter_rows(shard.paths.data, ["sample_id"])}
    if not shard.status.is_whole:
        return ended, {}
    is_retried = _is_retried(shard.status, number)
    again: list[Rejection] = []
    for rejection in read_rejections(shard.paths.rejected):
        if is_retried or rejection.reason == ENDPOINT_FAILED:
            again.append(rejection)
        else:
            ended.add(rejection.sample_id)
    return ended, {rejection.sample_id: rejection.attempts for rejection in again}


def _open_journal(path: Path) -> Journal:
    journal = Journal(path)
    if journal.num_damaged:
        say(f"{path}: {journal.num_damaged} damaged lines were dropped; their answers are requested again")
    return journal


def _refuse_strays(prepared: Prepared) -> None:
    """Refuse a Parquet file below data/ that is not a shard of this build: every reader would count it."""
    out_dir = prepared.options.out_dir
    names = {paths.name for paths, _ in prepared.shards()}
    for folder in (out_dir / kind / name for kind in ("data", "rejected", "journal") for name in ("", prepared.subset)):
        if os.path.lexists(folder) and not folder.is_dir():
            raise UserError(
                f"{folder}: not a folder, nor a link to one; repair or move it and run the same command again"
            )
    for kind in ("data", "rejected"):
        for path in sorted(files_below(out_dir / kind, ".parquet")):
            if path.relative_to(out_dir / kind).as_posix() not in names:
                raise UserError(
                    f"{path}: not a shard of this build, which has {len(names)} of subset {prepared.subset}; "
                    "move it away"
                )
