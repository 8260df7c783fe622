"""Keeps an engine busy: samples in, shards out, with a bounded number of everything in between.

The engine's window is always refilled at once, across the borders of shards; images are decoded ahead of it by
a pool of threads; a shard is written as soon as its last sample came to an end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

from lrs2m_builder.build.image_window import ImageWindow
from lrs2m_builder.build.journal import Journal, replayed, with_answer
from lrs2m_builder.build.plan import BuildPlan, Pass
from lrs2m_builder.build.shards import write_shard
from lrs2m_builder.build.stages import Move, needs, next_move, open_moves
from lrs2m_builder.build.telemetry import Bound, Meter, Progress, Repetition, Telemetry
from lrs2m_builder.build.work import ShardWork
from lrs2m_builder.engines._base import (
    ENDPOINT_FAILED,
    ENGINE_KILLED,
    MAX_FAILED,
    AskAgainError,
    BatchingEngine,
    Engine,
    EngineDiedError,
    EngineStoppedError,
)
from lrs2m_builder.engines._thoughts import without_thought
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.load import IMAGE_WORKERS
from lrs2m_builder.schema import Attempt, Completion, JudgedClaim, Record, Rejection, Request, Sample, Verification
from lrs2m_builder.stopping import SIGNAL_SLACK_S
from lrs2m_builder.terminal import say
from lrs2m_builder.verify.judge import Judge

TICK_S = 0.25
MAX_WAITING_SHARDS = 2  # finished in memory but not yet written


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
        self._embed_images = embed_images
        self._plan, self._pass, self._engine, self._meter, self._progress = plan, one, engine, meter, progress
        self._max_in_flight = engine.max_in_flight
        meter.max_in_flight = max(meter.max_in_flight, self._max_in_flight)
        self._window = asyncio.Semaphore(self._max_in_flight)
        # Enough samples alive to keep the window full while the pool decodes the next images; a sample whose answer
        # comes hours later is not alive meanwhile, and holds no image.
        num_alive = self._max_in_flight + 4 * IMAGE_WORKERS
        self._alive = asyncio.Semaphore(num_alive)
        self._open = asyncio.Semaphore(engine.max_waiting if isinstance(engine, BatchingEngine) else num_alive)
        self._images = ImageWindow(engine.image_size, plan.manifest.part)
        self._writing = asyncio.Lock()
        self._judge = Judge(engine, window=self._window) if one.judges else None
        self.waiting: set[int] = set()  # what some sample still needs: numbers of steps, JUDGE
        self._waiting_shards = asyncio.Semaphore(MAX_WAITING_SHARDS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._repetition = Repetition()
        self._journals: set[Journal] = set()
        # Refused since the last answer: if the engine stops, nobody knows whether they were at fault.
        self._refused: deque[tuple[Journal, Attempt]] = deque(maxlen=self._max_in_flight + MAX_FAILED)
        self._died_on: set[Journal] = set()  # of shards that the engine was answering when it died
        self._failure: BaseException | None = None
        self._in_flight = 0
        self._all_admitted = False
        self._is_told_to_stop = False
        self.stopping = False

    def stop(self) -> None:
        """Ask no more; what is in flight is answered and kept, what waits for an image or an endpoint is left."""
        self.stopping = self._is_told_to_stop = True
        self._images.stop()
        self._engine.stop_waiting()  # what waits for an endpoint that is away is not in flight

    def cancel(self) -> None:
        """Drop what is in flight too."""
        self.stopping = True
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
            await self._engine.finish()
            self._images.close(wait=not self.stopping)
            if isinstance(self._failure, EngineStoppedError):
                self._take_back_refusals()
            if self._died_on:
                await self._note_death()
            for journal in self._journals:
                journal.close()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
        if self._failure is not None:
            raise self._failure
        telemetry.tick(last=True)
        self._progress.update(self._meter)

    def _take_back_refusals(self) -> None:
        """Have what was refused just before the engine stopped asked again, as far as its shard is not written."""
        for journal, attempt in self._refused:
            if journal in self._journals:
                journal.append(replace(attempt, problem=ENDPOINT_FAILED))

    async def _note_death(self) -> None:
        """Have the journals know that the engine died on their shards, unless it was ended together with the build."""
        await asyncio.sleep(SIGNAL_SLACK_S)
        if not self._is_told_to_stop:
            for journal in self._died_on & self._journals:
                journal.note_death()

    async def _admit(self, works: AsyncIterator[ShardWork]) -> None:
        async for work in works:
            self._journals.add(work.journal)
            async with self._waiting_shards:
                pass  # let the disk catch up
            if not work.samples:
                await self._finish(work)
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
                self._died_on.add(work.journal)
            self._fail(error)
        finally:
            self._alive.release()
            self._open.release()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._engine.stop_waiting()  # for answers that would come hours later
        self.stopping = True

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
            attempt = await (
                self._put_alone(work.journal, sample, move) if work.journal.is_suspect else self._put(sample, move)
            )
            if attempt is None:
                return  # stopping
            if isinstance(attempt, Rejection):
                move = replace(attempt, attempts=tuple(each for each in attempts if not each.problem))
                break
            work.journal.append(attempt)
            attempts = with_answer(attempts, attempt)
            if attempt.problem:
                self._refused.append((work.journal, attempt))
        if isinstance(move, Request | Verification):  # for a later pass, which finds its answers in the journal
            self.waiting |= set(map(needs, open_moves(self._plan, sample, attempts, spent)))
            move = Rejection(sample.sample_id, "unfinished")
        work.outcomes[sample.sample_id] = move
        self._meter.passed += 1
        if self._pass.is_last:
            self._count(move)
        if len(work.outcomes) == len(work.samples):
            await self._finish(work)

    def _may_pass(self, attempt: Attempt) -> bool:
        """Whether an earlier run of this pass could not put the request for a reason of the moment."""
        return attempt.problem == ENDPOINT_FAILED and attempt.step in self._pass.steps

    def _is_mine(self, move: Move) -> TypeGuard[Request | Verification]:
        """Whether the engine of this pass can do it."""
        return isinstance(move, Request | Verification) and needs(move) in self._pass.answers

    async def _put(self, sample: Sample, move: Request | Verification) -> Attempt | Rejection | None:
        return await (self._ask(sample, move) if isinstance(move, Request) else self._verify(sample, move))

    async def _put_alone(
        self, journal: Journal, sample: Sample, move: Request | Verification
    ) -> Attempt | Rejection | None:
        """The same for a sample that may kill the engine; what tells of it is safe before it is asked."""
        with journal.alone(sample.sample_id):
            if journal.is_uploaded:
                await asyncio.to_thread(journal.publish, journal.cut())
            return await self._put(sample, move)

    async def _ask(self, sample: Sample, request: Request) -> Attempt | None:
        """Put one request to the engine; None where the build is stopping and it was not asked any more."""
        try:
            completion = await self._answered(sample, request)
        except AskAgainError:
            return await self._ask(sample, request)
        except SampleError as error:
            return Attempt.failed(request, error.reason, error.detail)
        if completion is None:
            return None
        completion = without_thought(completion)
        self._refused.clear()
        self._meter.requests += 1
        self._meter.thoughts += completion.thought
        self._meter.prompt_tokens += completion.num_prompt_tokens
        self._meter.tokens += completion.num_tokens
        if warning := self._repetition.add(request.step, sample.sample_id, completion.text):
            say(warning)
        return Attempt.answered(request, completion)

    async def _answered(self, sample: Sample, request: Request) -> Completion | None:
        """The engine's answer; the image is dropped as soon as the engine has it."""
        image = None
        if request.role == "mllm":
            assert sample.image_path is not None, "an image that is missing is a rejection"
            image = await self._images.get(sample.image_path)
        async with self._window:
            if self.stopping:
                return None
            self._in_flight += 1
            try:
                if not isinstance(self._engine, BatchingEngine):
                    return await self._engine.generate(request, image)
                answer = await self._engine.send(request, image)
            finally:
                self._in_flight -= 1
        del image
        self._in_flight += 1
        self._alive.release()
        try:
            return await answer
        finally:
            self._in_flight -= 1
            await self._alive.acquire()

    async def _verify(self, sample: Sample, move: Verification) -> Attempt | Rejection | None:
        """Ask the judge the claims of an answer; None if the build is stopping and not all were answered."""
        assert self._judge is not None and sample.image_path is not None
        try:
            image = await self._images.get(sample.image_path)
        except SampleError as error:  # readable when it was captioned, not any more
            return Rejection(sample.sample_id, error.reason, error.detail, (move.attempt,))
        if image is None:
            return None
        self._in_flight += 1
        try:
            verdicts = await self._judge.ask(sample.sample_id, image, move.statements)
        finally:
            self._in_flight -= 1
        if self.stopping and any(verdict.score is None for verdict in verdicts):
            return None
        if failed := next((verdict for verdict in verdicts if verdict.reason == ENDPOINT_FAILED), None):
            return Rejection(sample.sample_id, ENDPOINT_FAILED, failed.detail, (move.attempt,))
        self._judge.prove(verdicts)
        self._meter.claims += len(verdicts)
        pairs = zip(move.statements, verdicts, strict=True)
        return replace(move.attempt, claims=tuple(JudgedClaim(words, verdict.score) for words, verdict in pairs))

    async def _finish(self, work: ShardWork) -> None:
        """Write a shard whose samples all came to their end; after an earlier pass, keep its journal."""
        if not self._pass.is_last:
            failed = any(isinstance(end, Rejection) and end.reason == ENDPOINT_FAILED for end in work.outcomes.values())
            if not failed:
                work.journal.finish_pass(self._pass.number + 1)
            await asyncio.to_thread(work.journal.close)
            self._progress.finished(work.shard.index)
            return
        async with self._waiting_shards, self._writing:
            won = await asyncio.to_thread(
                write_shard,
                work.shard,
                work.order,
                work.outcomes,
                self._plan.manifest.part,
                before=work.before,
                number=work.number,
                verify_images=all(step.role == "llm" for step in self._plan.recipe.steps),
                embed_images=self._embed_images,
            )
            if won is None:
                say(f"{work.shard.where(work.shard.data)}: another process finished it first; its rows stay")
            await asyncio.to_thread(work.journal.remove)
            self._journals.discard(work.journal)
            self._progress.finished(work.shard.index)

    def _count(self, outcome: Record | Rejection) -> None:
        if isinstance(outcome, Record):
            self._meter.records += 1
        else:
            self._meter.rejections[outcome.reason] += 1

    def _gauges(self) -> dict[str, int]:
        return {"in_flight": self._in_flight, "decoding": self._images.num_waiting, "samples_alive": len(self._tasks)}

    async def _tick(self, telemetry: Telemetry) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            bound: Bound = "source"
            if self._in_flight >= self._max_in_flight or (self._all_admitted and not self._images.num_waiting):
                bound = "engine"
            elif self._images.num_waiting:
                bound = "images"
            self._meter.bound_s[bound] += TICK_S
            if self._progress.update(self._meter) and not self.stopping:
                self.stop()
            telemetry.tick()
            await self._publish_journals()

    async def _publish_journals(self) -> None:
        """Publish answers that wait for long, so that a lost machine loses few."""
        for journal in [journal for journal in self._journals if journal.is_due]:
            try:
                await asyncio.to_thread(journal.publish, journal.cut())
            except UserError as error:
                self._fail(error)
