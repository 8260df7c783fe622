"""Which engines are up: one for each pass of a build, or one for several builds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from PIL import Image

from lrs2m_builder.engines._base import Engine, EngineModule
from lrs2m_builder.exchange import AnswerScores, Completion, Request, Role
from lrs2m_builder.stopping import signals_raise
from lrs2m_builder.terminal import say

T = TypeVar("T")


class EnginePool:
    """Starts the engines of one module and runs what is asked of them; one engine is up at a time."""

    def __init__(self, module: EngineModule) -> None:
        self.module = module

    def start(
        self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]]
    ) -> Engine:
        """An engine that is ready (see `EngineModule.load`)."""
        return self.module.load(model, role, options, samplings)

    def begin(
        self,
        engine: str,
        model: str,
        role: Role,
        options: Mapping[str, Any],
        samplings: Sequence[Mapping[str, Any]] = (),
    ) -> Engine:
        """Start an engine, say so, and let a signal end the start (see `start`).

        Raises:
            UserError: as `EngineModule.load`.
            Stopped: a signal came.
        """
        say(f"starting {engine} on {model} ...")
        with signals_raise():
            return self.start(model, role, options, samplings)

    def release(self, engine: Engine) -> None:
        """A pass is done with its engine."""
        engine.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the requests of a pass in an event loop."""
        return asyncio.run(work)


class NoEngine:
    """For a pass in which nothing is left to be asked (see `Engine`)."""

    name = model = revision = ""
    max_in_flight = 1

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        """As it is."""
        return width, height

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        """Never called."""
        raise AssertionError(f"{request.request_id}: no model is up")

    async def score(self, request: Request, image: Image.Image | None) -> AnswerScores:
        """Never called."""
        raise AssertionError(f"{request.request_id}: no model is up")

    def stop_waiting(self) -> None:
        """Nothing waits."""

    async def finish(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


class SharedEngine(EnginePool):
    """One engine for several builds, with its event loop: started at the first pass, closed at the end.

    It is asked for both roles: a multimodal model answers text-only requests too.
    """

    def __init__(self, module: EngineModule) -> None:
        super().__init__(module)
        self._engine: Engine | None = None
        self._loop = asyncio.Runner()

    def start(
        self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]]
    ) -> Engine:
        """The engine; whatever the role, it sees images."""
        if self._engine is None:
            self._engine = super().start(model, "mllm", options, samplings)
        return self._engine

    def release(self, engine: Engine) -> None:
        """Keep it for the next build."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the requests of a pass in the loop that the engine belongs to."""
        return self._loop.run(work)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.close()
        if self._engine is not None:
            self._engine.close()
