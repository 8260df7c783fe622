"""Any OpenAI-compatible endpoint: a vLLM server, a hosted model, a local one.

Many requests are in flight at once. A fault that may pass is tried again with growing, jittered waits; an endpoint that
is away is waited for; a wrong key, address or model or an empty account stops the build at once, and so does one that
refuses whatever it is asked; a request that it refuses beside others that it answers rejects its sample alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from PIL import Image

from lrs2m_builder.engines._answer_tokens import spellings
from lrs2m_builder.engines._base import (
    DEFAULT_MAX_PIXELS,
    ENDPOINT_FAILED,
    EngineStoppedError,
    ImageBound,
)
from lrs2m_builder.engines._endpoint_answers import read_reply
from lrs2m_builder.engines._endpoint_body import BodyWriter, sampling_of
from lrs2m_builder.engines._endpoint_errors import PassingError, SettingError
from lrs2m_builder.engines._endpoint_gate import KEPT, MAX_IN_A_ROW, Gate, GivenUpError
from lrs2m_builder.engines._endpoint_models import Served, served_model
from lrs2m_builder.engines._endpoint_sampling import check_sampling
from lrs2m_builder.engines._endpoint_scores import (
    LogProbsMissingError,
    Sides,
    read_scores,
    score_fields,
    sides_of,
)
from lrs2m_builder.engines._endpoint_session import Read, Session
from lrs2m_builder.engines._endpoint_wire import Endpoint, open_endpoint
from lrs2m_builder.engines._options import check_names, check_options
from lrs2m_builder.errors import MissingExtraError, SampleError
from lrs2m_builder.exchange import AnswerScores, Completion, Request, Role

T = TypeVar("T")
DEFAULT_MAX_IN_FLIGHT = 64
DEFAULT_MAX_TRIES = 6
DEFAULT_TIMEOUT_S = 300.0
DEFAULT_WAIT_S = 600.0
MAX_WAIT_S = 60.0  # between two tries
MAX_PROBE_WAIT_S = 15.0  # between two tries of an endpoint that is away
PERFORMANCE_OPTIONS = {"base_url", "max_in_flight", "max_tries", "timeout_s", "wait_s"}
FOLLOWS_SCHEMAS = True
# The options with their kinds; `open_endpoint` checks base_url.
_KINDS = {
    **dict.fromkeys(("max_in_flight", "max_tries"), "count"),
    **dict.fromkeys(("max_pixels", "timeout_s"), "positive"),
    "wait_s": "seconds",
    "chat_template_kwargs": "mapping",
}


class OpenAIEngine:
    """A client of one endpoint."""

    name = "openai"

    def __init__(self, model: str, endpoint: Endpoint, served: Served, options: Mapping[str, Any]) -> None:
        self.model = model
        self.revision = ""
        self.max_in_flight: int = options.get("max_in_flight") or DEFAULT_MAX_IN_FLIGHT
        self.image_size = ImageBound(options.get("max_pixels") or DEFAULT_MAX_PIXELS).image_size
        self._endpoint, self._served_as = endpoint, served.name
        self._bodies = BodyWriter(served, options)
        self._is_vllm = served.has_template
        self._sides: dict[tuple[str, ...], Sides | None] = {}
        self._finding_sides = asyncio.Lock()
        self._max_tries: int = options.get("max_tries") or DEFAULT_MAX_TRIES
        self._timeout_s: float = options.get("timeout_s") or DEFAULT_TIMEOUT_S
        self._wait_s = _wait_s(options)
        self._session: Session | None = None

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        """Answer one request (see `Engine.generate`)."""
        return await self._answered(request, image, sampling_of(request), read_reply)

    async def score(self, request: Request, image: Image.Image | None) -> AnswerScores:
        """The probabilities of its answers (see `Engine.score`): exact from a vLLM server, else among the first 20."""
        sides = await self._answer_sides(request.answers)
        try:
            read = partial(read_scores, answers=request.answers, sides=sides)
            return await self._answered(request, image, score_fields(sides), read)
        except LogProbsMissingError:
            self._sides[request.answers] = None  # an older server
            return await self.score(request, image)

    async def _answer_sides(self, answers: tuple[str, ...]) -> Sides | None:
        """The tokens of each answer; None if the server does not report them."""
        async with self._finding_sides:
            if answers not in self._sides:
                tokenized = None
                if self._is_vllm:
                    tokenized = await self._connected().tokens_of(self._served_as, spellings(answers))
                self._sides[answers] = sides_of(answers, tokenized) if tokenized else None
        return self._sides[answers]

    async def _answered(
        self, request: Request, image: Image.Image | None, sampling: Mapping[str, Any], read: Read[T]
    ) -> T:
        """What is read of the reply to a request."""
        fields = await self._bodies.fields(request, image, sampling)
        session, name = self._connected(), self._endpoint.shown
        try:
            answer = await self._tried(session, fields, read)
        except PassingError as error:
            session.given_up += 1
            if session.given_up < MAX_IN_A_ROW:
                raise SampleError(ENDPOINT_FAILED, f"{self._max_tries} tries, the last: {error}") from error
            raise EngineStoppedError(
                f"{name}: {session.given_up} requests in a row failed {self._max_tries} times, the last with: {error}; "
                f"{KEPT}"
            ) from error
        except SettingError as error:
            raise EngineStoppedError(f"{name}: {error}; {KEPT}") from error
        session.given_up = 0
        return answer

    async def _tried(self, session: Session, fields: Mapping[str, Any], read: Read[T]) -> T:
        """The answer to a request that is tried again as long as that may help."""
        import tenacity

        body = json.dumps(fields).encode()
        waits = tenacity.wait_exponential_jitter(multiplier=0.5, max=MAX_WAIT_S)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait_s if isinstance(error, PassingError) else None
            return max(waits(state), min(asked or 0.0, 10 * MAX_WAIT_S))

        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=tenacity.stop_after_attempt(self._max_tries),
            wait=wait,
            sleep=session.gate.sleep,
            reraise=True,
        ):
            with attempt:
                exchange = partial(session.exchange, body, read, is_first=attempt.retry_state.attempt_number == 1)
                return await session.gate.through(exchange, partial(session.is_there, fields))
        raise AssertionError("tenacity raises the last failure")

    def _connected(self) -> Session:
        """The session, made in the event loop that uses it."""
        if self._session is None:
            pause_s = min(MAX_PROBE_WAIT_S, MAX_WAIT_S)
            gate = Gate(self._endpoint.shown, self._wait_s, pause_s, self._max_tries)
            self._session = Session(self._endpoint, self.max_in_flight, self._timeout_s, gate)
        return self._session

    def stop_waiting(self) -> None:
        """Drop the requests that wait for an endpoint that is away, or for their next try."""
        if self._session is not None:
            self._session.gate.stop_waiting()

    async def finish(self) -> None:
        """Close the connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def close(self) -> None:
        """Nothing outlives the event loop."""


def find(model: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """The model's name; an endpoint does not tell its revision."""
    return model, ""


def preview(model: str, role: Role, options: Mapping[str, Any]) -> ImageBound:
    """What `--show-prompts` needs, without the endpoint."""
    return ImageBound(options.get("max_pixels") or DEFAULT_MAX_PIXELS)


def check(model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()) -> None:
    """Refuse what `load` would refuse without asking the endpoint.

    Raises:
        UserError: no address, a key that none can be, an unknown or unusable option or sampling parameter.
    """
    check_packages("the openai engine")
    check_names(options, ("base_url", *_KINDS), "openai")
    check_options(options, _KINDS)
    open_endpoint(options)
    for sampling in samplings:
        check_sampling(sampling)


def check_packages(what: str) -> None:
    """Look for the packages that an engine of endpoints needs, rather than at the first answer.

    Raises:
        MissingExtraError: one is not installed.
    """
    try:
        import httpx  # noqa: F401
        import tenacity  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(what, "openai", error) from error


def load(
    model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
) -> OpenAIEngine:
    """Check that the endpoint is there and serves the model.

    Args:
        options: base_url (needed), chat_template_kwargs, max_pixels, max_in_flight, max_tries, timeout_s, wait_s;
            OPENAI_API_KEY has the key.

    Raises:
        UserError: what `check` refuses, no endpoint there, a refused key, or a model it does not serve.
    """
    check(model, role, options, samplings)
    endpoint = open_endpoint(options)
    served = served_model(endpoint, model, _wait_s(options), told=options.get("wait_s") is not None)
    return OpenAIEngine(model, endpoint, served, options)


def _wait_s(options: Mapping[str, Any]) -> float:
    """How long an endpoint that is away is waited for; 0 is a choice, too."""
    value = options.get("wait_s")
    return DEFAULT_WAIT_S if value is None else float(value)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, PassingError) and not isinstance(error, GivenUpError)
