"""A scripted engine for `scale.py`: answers follow from the request's seed and come after a fixed time."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lrs2m_builder.engines._base import Engine, EngineModule, Preview
from lrs2m_builder.exchange import AnswerScores, Completion, Request, Role

WORDS = ("roof", "road", "tree", "field", "river", "car", "grey", "green", "white", "long", "narrow", "small", "left")
SIDE = 32


@dataclass
class ScriptedModule:
    """An engine that waits instead of computing, like one on a GPU: `max_in_flight` answers every `seconds`."""

    seconds: float
    max_in_flight: int
    PERFORMANCE_OPTIONS: set[str] = field(default_factory=set)
    FOLLOWS_SCHEMAS: bool = True

    def find(self, model: str, options: Mapping[str, Any]) -> tuple[str, str]:
        return model, "1"

    def check(self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Any] = ()) -> None:
        """Every option is accepted."""

    def preview(self, model: str, role: Role, options: Mapping[str, Any]) -> Preview:
        return _Preview()

    def load(self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Any] = ()) -> Engine:
        return _Engine(model, self.seconds, self.max_in_flight)


class _Preview:
    def image_size(self, width: int, height: int) -> tuple[int, int]:
        return SIDE, SIDE

    def prompt_text(self, request: Request) -> str:
        return "<image>".join(request.parts)

    def prove(self, request: Request) -> list[str]:
        return []

    def num_prompt_tokens(self, request: Request, image: Image.Image | None) -> int | None:
        return None


class _Engine:
    name, revision = "scripted", "1"

    def __init__(self, model: str, seconds: float, max_in_flight: int) -> None:
        self.model, self.max_in_flight, self._seconds = model, max_in_flight, seconds

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        return SIDE, SIDE

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        await asyncio.sleep(self._seconds)
        random_ = random.Random(request.seed)
        text = " ".join("The " + " ".join(random_.sample(WORDS, 9)) + f"{index}." for index in range(8))
        return Completion(text, "stop", num_prompt_tokens=10, num_tokens=20)

    async def score(self, request: Request, image: Image.Image | None) -> AnswerScores:
        raise NotImplementedError("the benchmark asks no judge")

    def stop_waiting(self) -> None:
        """No request waits."""

    async def finish(self) -> None:
        """Nothing to give up."""

    def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Another engine module; each engine writes down when it gave its first and its last answer.

    Attributes:
        folder: of these files, one per engine.
    """

    module: EngineModule
    folder: Path

    @property
    def PERFORMANCE_OPTIONS(self) -> Any:  # noqa: N802 - the contract's name
        return self.module.PERFORMANCE_OPTIONS

    @property
    def FOLLOWS_SCHEMAS(self) -> bool:  # noqa: N802 - the contract's name
        return self.module.FOLLOWS_SCHEMAS

    def find(self, model: str, options: Mapping[str, Any]) -> tuple[str, str]:
        return self.module.find(model, options)

    def check(self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Any] = ()) -> None:
        self.module.check(model, role, options, samplings)

    def preview(self, model: str, role: Role, options: Mapping[str, Any]) -> Preview:
        return self.module.preview(model, role, options)

    def load(self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Any] = ()) -> Any:
        return _TimedEngine(self.module.load(model, role, options, samplings), self.folder)


class _TimedEngine:
    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._started, self._ended, self._number = time.time(), 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        completion = await self._engine.generate(request, image)
        self._ended, self._number = time.time(), self._number + 1
        return completion

    def close(self) -> None:
        line = {"started": self._started, "ended": self._ended, "answers": self._number}
        (self._folder / f"{os.getpid()}.json").write_text(json.dumps(line))
        self._engine.close()
