"""Any OpenAI-compatible endpoint: a vLLM server, a hosted model, a local one.

Many requests are in flight at once. What may pass is tried again with growing, jittered waits (429 and its
Retry-After, 5xx, timeouts, dropped connections, bodies that are no answer); a wrong key, an empty account or an unknown
model stops the build at once, and so does an endpoint that refuses whatever it is asked; a request that it refuses
beside others that it answers rejects its sample alone.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from PIL import Image

from lrs2m_builder.engines.base import (
    DEFAULT_MAX_PIXELS,
    ENDPOINT_FAILED,
    EngineStoppedError,
    fit_pixels,
    positive_options,
)
from lrs2m_builder.errors import MissingExtraError, SampleError, UserError
from lrs2m_builder.schema import Completion, Request, Role

DEFAULT_MAX_IN_FLIGHT = 64
DEFAULT_MAX_TRIES = 6
DEFAULT_TIMEOUT_S = 300.0
MAX_WAIT_S = 60.0
MAX_GIVEN_UP = 8  # requests given up in a row, or refused before any answer: not they are at fault
_STOPS = {401, 402, 403, 404}  # no key, no money, no right, no such model
PERFORMANCE_OPTIONS = {"base_url", "max_in_flight", "max_tries", "timeout_s"}
_OPTIONS = {*PERFORMANCE_OPTIONS, "max_pixels"}


class _PassingError(Exception):
    """A failure that another try may not meet; `wait_s` is what the endpoint asked for."""

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.wait_s = wait_s


class ImageBound:
    """Sizes images and shows requests for an endpoint whose processor is not known here."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        """Within the pixel bound, aspect ratio kept."""
        return fit_pixels(width, height, self._max_pixels)

    def prompt_text(self, request: Request) -> str:
        """The message, with <image> where the image stands; the endpoint puts its chat template around it."""
        return "\n<image>\n".join(request.parts)

    def num_prompt_tokens(self, request: Request, image: Image.Image | None) -> int | None:
        """Not known: the endpoint has the tokenizer."""
        return None


class OpenAIEngine:
    """A client of one endpoint."""

    name = "openai"

    def __init__(self, model: str, base_url: str, options: Mapping[str, Any]) -> None:
        self.model = model
        self.revision = ""
        self.max_in_flight: int = options.get("max_in_flight") or DEFAULT_MAX_IN_FLIGHT
        self.image_size = ImageBound(options.get("max_pixels") or DEFAULT_MAX_PIXELS).image_size
        self._url = base_url.rstrip("/")
        self._max_tries: int = options.get("max_tries") or DEFAULT_MAX_TRIES
        self._timeout_s: float = options.get("timeout_s") or DEFAULT_TIMEOUT_S
        self._client: Any = None
        self._given_up = self._refused = 0
        self._has_answered = False

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        """Answer one request (see `Engine.generate`)."""
        import tenacity

        body = json.dumps(
            {
                "model": self.model,
                "messages": [{"role": "user", "content": await _content(request, image)}],
                "seed": request.seed,
                **request.sampling,
            }
        ).encode()
        waits = tenacity.wait_exponential_jitter(multiplier=0.5, max=MAX_WAIT_S)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait_s if isinstance(error, _PassingError) else None
            return max(waits(state), min(asked or 0.0, 10 * MAX_WAIT_S))

        try:
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type(_PassingError),
                stop=tenacity.stop_after_attempt(self._max_tries),
                wait=wait,
                reraise=True,
            ):
                with attempt:
                    completion = await self._ask(body)
        except _PassingError as error:
            self._given_up += 1
            if self._given_up >= MAX_GIVEN_UP:
                raise EngineStoppedError(
                    f"{self._url}: {self._given_up} requests in a row failed {self._max_tries} times, the last with: "
                    f"{error}; what was answered is kept, the same command goes on"
                ) from error
            raise SampleError(ENDPOINT_FAILED, f"{self._max_tries} tries, the last: {error}") from error
        except SampleError as error:
            self._refused += 1
            if self._refused >= MAX_GIVEN_UP and not self._has_answered:
                raise EngineStoppedError(
                    f"{self._url}: refused the first {self._refused} requests, the last with: {error.detail}; look at "
                    "--model, --sampling and --engine-option"
                ) from error
            raise
        self._given_up, self._has_answered = 0, True
        return completion

    async def _ask(self, body: bytes) -> Completion:
        import httpx

        try:
            response = await self._connected().post(f"{self._url}/chat/completions", content=body)
        except httpx.RequestError as error:
            raise _PassingError(f"{type(error).__name__}: {error}") from error
        if response.status_code in {408, 409, 425, 429} or response.status_code >= 500:
            raise _PassingError(f"HTTP {response.status_code}: {_reason(response)}", _retry_after(response))
        if response.status_code in _STOPS:
            raise EngineStoppedError(f"{self._url}: HTTP {response.status_code}: {_reason(response)}")
        if response.status_code != 200:
            raise SampleError("request_refused", f"HTTP {response.status_code}: {_reason(response)}")
        try:
            answer = response.json()
            choice, usage = answer["choices"][0], answer.get("usage") or {}
            text = choice["message"]["content"] or ""
            if not isinstance(text, str):
                raise TypeError
            return Completion(
                text=text,
                finish_reason=choice.get("finish_reason") or "stop",
                num_prompt_tokens=int(usage.get("prompt_tokens") or 0),
                num_tokens=int(usage.get("completion_tokens") or 0),
            )
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _PassingError(f"a body that is no answer ({type(error).__name__}): {response.text[:80]!r}") from error

    def _connected(self) -> Any:
        """The client, made in the event loop that uses it."""
        if self._client is None:
            import httpx

            limits = httpx.Limits(max_connections=self.max_in_flight, max_keepalive_connections=self.max_in_flight)
            self._client = httpx.AsyncClient(headers=_headers(), timeout=self._timeout_s, limits=limits)
        return self._client

    async def finish(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    def close(self) -> None:
        """Nothing outlives the event loop."""


def find(model: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """The model's name; an endpoint does not tell its revision."""
    return model, ""


def preview(model: str, role: Role, options: Mapping[str, Any]) -> ImageBound:
    """What `--show-prompts` needs, without the endpoint."""
    return ImageBound(options.get("max_pixels") or DEFAULT_MAX_PIXELS)


def check(model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()) -> None:
    """Refuse unknown options and a missing address (see `EngineModule.check`)."""
    if unknown := sorted(options.keys() - _OPTIONS):
        raise UserError(
            f"--engine-option {unknown[0]}: not an option of the openai engine; known: {', '.join(sorted(_OPTIONS))}"
        )
    positive_options(options, ("max_pixels", "max_in_flight", "max_tries", "timeout_s"))
    base_url = options.get("base_url")
    if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
        raise UserError("--base-url: the openai engine needs the endpoint's address, such as http://127.0.0.1:8000/v1")


def load(
    model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
) -> OpenAIEngine:
    """Check that the endpoint is there and serves the model.

    Args:
        options: base_url (needed), max_pixels, max_in_flight, max_tries, timeout_s. The key is OPENAI_API_KEY's.
        samplings: not known to be good or bad before the endpoint has seen them.

    Raises:
        UserError: no base_url, an unknown option, no endpoint there, a refused key, or a model it does not serve.
    """
    try:
        import httpx
        import tenacity  # noqa: F401 - told here rather than at the first answer
    except ImportError as error:
        raise MissingExtraError("the openai engine", "openai", error) from error
    check(model, role, options, samplings)
    base_url: str = options["base_url"]
    try:
        response = httpx.get(f"{base_url.rstrip('/')}/models", headers=_headers(), timeout=30)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(
            f"--base-url {base_url}: no answer ({type(error).__name__}: {error}); is the server up?"
        ) from error
    if response.status_code in {401, 403}:
        raise UserError(f"--base-url {base_url}: HTTP {response.status_code}; set OPENAI_API_KEY to a key it accepts")
    if response.status_code == 200:
        served = _served(response)
        if served and model not in served:
            raise UserError(f"--model {model}: not served by {base_url}; it serves {', '.join(served[:10])}")
    return OpenAIEngine(model, base_url, options)


def _headers() -> dict[str, str]:
    key = os.environ.get("OPENAI_API_KEY", "").strip()  # a file's line break would be shown in the client's error
    if not (key.isascii() and key.isprintable()):
        raise UserError("OPENAI_API_KEY: holds characters that no key has; set it again")
    headers = {"Content-Type": "application/json"}
    return headers | ({"Authorization": f"Bearer {key}"} if key else {})


async def _content(request: Request, image: Image.Image | None) -> Any:
    if image is None:
        return request.parts[0]
    url = await asyncio.to_thread(_data_url, image)
    before, after = request.parts
    return [
        {"type": "text", "text": before},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": after},
    ]


def _data_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=95, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _served(response: Any) -> list[str]:
    try:
        return [str(entry["id"]) for entry in response.json()["data"]]
    except (ValueError, LookupError, TypeError):
        return []  # an endpoint that lists nothing may serve it all the same


def _reason(response: Any) -> str:
    return " ".join(response.text.split())[:200] or "no message"


def _retry_after(response: Any) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date; None where it holds neither."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
