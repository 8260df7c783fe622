"""Batches of an OpenAI-compatible endpoint, at half the price: requests up as a file, answers down within a day.

Requests are gathered until a batch is full, the build can give no more, or none came for a while. What is sent is
recorded before it is paid for (`_batch_records.py`): a build that is stopped or killed finds its batches again. What a
batch did not answer goes into the next one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from lrs2m_builder.engines import openai
from lrs2m_builder.engines._base import DEFAULT_MAX_PIXELS, ImageBound
from lrs2m_builder.engines._batch_queue import BatchQueue
from lrs2m_builder.engines._batch_records import BatchRecords, request_key
from lrs2m_builder.engines._batch_wire import CHAT_URL
from lrs2m_builder.engines._endpoint_body import BodyWriter, sampling_of
from lrs2m_builder.engines._endpoint_models import Served, served_model
from lrs2m_builder.engines._endpoint_sampling import check_sampling
from lrs2m_builder.engines._endpoint_wire import Endpoint, open_endpoint
from lrs2m_builder.engines._options import check_names, check_options
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import AnswerScores, Completion, Request, Role

MAX_IN_FLIGHT = 64  # requests being written at once: their images are in memory

# The options with their kinds and defaults; OpenAI and Azure take 50,000 requests and 200 MB per batch.
_DEFAULTS: dict[str, tuple[str, Any]] = {
    "batch_requests": ("count", 50_000),
    "batch_mb": ("positive", 190),
    "max_waiting": ("count", 20_000),
    "max_tries": ("count", 3),
    "gather_s": ("seconds", 30.0),
    "poll_s": ("positive", 30.0),
    "timeout_s": ("positive", 300.0),
    "wait_s": ("seconds", 3600.0),
    "max_pixels": ("positive", DEFAULT_MAX_PIXELS),
    "chat_template_kwargs": ("mapping", None),
}
PERFORMANCE_OPTIONS = {"base_url", *_DEFAULTS} - {"max_pixels", "chat_template_kwargs"}
FOLLOWS_SCHEMAS = True
PRICE_SHARE = 0.5
TRIAL = openai


class OpenAIBatchEngine:
    """A client of the Batch API of one endpoint (see `BatchingEngine`)."""

    name = "openai-batch"

    def __init__(self, model: str, endpoint: Endpoint, served: Served, options: Mapping[str, Any]) -> None:
        chosen = {name: _chosen(options, name) for name in _DEFAULTS}
        self.model, self.revision = model, ""
        self.max_in_flight = MAX_IN_FLIGHT
        self.max_waiting: int = chosen["max_waiting"]
        self.image_size = ImageBound(chosen["max_pixels"]).image_size
        self._endpoint, self._bodies, self._options = endpoint, BodyWriter(served, options), chosen
        self._records: BatchRecords | None = None
        self._queue: BatchQueue | None = None

    def remember(self, records: BatchRecords) -> None:
        """Keep the records of what is sent there."""
        self._records = records

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        """Answer one request, hours later (see `Engine.generate`)."""
        return await (await self.send(request, image))

    async def score(self, request: Request, image: Image.Image | None) -> AnswerScores:
        """Raises:
        UserError: claims are asked one after the other, and each round would take a batch.
        """
        raise UserError("--engine openai-batch: cannot judge claims; build with it, then run lrs2m verify --engine ...")

    async def send(self, request: Request, image: Image.Image | None) -> asyncio.Future[Completion]:
        """Put a request into a batch, or find it in one (see `BatchingEngine.send`)."""
        queue = self._opened()
        await queue.begin()
        key = request_key(request)
        if (answer := queue.known(key)) is not None:
            return answer
        body = await self._bodies.fields(request, image, sampling_of(request))
        line = json.dumps({"custom_id": key, "method": "POST", "url": CHAT_URL, "body": body}).encode() + b"\n"
        return queue.put(key, line)

    def _opened(self) -> BatchQueue:
        """The queue, made in the event loop that uses it."""
        if self._records is None:
            raise UserError("--engine openai-batch: only for lrs2m build, which keeps a record of what it sent")
        if self._queue is None:
            self._queue = BatchQueue(self._endpoint, self._records, self._options)
        return self._queue

    def stop_waiting(self) -> None:
        """Leave the batches at the endpoint; what was not sent is dropped."""
        if self._queue is not None:
            self._queue.stop()

    async def finish(self) -> None:
        """End the work beside the build; a batch that is being made is recorded first."""
        if self._queue is not None:
            queue, self._queue = self._queue, None
            await queue.finish()

    def close(self) -> None:
        """Nothing outlives the event loop."""


def _chosen(options: Mapping[str, Any], name: str) -> Any:
    value = options.get(name)
    return _DEFAULTS[name][1] if value is None else value


find = openai.find
preview = openai.preview


def check(model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()) -> None:
    """Refuse what `load` would refuse without asking the endpoint.

    Raises:
        UserError: no address, a key that none can be, an unknown or unusable option or sampling parameter.
    """
    openai.check_packages("the openai-batch engine")
    check_names(options, ("base_url", *_DEFAULTS), "openai-batch")
    check_options(options, {name: kind for name, (kind, _) in _DEFAULTS.items()})
    open_endpoint(options)
    for sampling in samplings:
        check_sampling(sampling)


def load(
    model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
) -> OpenAIBatchEngine:
    """Check that the endpoint is there and serves the model; nothing is sent yet.

    Args:
        options: base_url (needed) and those of `_DEFAULTS`; OPENAI_API_KEY has the key.

    Raises:
        UserError: what `check` refuses, no endpoint there, a refused key, or a model it does not serve.
    """
    check(model, role, options, samplings)
    endpoint = open_endpoint(options)
    served = served_model(endpoint, model, _chosen(options, "wait_s"), told=options.get("wait_s") is not None)
    return OpenAIBatchEngine(model, endpoint, served, options)
