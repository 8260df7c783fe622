"""Puts what samples need to the engine of a pass: requests, and the claims of answers that it judges."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from lrs2m_builder.build.image_window import ImageWindow
from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.build.telemetry import Meter, Repetition
from lrs2m_builder.engines._base import ENDPOINT_FAILED, AskAgainError, BatchingEngine, Engine
from lrs2m_builder.engines._thoughts import without_thought
from lrs2m_builder.errors import SampleError
from lrs2m_builder.exchange import Attempt, Completion, JudgedClaim, Request, Verification
from lrs2m_builder.schema import Rejection, Sample
from lrs2m_builder.terminal import say
from lrs2m_builder.verify.judge import Judge


class Asker:
    """Keeps at most `max_in_flight` requests at the engine, each with its image.

    Attributes:
        in_flight: number of requests and verifications that the engine has.
        stopping: whether nothing more is asked.
    """

    def __init__(
        self, plan: BuildPlan, engine: Engine, meter: Meter, alive: asyncio.Semaphore, *, judges: bool
    ) -> None:
        """Prepare to ask.

        Args:
            alive: of the samples in memory; released while a sample's answer may come hours later.
            judges: whether the engine judges claims.
        """
        self._engine, self._meter, self._alive = engine, meter, alive
        self._window = asyncio.Semaphore(engine.max_in_flight)
        self._images = ImageWindow(engine.image_size, plan.manifest.part)
        self._judge = Judge(engine, window=self._window) if judges else None
        self._repetition = Repetition()
        self.in_flight = 0
        self.stopping = False

    @property
    def num_decoding(self) -> int:
        """Number of samples that wait for their image."""
        return self._images.num_waiting

    def stop(self) -> None:
        """Ask no more; what waits for an image, or for an endpoint that is away, is left."""
        self.stopping = True
        self._images.stop()
        self._engine.stop_waiting()

    async def close(self) -> None:
        """End the engine's work and the threads that decode."""
        await self._engine.finish()
        self._images.close(wait=not self.stopping)

    async def put(self, sample: Sample, move: Request | Verification) -> Attempt | Rejection | None:
        """The answer to a request, or an answer with its judged claims; None if the build is stopping.

        Raises:
            EngineStoppedError: the engine answers no more.
        """
        return await (self._ask(sample, move) if isinstance(move, Request) else self._verify(sample, move))

    async def _ask(self, sample: Sample, request: Request) -> Attempt | None:
        """Put one request to the engine; None if the build is stopping and it was not asked."""
        try:
            completion = await self._answered(sample, request)
        except AskAgainError:
            return await self._ask(sample, request)
        except SampleError as error:
            return Attempt.failed(request, error.reason, error.detail)
        if completion is None:
            return None
        completion = without_thought(completion)
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
            self.in_flight += 1
            try:
                if not isinstance(self._engine, BatchingEngine):
                    return await self._engine.generate(request, image)
                answer = await self._engine.send(request, image)
            finally:
                self.in_flight -= 1
        del image
        self.in_flight += 1
        self._alive.release()
        try:
            return await answer
        finally:
            self.in_flight -= 1
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
        self.in_flight += 1
        try:
            verdicts = await self._judge.ask(sample.sample_id, image, move.statements)
        finally:
            self.in_flight -= 1
        if self.stopping and any(verdict.score is None for verdict in verdicts):
            return None
        if failed := next((verdict for verdict in verdicts if verdict.reason == ENDPOINT_FAILED), None):
            return Rejection(sample.sample_id, ENDPOINT_FAILED, failed.detail, (move.attempt,))
        self._judge.prove(verdicts)
        self._meter.claims += len(verdicts)
        pairs = zip(move.statements, verdicts, strict=True)
        return replace(move.attempt, claims=tuple(JudgedClaim(words, verdict.score) for words, verdict in pairs))
