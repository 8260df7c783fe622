"""A scripted engine, in the place of `lrs2m_builder.engines.<name>`: it keeps what it was asked.

Its answers follow from the request's seed alone, so that two runs can be compared byte for byte. Run as a program it
is the real command line with this engine behind it, so that a test can kill a real process.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lrs2m_builder.engines._base import EngineDiedError, EngineStoppedError, Preview
from lrs2m_builder.exchange import AnswerScores, Completion, Request, Role

WORDS = ("roof", "road", "tree", "field", "river", "car", "grey", "green", "white", "long", "narrow", "small", "left")
WORDS += ("harbor", "airport", "forest", "farmland", "pond", "bridge")  # what most hints of tests name
PERFORMANCE_OPTIONS = {"max_in_flight"}

Script = Callable[[Request], Completion]
ScoreScript = Callable[[Request], AnswerScores]


def good_text(seed: int) -> str:
    """Eighty words in sentences of ten, none of them repeated."""
    random_ = random.Random(seed)
    return " ".join("The " + " ".join(random_.sample(WORDS, 9)) + f"{index}." for index in range(8))


def mixed_script(request: Request) -> Completion:
    """Refuses a fifth of what it is asked, by seed; the rest is good."""
    text = "I'm sorry, but I cannot help with that." if request.seed % 5 == 0 else good_text(request.seed)
    return Completion(text, "stop", num_prompt_tokens=10, num_tokens=20)


def scores_of(yes: float, mass: float = 0.98) -> AnswerScores:
    """Scores of a judge that says yes with this share of its answers."""
    return AnswerScores((math.log(mass * yes), math.log(mass * (1 - yes))), ((1,), (2,)), False, 100, 60)


def hashed_scores(request: Request) -> AnswerScores:
    """A judge whose answer follows from the words alone."""
    return scores_of((hashlib.sha256(request.parts[-1].encode()).digest()[0] + 1) / 257)


class FakeEngine:
    """Answers after a short while, so that many requests are in flight at once."""

    name = "fake"
    revision = "1"

    def __init__(
        self,
        model: str,
        script: Script,
        log: Path | None,
        delay_s: float,
        max_in_flight: int,
        killers: Collection[str] = (),
        *,
        kills_process: bool = False,
    ) -> None:
        self.model = model
        self._killers, self._kills_process, self._is_dead = killers, kills_process, False
        self.max_in_flight = max_in_flight
        self.requests: list[Request] = []
        self.images: list[Image.Image | None] = []
        self.score_script: ScoreScript = hashed_scores
        self._script, self._delay_s = script, delay_s
        self._log = log.open("a") if log else None

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        return 32, 32

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        await self._take(request, image, request.request_id)
        return self._script(request)

    async def score(self, request: Request, image: Image.Image | None) -> AnswerScores:
        await self._take(request, image, f"{request.sample_id} {request.parts[-1].splitlines()[-1]}")
        return self.score_script(request)

    async def _take(self, request: Request, image: Image.Image | None, line: str) -> None:
        self.requests.append(request)
        self.images.append(image)
        if self._log:
            print(line, file=self._log, flush=True)
        await asyncio.sleep(self._delay_s * (0.5 + random.random()))
        if request.sample_id in self._killers:
            if self._kills_process:
                os.kill(os.getpid(), signal.SIGKILL)
            self._is_dead = True
        if self._is_dead:
            raise EngineDiedError("the engine died")

    def stop_waiting(self) -> None:
        """No request waits."""

    async def finish(self) -> None:
        """Nothing to give up."""

    def close(self) -> None:
        if self._log:
            self._log.close()
        time.sleep(float(os.environ.get("LRS2M_FAKE_CLOSE_S", "0")))


class FakePreview:
    """Requests without a chat template."""

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        return 32, 32

    def prompt_text(self, request: Request) -> str:
        return "<image>".join(request.parts)

    def prove(self, request: Request) -> list[str]:
        return []

    def num_prompt_tokens(self, request: Request, image: Image.Image | None) -> int | None:
        return None


class FakeModule:
    """The contract of an engine module."""

    PERFORMANCE_OPTIONS = PERFORMANCE_OPTIONS
    FOLLOWS_SCHEMAS = True

    def __init__(
        self,
        script: Script = mixed_script,
        log: Path | None = None,
        delay_s: float = 0.0,
        scores: ScoreScript = hashed_scores,
        killers: Collection[str] = (),
        *,
        kills_process: bool = False,
    ) -> None:
        """Args:
        killers: ids of samples of which the engine dies,
        kills_process: together with its process.
        """
        self.script, self.log, self.delay_s, self.scores = script, log, delay_s, scores
        self.killers, self.kills_process = killers, kills_process
        self.engines: list[FakeEngine] = []

    def find(self, model: str, options: Mapping[str, Any]) -> tuple[str, str]:
        return model, "1"

    def check(
        self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Every setting will do."""

    def load(
        self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
    ) -> FakeEngine:
        if "fail" in options:
            raise EngineStoppedError(options["fail"])
        engine = FakeEngine(
            model,
            self.script,
            self.log,
            self.delay_s,
            options.get("max_in_flight", 8),
            self.killers,
            kills_process=self.kills_process,
        )
        engine.score_script = self.scores
        self.engines.append(engine)
        return engine

    def preview(self, model: str, role: Role, options: Mapping[str, Any]) -> Preview:
        return FakePreview()

    @property
    def requests(self) -> list[Request]:
        """All that was asked, of every engine that was started."""
        return [request for engine in self.engines for request in engine.requests]


def main() -> None:
    """The command line with this engine; LRS2M_FAKE_LOG, _DELAY_S and _KILLERS set it up."""
    from lrs2m_builder import cli, engines

    module = FakeModule(
        log=Path(os.environ["LRS2M_FAKE_LOG"]),
        delay_s=float(os.environ["LRS2M_FAKE_DELAY_S"]),
        killers=os.environ.get("LRS2M_FAKE_KILLERS", "").split(","),
        kills_process=True,
    )
    engines.engine_module = lambda name: module  # type: ignore[assignment]
    sys.argv[0] = "lrs2m"
    cli.main()


if __name__ == "__main__":
    main()
