"""vLLM in this process: continuously fed, many requests in flight. Every vLLM import of the project is here."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image

from lrs2m_builder.engines._answer_tokens import log_sum
from lrs2m_builder.engines._base import Brake, EngineDiedError
from lrs2m_builder.engines._chat import Chat
from lrs2m_builder.engines._model_files import ModelFiles, find_model
from lrs2m_builder.engines._options import check_options
from lrs2m_builder.engines._parameters import check_vllm
from lrs2m_builder.engines._reaper import Reaper
from lrs2m_builder.engines._thoughts import continued
from lrs2m_builder.engines._vllm_processes import EngineLog, children_apart
from lrs2m_builder.errors import MissingExtraError, SampleError, UserError, one_line
from lrs2m_builder.exchange import AnswerScores, Completion, Request, Role
from lrs2m_builder.terminal import duration, say

CLOCK_S = 15.0  # between two lines while vLLM starts

# Options of ours beside those of vLLM's AsyncEngineArgs, with their kinds.
_OWN_OPTIONS = {
    "chat_template_kwargs": "mapping",
    "max_pixels": "positive",
    "max_in_flight": "positive",
    "revision": "text",
    "cpu_block_size": "positive",
}
# Options that change the speed but not what is asked: a build may be resumed with others.
PERFORMANCE_OPTIONS = {
    "max_in_flight",
    "max_num_seqs",
    "max_num_batched_tokens",
    "gpu_memory_utilization",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "enforce_eager",
    "enable_prefix_caching",
    "mm_processor_cache_gb",
    "kv_cache_memory_bytes",
    "block_size",
    "cpu_block_size",
}


FOLLOWS_SCHEMAS = True


class VLLMEngine:
    """A running vLLM engine."""

    name = "vllm"

    def __init__(
        self, model: ModelFiles, chat: Chat, core: Any, reaper: Reaper, log: EngineLog, max_in_flight: int
    ) -> None:
        from vllm import SamplingParams
        from vllm.exceptions import VLLMValidationError
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        self.model = model.name
        self.revision = model.revision
        self.max_in_flight = max_in_flight
        self.image_size = chat.image_size
        self._chat = chat
        self._brake = Brake(model.name)
        self._core: Any = core
        self._reaper, self._log = reaper, log
        self._max_length = core.model_config.max_model_len
        # The chat template has set the special tokens; a tokenizer that sets them too would double the first.
        self._tokenizing = core.renderer.default_chat_tok_params.with_kwargs(add_special_tokens=False)
        self._sampling_params = SamplingParams
        self._structured_outputs = StructuredOutputsParams
        self._final_only = RequestOutputKind.FINAL_ONLY
        self._refused = VLLMValidationError
        self._dead = (EngineDeadError, EngineGenerateError)

    async def generate(self, request: Request, image: Image.Image | None) -> Completion:
        """Answer one request (see `Engine.generate`)."""
        text = self._prompt_text(request)
        has_stop = "stop" in request.sampling  # vLLM finds stop strings in the text
        how = {**request.sampling, "seed": request.seed, "detokenize": has_stop}
        if request.schema is not None:
            how["structured_outputs"] = self._structured_outputs(json=dict(request.schema))
        result = await self._result(text, image, request, **how)
        output = result.outputs[0]
        completion = Completion(
            text=output.text if has_stop else self._chat.decode(output.token_ids),
            finish_reason=output.finish_reason or "stop",
            num_prompt_tokens=len(result.prompt_token_ids),
            num_tokens=len(output.token_ids),
        )
        return continued(text, completion)

    async def score(self, request: Request, image: Image.Image | None) -> AnswerScores:
        """The probabilities of its answers (see `Engine.score`).

        What is asked for by token is exact whatever its rank. Under a grammar or among allowed tokens it would be a
        share of these alone. In a step beside captions those would lose their own `logprobs`.
        """
        sides = self._chat.answer_tokens(request.answers)
        wanted = sorted({token for side in sides for token in side})
        how = {"max_tokens": 1, "temperature": 0, "logprob_token_ids": wanted, "detokenize": False}
        result = await self._result(self._prompt_text(request), image, request, **how)
        found = result.outputs[0].logprobs[0]
        return AnswerScores(
            log_probs=tuple(log_sum(found[token].logprob for token in side) for side in sides),
            tokens=sides,
            num_prompt_tokens=len(result.prompt_token_ids),
            num_cached_tokens=result.num_cached_tokens,
        )

    def _prompt_text(self, request: Request) -> str:
        self._chat.check(request)
        return self._chat.prompt_text(request)

    async def _result(self, text: str, image: Image.Image | None, request: Request, **sampling: Any) -> Any:
        """What vLLM makes of a prompt, all at once at its end."""
        try:
            inputs = await self._inputs(text, image)
            num_prompt_tokens = len(inputs["prompt_token_ids"])
            if num_prompt_tokens >= self._max_length:
                raise SampleError("prompt_too_long", f"{num_prompt_tokens} tokens of at most {self._max_length - 1}")
            # One output at the end, decoded once, instead of one a token: the event loop has other things to do.
            params = self._sampling_params(**sampling, output_kind=self._final_only)
            result: Any = None
            async for output in self._core.generate(inputs, params, request_id=request.request_id):
                result = output
        except self._refused as error:
            too_long = getattr(error, "parameter", None) in {"input_tokens", "input_text"}
            refusal = SampleError("prompt_too_long" if too_long else "request_refused", one_line(error))
            raise (refusal if too_long else self._brake.failed(refusal)) from error
        except self._dead as error:
            raise EngineDiedError(
                f"the vllm engine stopped: {self._log.reason()}; what it answered is kept, the same command goes on"
            ) from error
        self._brake.release()
        return result

    async def _inputs(self, text: str, image: Image.Image | None) -> Any:
        """What vLLM's renderer makes of a prompt: the work of the model's processor.

        Raises:
            SampleError: it fails on this request.
            EngineStoppedError: it fails on whatever it is asked.
        """
        prompt = {"prompt": text} if image is None else {"prompt": text, "multi_modal_data": {"image": image}}
        try:
            (inputs,) = await self._core.renderer.render_cmpl_async([prompt], self._tokenizing)
        except (self._refused, *self._dead):
            raise
        except Exception as error:
            # Processors are many, some the model's own code, and they fail in any way.
            what = f"the model's processor fails: {type(error).__name__}: {one_line(error)[:300]}"
            raise self._brake.failed(SampleError("request_refused", what)) from error
        return inputs

    def stop_waiting(self) -> None:
        """No request waits here: all that were sent are answered together."""

    async def finish(self) -> None:
        """Nothing of ours is bound to the event loop."""

    def close(self) -> None:
        """Shut the engine's processes down."""
        if self._core is not None:
            core, self._core = self._core, None
            core.shutdown()
            self._reaper.stop()
            self._log.remove()
            gc.unfreeze()  # what is frozen when Python ends is reported as leaked by some packages


def find(model: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """The model's name and revision, for the provenance of a build, without loading it."""
    files = find_model(model, options.get("revision"))
    return files.name, files.revision


def preview(model: str, role: Role, options: Mapping[str, Any]) -> Chat:
    """The model's chat template and image size, without starting the engine."""
    return Chat(find_model(model, options.get("revision")), role, options)


def check(model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()) -> None:
    """Refuse unknown and unusable options and sampling parameters; nothing is loaded (see `EngineModule.check`)."""
    check_options(options, _OWN_OPTIONS)
    check_vllm(options, samplings, _OWN_OPTIONS)


def load(model: str, role: Role, options: Mapping[str, Any], samplings: Sequence[Mapping[str, Any]] = ()) -> VLLMEngine:
    """Start vLLM on a model.

    Args:
        options: keyword arguments of vLLM's AsyncEngineArgs, and _OWN_OPTIONS (cpu_block_size: on a CPU alone).
        samplings: sampling parameters that requests will have, tried before the engine starts.

    Raises:
        MissingExtraError: vLLM is not installed.
        UserError: the model is not there or does not fit the role, an unknown option, or vLLM could not start.
    """
    check(model, role, options, samplings)
    files = find_model(model, options.get("revision"))
    chat = Chat(files, role, options)
    log = EngineLog()  # the build has its own progress
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")  # forked, they would share our group
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from vllm import AsyncEngineArgs, SamplingParams
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise MissingExtraError("the vllm engine", "vllm", error) from error
    arguments = _engine_arguments(files, role, options, chat.default_length(), on_cpu=current_platform.is_cpu())
    for sampling in samplings:
        try:
            SamplingParams(**sampling)
        except (TypeError, ValueError) as error:
            raise UserError(f"--sampling: vllm refuses {dict(sampling)}: {' '.join(str(error).split())}") from error
    reaper = Reaper()
    try:
        with _clock(f"vllm on {files.name}"), children_apart(log):
            core = AsyncLLM.from_engine_args(AsyncEngineArgs(model=files.path, **arguments))
    except (RuntimeError, ValueError, OSError, TypeError) as error:
        reaper.stop(kill=True)
        raise UserError(f"vllm could not start on --model {model}: {log.reason(error)}") from error
    except BaseException:
        reaper.stop(kill=True)
        log.remove()
        raise
    if role == "mllm" and not core.model_config.is_multimodal_model:
        core.shutdown()
        reaper.stop()
        log.remove()
        raise UserError(f"--model {model}: vllm runs it without images, and this step shows it one")
    # What the imports left behind is never garbage; a collection that does not look at it is a hundred times shorter.
    gc.collect()
    gc.freeze()
    max_in_flight = options.get("max_in_flight") or 2 * core.vllm_config.scheduler_config.max_num_seqs
    return VLLMEngine(files, chat, core, reaper, log, max_in_flight)


def _engine_arguments(
    files: ModelFiles, role: Role, options: Mapping[str, Any], default_length: int, *, on_cpu: bool
) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "max_model_len": min(default_length, files.max_length or default_length),
        "enable_log_requests": False,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if role == "mllm":
        arguments["limit_mm_per_prompt"] = {"image": 1, "video": 0}
    if not files.is_local:
        arguments["revision"] = files.revision
    if on_cpu:
        # Compiling takes minutes and gains little on a CPU. A prompt is not split over engine steps: vLLM would rewind
        # the random generator of a seeded request, which CPU generators cannot do (it ends the engine).
        length = options.get("max_model_len") or arguments["max_model_len"]
        arguments |= {"dtype": "bfloat16", "enforce_eager": True, "max_num_seqs": 64}
        arguments |= {"enable_chunked_prefill": False, "max_num_batched_tokens": max(8192, length)}
        if size := options.get("cpu_block_size"):
            arguments["block_size"] = int(size)
    else:
        arguments |= {"max_num_seqs": 256, "max_num_batched_tokens": 16384}
    return arguments | {key: value for key, value in options.items() if key not in _OWN_OPTIONS}


@contextmanager
def _clock(what: str) -> Iterator[None]:
    """Say now and then how long a start has taken: minutes for a large model, in which vLLM itself is kept quiet."""
    began, is_over = time.monotonic(), threading.Event()

    def tick() -> None:
        while not is_over.wait(CLOCK_S):
            say(f"{what}: starting for {duration(time.monotonic() - began)} (weights, memory profile, warm-up)")

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    say(f"{what}: started in {duration(time.monotonic() - began)}")
