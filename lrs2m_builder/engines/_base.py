"""What the build asks of an engine."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from lrs2m_builder.engines._batch_records import BatchRecords
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import AnswerScores, Completion, Request, Role

# 1280 image tokens of Qwen2-VL: enough for what a caption says, and a bound on cost. Its own limit is 16384 tokens.
DEFAULT_MAX_PIXELS = 1280 * 28 * 28
DEFAULT_MAX_LENGTH = 4096  # prompt, 1280 image tokens and an answer of 400 fit well; more only costs memory
TEXT_LENGTH = 1024  # of it, what the words of a prompt and its answer may take

MAX_FAILED = 8  # requests that fail before any is answered: not they are at fault

# The problem of a request that might be answered another time: a build that goes on asks it again.
ENDPOINT_FAILED = "endpoint_failed"

# The reason of a sample that ended the engine whenever it was asked.
ENGINE_KILLED = "engine_killed"

# What servers call the end of an answer that was cut: one of these words, or one of each of the next two groups.
_CUT = {"length", "truncated", "truncation", "incomplete"}
_OF_WHAT = {"token", "tokens", "context", "output"}
_TOO_MUCH = {"max", "maximum", "limit", "limited", "exceeded", "overflow", "budget"}


def normal_finish(reason: object) -> str:
    """A finish reason as the records hold it: "stop", "length" whatever a server calls it, or its own in snake_case.

    Servers write text of any case, numbers, nothing, or an object with a `type`; at most 64 characters are kept.
    """
    if isinstance(reason, Mapping):
        reason = next(
            (reason[key] for key in ("type", "reason", "name") if isinstance(reason.get(key), str)), "unknown"
        )
    if reason is None or reason == "":
        return "stop"
    if not isinstance(reason, str | int | float):
        return "unknown"
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(reason)[:256]).lower()
    words = re.sub(r"[^a-z0-9]+", "_", words).removeprefix("finish_reason_").removeprefix("finishreason_").strip("_")
    parts = set(words.split("_"))
    if words == "limit" or parts & _CUT or (parts & _OF_WHAT and parts & _TOO_MUCH):
        return "length"
    return words[:64] or "unknown"


# Marks of the chat formats and processors of well-known models, as a caption never holds them.
_MARK = re.compile(
    r"<\|/?\w[\w /:.-]{0,40}\|>|<｜[^<>｜]{1,40}｜>|◁/?\w{1,30}▷|<(?:start|end)_of_(?:turn|image|audio|utterance)>"
    r"|</?(?:image|img|video|audio|im_patch|im_start|im_end|img_context|image_soft_token|image_placeholder|bos|eos)>"
    r"|</?s>|\[/?(?:INST|IMG|IMG_BREAK|IMG_END|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]|<<SYS>>",
    re.IGNORECASE,
)


def well_known_mark(text: str) -> str | None:
    """The first mark of a chat format or processor in a text: words of a sample must not hold one."""
    found = _MARK.search(text)
    return found.group() if found else None


def fit_pixels(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The size within a bound on the pixels, aspect ratio kept."""
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


class ImageBound:
    """Sizes images and shows requests if the model's processor is not known: an endpoint's, or one not at hand."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        """Within the pixel bound, aspect ratio kept."""
        return fit_pixels(width, height, self._max_pixels)

    def prompt_text(self, request: Request) -> str:
        """The message, with <image> where the image stands; the model's chat template goes around it."""
        words = "\n<image>\n".join(request.parts)
        return f"{request.system}\n\n{words}" if request.system else words

    def num_prompt_tokens(self, request: Request, image: Image.Image | None) -> int | None:
        """Not known without the tokenizer."""
        return None

    def prove(self, request: Request) -> list[str]:
        """Nothing to prove without the chat template."""
        return []


class EngineStoppedError(UserError):
    """The engine died or went away: what was answered is kept, and the same command goes on."""


class EngineDiedError(EngineStoppedError):
    """The engine's process died, perhaps of one of the requests that it was answering."""


class AskAgainError(Exception):
    """A request was not answered, by no fault of its own: it is sent again."""


class Brake:
    """Tells a model that fails on whatever it is asked from single requests that it cannot take."""

    def __init__(self, model: str) -> None:
        self._model, self._failed, self._has_answered = model, 0, False

    def release(self) -> None:
        """A request was answered: what fails from now on is a request's own fault."""
        self._has_answered = True

    def failed(self, error: SampleError) -> SampleError:
        """Count a request that failed, and return what happened to it.

        Raises:
            EngineStoppedError: the first eight requests all failed.
        """
        self._failed += 1
        if self._failed >= MAX_FAILED and not self._has_answered:
            raise EngineStoppedError(
                f"--model {self._model}: the first {self._failed} requests all failed, the last with: {error.detail}; "
                "try --engine-option max_pixels=..., the other of the engines vllm and transformers, or another model"
            )
        return error


class Engine(Protocol):
    """Something that answers requests, many at a time.

    Attributes:
        name: "vllm", "openai" or "transformers".
        model: Hub name or folder.
        revision: commit or content hash of the model, for the records.
        max_in_flight: how many requests keep it busy; the build sends no more at once.
    """

    name: str
    model: str
    revision: str
    max_in_flight: int

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        """The size to which an image of `width` x `height` pixels is brought before it is sent.

        Raises:
            SampleError: image_aspect_ratio, no size suits the image.
        """
        ...

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        """Answer one request.

        Raises:
            SampleError: this request cannot be answered (prompt_too_long, request_refused).
            EngineStoppedError: no request can be answered any more.
            EngineDiedError: the same; raised for every request that was in flight.
        """
        ...

    async def score(self, request: Request, image: Image.Image | None) -> AnswerScores:
        """The probabilities of the answers of one request (`Request.answers`), before any sampling.

        Raises:
            SampleError: this request cannot be answered.
            UserError: the model or the endpoint cannot report them.
            EngineStoppedError: no request can be answered any more.
        """
        ...

    def stop_waiting(self) -> None:
        """The build stops: drop the requests that only wait for their turn or for an endpoint that is away."""
        ...

    async def finish(self) -> None:
        """Give up what belongs to the event loop; no request follows in it."""
        ...

    def close(self) -> None:
        """Free what the engine holds. Safe to call twice."""
        ...


@runtime_checkable
class BatchingEngine(Protocol):
    """An engine whose answers come hours later: it takes many requests first, and no image waits in memory.

    Attributes:
        max_waiting: how many requests may wait for their answers; `max_in_flight` bounds those that are handed over.
    """

    max_waiting: int

    def remember(self, records: BatchRecords) -> None:
        """Keep records of what is sent, by which a later run finds its answers; before the first request."""
        ...

    async def send(self, request: Request, image: Image.Image | None) -> asyncio.Future[Completion]:
        """Take a request; the answer comes later.

        Raises:
            SampleError: this request cannot be answered; also from the answer, as AskAgainError: send it again.
            EngineStoppedError: no request can be answered any more; also from the answer.
        """
        ...


class EngineModule(Protocol):
    """The contract of a module in this folder: `engines/<name>.py`, a hyphen of the name written as an underscore.

    A module whose requests cost less has `PRICE_SHARE`, and `TRIAL`, the module that tries samples for a forecast.
    """

    PERFORMANCE_OPTIONS: set[str]  # options that change the speed but not what is asked
    FOLLOWS_SCHEMAS: bool  # whether its answers follow a `Request.schema`

    def find(self, model: str, options: Mapping[str, Any]) -> tuple[str, str]:
        """The model's name and revision, without loading it.

        Raises:
            UserError: the model is not there.
        """
        ...

    def check(
        self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Refuse what `load` would refuse without a model: unknown options, wrong types, unknown sampling parameters.

        Starts nothing, asks nothing of the network.

        Raises:
            MissingExtraError: a package is missing without which it cannot be told.
            UserError: a setting cannot be used.
        """
        ...

    def load(
        self, model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
    ) -> Engine:
        """Start an engine for steps of a role.

        Args:
            samplings: sampling parameters that requests will have; what can be refused is refused now.

        Raises:
            UserError: the model is not there, or cannot do what the role needs; an unknown or unusable option.
        """
        ...

    def preview(self, model: str, role: Role, options: Mapping[str, Any]) -> Preview:
        """What `--show-prompts` needs, without starting the engine."""
        ...


class Preview(Protocol):
    """Renders requests as an engine would, without one."""

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        """As `Engine.image_size`."""
        ...

    def prompt_text(self, request: Request) -> str:
        """The whole prompt, with the chat template."""
        ...

    def prove(self, request: Request) -> list[str]:
        """Render a request and look whether its words and its image are there; what the user should know of it.

        Raises:
            UserError: the prompt would not be what the request says.
        """
        ...

    def num_prompt_tokens(self, request: Request, image: Image.Image | None) -> int | None:
        """Tokens of the prompt, those of the image included; None if they are not known here."""
        ...
