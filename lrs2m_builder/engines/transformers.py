"""transformers in this process, for machines on which vLLM does not run: slower, in batches, on any device of torch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from PIL import Image

from lrs2m_builder.engines._base import Brake, EngineStoppedError
from lrs2m_builder.engines._chat import Chat
from lrs2m_builder.engines._model_files import ModelFiles, find_model
from lrs2m_builder.engines._options import check_names, check_options
from lrs2m_builder.engines._parameters import check_sampling
from lrs2m_builder.errors import MissingExtraError, SampleError, UserError
from lrs2m_builder.exchange import AnswerScores, Completion, Request, Role

if TYPE_CHECKING:
    from lrs2m_builder.engines._decoding import Decoder

EXTRA = "transformers"
DEFAULT_BATCH_SIZE = 32  # halved when the memory does not do
DTYPES = ("auto", "bfloat16", "float16", "float32")
PAUSE_S = 0.05  # a batch that is not full starts when no request came for so long
# Options that change the speed but not what is asked: a build may be resumed with others.
FOLLOWS_SCHEMAS = False
PERFORMANCE_OPTIONS = {"batch_size", "max_in_flight", "device", "attn_implementation"}
_KINDS = {
    **dict.fromkeys(("batch_size", "max_in_flight", "max_model_len", "max_pixels"), "positive"),
    **dict.fromkeys(("attn_implementation", "device", "dtype", "revision"), "text"),
    "trust_remote_code": "switch",
    "chat_template_kwargs": "mapping",
}


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request whose answer is awaited."""

    request: Request
    image: Image.Image | None
    answer: asyncio.Future[Any]

    def may_join(self, other: _Waiting) -> bool:
        """Whether both fit in one batch."""
        same_kind = (self.image is None) == (other.image is None)
        one, two = self.request, other.request
        return same_kind and one.sampling == two.sampling and one.answers == two.answers


class TransformersEngine:
    """A model in memory; what is asked at the same time is answered in batches by one thread."""

    name = "transformers"

    def __init__(self, model: ModelFiles, chat: Chat, decoder: Decoder, batch_size: int, max_in_flight: int) -> None:
        self.model = model.name
        self.revision = model.revision
        self.max_in_flight = max_in_flight
        self.batch_size = batch_size
        self.image_size = chat.image_size
        self._check = chat.check
        self._brake = Brake(model.name)
        self._decoder = decoder
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="transformers")
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._given_up = threading.Event()
        self._serving: asyncio.Task[None] | None = None

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        """Answer one request (see `Engine.generate`)."""
        completion: Completion = await self._answered(request, image)
        return completion

    async def score(self, request: Request, image: Image.Image | None) -> AnswerScores:
        """The probabilities of its answers (see `Engine.score`)."""
        scores: AnswerScores = await self._answered(request, image)
        return scores

    async def _answered(self, request: Request, image: Image.Image | None) -> Any:
        self._check(request)
        if self._serving is None:
            self._arrived, self._given_up = asyncio.Event(), threading.Event()
            self._serving = asyncio.create_task(self._serve())
        if self._serving.done():
            await self._serving  # raises why it ended
        waiting = _Waiting(request, image, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def _serve(self) -> None:
        """Answer batch after batch; a failure is told to all that wait and ends the engine."""
        batch: list[_Waiting] = []
        loop = asyncio.get_running_loop()
        try:
            while True:
                batch = await self._collect()
                asked = [(waiting.request, waiting.image) for waiting in batch]
                answers = await loop.run_in_executor(self._worker, self._decoder.answer, asked, self._given_up)
                if answers is None:
                    self._shrink(len(batch))
                    self._waiting[:0] = batch
                    continue
                if any(not isinstance(answer, SampleError) for answer in answers):
                    self._brake.release()
                for waiting, answer in zip(batch, answers, strict=True):
                    _tell(waiting, self._brake.failed(answer) if _is_refusal(answer) else answer)
        except BaseException as error:
            for waiting in (*batch, *self._waiting):
                _tell(waiting, error)
            self._waiting.clear()
            raise

    async def _collect(self) -> list[_Waiting]:
        """Take the next batch: what waits longest, and what may join it."""
        while len(batch := self._next_batch()) < self.batch_size:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), PAUSE_S if batch else None)
            except TimeoutError:
                if batch := self._next_batch():
                    break
        self._waiting = [waiting for waiting in self._waiting if waiting not in batch]
        return batch

    def _next_batch(self) -> list[_Waiting]:
        self._waiting = [waiting for waiting in self._waiting if not waiting.answer.done()]  # some were cancelled
        return [waiting for waiting in self._waiting if waiting.may_join(self._waiting[0])][: self.batch_size]

    def _shrink(self, failed: int) -> None:
        if failed == 1:
            raise EngineStoppedError(
                "one request alone does not fit in memory beside the model: take a smaller --engine-option max_pixels, "
                "max_model_len or dtype, or a smaller --model; what was answered is kept"
            )
        self.batch_size = failed // 2
        logging.getLogger(__name__).warning(
            "%d requests at once do not fit in memory: going on with %d", failed, self.batch_size
        )

    def stop_waiting(self) -> None:
        """No request waits here: all that were sent are answered together."""

    async def finish(self) -> None:
        """Give up what is still asked, and the event loop."""
        self._given_up.set()
        if self._serving is not None:
            serving, self._serving = self._serving, None
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # it was told to those who asked
                await serving

    def close(self) -> None:
        """Free the model; the thread ends by itself, at the next token if a batch was given up."""
        self._given_up.set()
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._decoder.free()


def find(model: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """The model's name and revision, for the provenance of a build, without loading it."""
    files = find_model(model, options.get("revision"), EXTRA)
    return files.name, files.revision


def preview(model: str, role: Role, options: Mapping[str, Any]) -> Chat:
    """The model's chat template and image size, without loading the model."""
    return Chat(find_model(model, options.get("revision"), EXTRA), role, options, EXTRA)


def check(model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()) -> None:
    """Refuse unknown and unusable options and sampling parameters; nothing is loaded (see `EngineModule.check`)."""
    check_names(options, _KINDS, "transformers")
    check_options(options, _KINDS)
    if options.get("dtype") is not None and options["dtype"] not in DTYPES:
        raise UserError(f"--engine-option dtype={options['dtype']}: one of {', '.join(DTYPES)}")
    for sampling in samplings:
        check_sampling(sampling)


def load(
    model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()
) -> TransformersEngine:
    """Load a model.

    Args:
        options: batch_size, max_in_flight, device, dtype, attn_implementation, max_model_len, max_pixels, revision,
            trust_remote_code, chat_template_kwargs.
        samplings: sampling parameters that requests will have, checked before the model is loaded.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        UserError: the model is not there, does not fit the role or could not be loaded; an unknown or unusable option.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from lrs2m_builder.engines._decoding import Decoder, load_network
    except ImportError as error:
        raise MissingExtraError("the transformers engine", EXTRA, error) from error
    check(model, role, options, samplings)
    files = find_model(model, options.get("revision"), EXTRA)
    chat = Chat(files, role, options, EXTRA)
    network = load_network(files, role, options)
    longest = options.get("max_model_len") or chat.default_length()
    longest = min(math.ceil(longest), files.max_length or math.ceil(longest))
    batch_size = math.ceil(options.get("batch_size") or DEFAULT_BATCH_SIZE)
    # One batch gathers while another is answered.
    max_in_flight = math.ceil(options.get("max_in_flight") or 2 * batch_size)
    return TransformersEngine(files, chat, Decoder(network, chat, longest), batch_size, max_in_flight)


def _is_refusal(answer: Completion | AnswerScores | SampleError) -> TypeGuard[SampleError]:
    """Whether the processor could not take a request; one that is too long for the model is no fault of the model."""
    return isinstance(answer, SampleError) and answer.reason == "request_refused"


def _tell(waiting: _Waiting, outcome: Completion | AnswerScores | BaseException) -> None:
    """Hand an outcome to whoever waits for it."""
    if waiting.answer.done():
        return
    if isinstance(outcome, asyncio.CancelledError):
        waiting.answer.cancel()
    elif isinstance(outcome, StopIteration):  # which a future cannot hold
        waiting.answer.set_exception(RuntimeError("StopIteration"))
    elif isinstance(outcome, BaseException):
        waiting.answer.set_exception(outcome)
    else:
        waiting.answer.set_result(outcome)
