"""Keeps an engine busy: samples in, shards out, with a bounded number of everything in between.

The engine's window is always refilled at once, across the borders of shards; images are decoded ahead of it by
a pool of threads; a shard is written as soon as its last sample came to an end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

from lrs2m_builder.build.asker import Asker
from lrs2m_builder.build.finisher import Finisher
from lrs2m_builder.build.journal import Journal, replayed, with_answer
from lrs2m_builder.build.open_journals import OpenJournals
from lrs2m_builder.build.plan import BuildPlan, Pass
from lrs2m_builder.build.stages import Move, needs, next_move, open_moves
from lrs2m_builder.build.telemetry import Bound, Meter, Progress, Telemetry
from lrs2m_builder.build.work import ShardWork
from lrs2m_builder.engines._base import (
    ENDPOINT_FAILED,
    ENGINE_KILLED,
    MAX_FAILED,
    BatchingEngine,
    Engine,
    EngineDiedError,
    EngineStoppedError,
)
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Attempt, Request, Verification
from lrs2m_builder.images.load import IMAGE_WORKERS
from lrs2m_builder.schema import Record, Rejection, Sample
from lrs2m_builder.stopping import SIGNAL_SLACK_S
from lrs2m_builder.terminal import say

TICK_S = 0.25


class Runner:
    """One pass of an engine over the shards that need it."""

    def __init__(
        self,
        plan: BuildPlan,
        one: Pass,
        engine: Engine,
        meter: Meter,
        progress: Progress,
        *,
        embed_images: bool = True,
    ) -> None:
        """Prepare a pass.

        Args:
            one: what this engine answers; a sample that needs something else is left for another pass.
            embed_images: whether rows hold the bytes of their images.
        """
        self._plan, self._pass, self._engine, self._meter, self._progress = plan, one, engine, meter, progress
        self._max_in_flight = engine.max_in_flight
        meter.max_in_flight = max(meter.max_in_flight, self._max_in_flight)
        # Enough samples alive to keep the window full while the pool decodes the next images; a sample whose answer
        # comes hours later is not alive meanwhile, and holds no image.
        num_alive = self._max_in_flight + 4 * IMAGE_WORKERS
        self._alive = asyncio.Semaphore(num_alive)
        self._open = asyncio.Semaphore(engine.max_waiting if isinstance(engine, BatchingEngine) else num_alive)
        self._asker = Asker(plan, engine, meter, self._alive, judges=one.judges)
        self.waiting: set[int] = set()  # what some sample still needs: numbers of steps, JUDGE
        self._tasks: set[asyncio.Task[None]] = set()
        self._journals = OpenJournals(max_refused=self._max_in_flight + MAX_FAILED)
        self._finisher = Finisher(plan, one, self._journals, progress, embed_images=embed_images)
        self._failure: BaseException | None = None
        self._all_admitted = False
        self._is_told_to_stop = False

    @property
    def stopping(self) -> bool:
        """Whether nothing more is asked: the build was told to stop, or the pass failed."""
        return self._asker.stopping

    def stop(self) -> None:
        """Ask no more; what is in flight is answered and kept, what waits for an image or an endpoint is left."""
        self._is_told_to_stop = True
        self._asker.stop()

    def cancel(self) -> None:
        """Drop what is in flight too."""
        self._asker.stopping = True
        for task in self._tasks:
            task.cancel()

    async def run(self, works: AsyncIterator[ShardWork], telemetry_path: Path) -> None:
        """Take every shard through the steps of this pass.

        Raises:
            UserError: the engine stopped or the disk failed; answers already there are in the journals.
        """
        telemetry = Telemetry(telemetry_path, self._meter, self._gauges)
        ticker = asyncio.create_task(self._tick(telemetry))
        try:
            try:
                await self._admit(works)
                self._all_admitted = True
            except BaseException as error:  # noqa: BLE001 - raised below, when what is in flight has been kept
                self._fail(error)
            await self._all_ended()
        finally:
            ticker.cancel()
            await self._asker.close()
            if isinstance(self._failure, EngineStoppedError):
                self._journals.take_back_refusals()
            if self._journals.has_engine_died:
                await asyncio.sleep(SIGNAL_SLACK_S)
                if not self._is_told_to_stop:  # else it was ended together with the build
                    self._journals.note_deaths()
            self._journals.close()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
        if self._failure is not None:
            raise self._failure
        telemetry.tick(last=True)
        self._progress.update(self._meter)

    async def _admit(self, works: AsyncIterator[ShardWork]) -> None:
        async for work in works:
            self._journals.add(work.journal)
            await self._finisher.catch_up()
            if not work.samples:
                await self._finisher.finish(work)
            is_suspect = work.journal.is_suspect
            if is_suspect:
                where = work.shard.where(work.shard.data)
                say(f"{where}: the engine died {work.journal.num_deaths} times on it; its samples are asked one by one")
                await self._all_ended()
            for sample in work.samples:
                await self._open.acquire()
                await self._alive.acquire()
                if self.stopping:
                    return
                task = asyncio.create_task(self._guarded(work, sample))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                if is_suspect:
                    await self._all_ended()
            if self.stopping:
                return

    async def _all_ended(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _guarded(self, work: ShardWork, sample: Sample) -> None:
        """Take one sample to its end; the first failure that is not the sample's own stops the pass."""
        try:
            await self._answer(work, sample)
        except BaseException as error:  # noqa: BLE001 - raised by run()
            if isinstance(error, EngineDiedError):
                self._journals.engine_died_on(work.journal)
            self._fail(error)
        finally:
            self._alive.release()
            self._open.release()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._engine.stop_waiting()  # for answers that would come hours later
        self._asker.stopping = True

    async def _answer(self, work: ShardWork, sample: Sample) -> None:
        prior = work.prior.get(sample.sample_id, ())
        journaled = work.journal.attempts.pop(sample.sample_id, ())
        attempts = [kept for kept in replayed(prior, journaled) if not self._may_pass(kept)]
        spent = len(prior) if work.number else 0
        while True:
            move = next_move(self._plan, sample, attempts, spent, self._pass.answers)
            if isinstance(move, Request | Verification) and work.journal.has_killed(sample.sample_id):
                answers = tuple(attempt for attempt in attempts if not attempt.problem)
                move = Rejection(sample.sample_id, ENGINE_KILLED, "the engine died whenever it was asked", answers)
            if not self._is_mine(move):
                break
            attempt = await self._put(work.journal, sample, move)
            if attempt is None:
                return  # stopping
            if isinstance(attempt, Rejection):
                move = replace(attempt, attempts=tuple(each for each in attempts if not each.problem))
                break
            if isinstance(move, Request):
                self._journals.append(work.journal, attempt)
            else:
                work.journal.append(attempt)
            attempts = with_answer(attempts, attempt)
        if isinstance(move, Request | Verification):  # for a later pass, which finds its answers in the journal
            self.waiting |= set(map(needs, open_moves(self._plan, sample, attempts, spent)))
            move = Rejection(sample.sample_id, "unfinished")
        work.outcomes[sample.sample_id] = move
        self._meter.passed += 1
        if self._pass.is_last:
            self._count(move)
        if len(work.outcomes) == len(work.samples):
            await self._finisher.finish(work)

    def _may_pass(self, attempt: Attempt) -> bool:
        """Whether an earlier run of this pass could not put the request for a reason of the moment."""
        return attempt.problem == ENDPOINT_FAILED and attempt.step in self._pass.steps

    def _is_mine(self, move: Move) -> TypeGuard[Request | Verification]:
        """Whether the engine of this pass can do it."""
        return isinstance(move, Request | Verification) and needs(move) in self._pass.answers

    async def _put(self, journal: Journal, sample: Sample, move: Request | Verification) -> Attempt | Rejection | None:
        """Put it to the engine; of a shard that killed the engine, what tells of it is safe before it is asked."""
        if not journal.is_suspect:
            return await self._asker.put(sample, move)
        with journal.alone(sample.sample_id):
            if journal.is_uploaded:
                await asyncio.to_thread(journal.publish, journal.cut())
            return await self._asker.put(sample, move)

    def _count(self, outcome: Record | Rejection) -> None:
        if isinstance(outcome, Record):
            self._meter.records += 1
        else:
            self._meter.rejections[outcome.reason] += 1

    def _gauges(self) -> dict[str, int]:
        return {
            "in_flight": self._asker.in_flight,
            "decoding": self._asker.num_decoding,
            "samples_alive": len(self._tasks),
        }

    async def _tick(self, telemetry: Telemetry) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            bound: Bound = "source"
            if self._asker.in_flight >= self._max_in_flight or (self._all_admitted and not self._asker.num_decoding):
                bound = "engine"
            elif self._asker.num_decoding:
                bound = "images"
            self._meter.bound_s[bound] += TICK_S
            if self._progress.update(self._meter) and not self.stopping:
                self.stop()
            telemetry.tick()
            await self._publish_journals()

    async def _publish_journals(self) -> None:
        """Publish answers that wait for long, so that a lost machine loses few."""
        for journal in self._journals.due():
            try:
                await asyncio.to_thread(journal.publish, journal.cut())
            except UserError as error:
                self._fail(error)
