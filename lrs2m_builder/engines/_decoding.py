"""A model of transformers: loading it, and answering one batch at a time."""

from __future__ import annotations

import gc
import inspect
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import transformers
from PIL import Image
from safetensors import SafetensorError
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from lrs2m_builder.engines._answer_tokens import log_sum
from lrs2m_builder.engines._chat import Chat, reason
from lrs2m_builder.engines._model_files import ModelFiles
from lrs2m_builder.engines._parameters import Sampling
from lrs2m_builder.engines._sampling import RowEnds, RowSampler
from lrs2m_builder.engines._thoughts import continued
from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.exchange import AnswerScores, Completion, Request, Role


class Decoder:
    """A model and its processor; answers one batch at a time."""

    def __init__(self, model: Any, chat: Chat, max_length: int) -> None:
        self.max_length = max_length
        self._model, self._chat = model, chat
        self._tokenizer = chat.tokenizer
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        ends = model.generation_config.eos_token_id
        self._ends = {self._tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        # Sampling parameters come with the requests alone, as they do with vLLM.
        model.generation_config = GenerationConfig()
        self._accepted = inspect.signature(model.forward).parameters.keys()

    def answer(
        self, asked: Sequence[tuple[Request, Image.Image | None]], given_up: threading.Event
    ) -> list[Completion | AnswerScores | SampleError] | None:
        """Answer requests that share their sampling parameters and `answers`, all with an image or all without.

        Args:
            given_up: set when nobody waits for the answers any more; decoding then ends at the next token.

        Returns:
            One answer per request, in their order; None if they do not fit in memory together.
        """
        try:
            return self._answer(asked, given_up)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
        except SampleError as error:  # of one request
            return [error] if len(asked) == 1 else self._one_by_one(asked, given_up)
        _free_memory()  # only here, when the error is gone, and with it the tensors of its frames
        return None

    def free(self) -> None:
        """Let the model go."""
        self._model = None
        _free_memory()

    def _one_by_one(
        self, asked: Sequence[tuple[Request, Image.Image | None]], given_up: threading.Event
    ) -> list[Completion | AnswerScores | SampleError] | None:
        """The answers to requests of which one cannot be taken: nobody but that one must suffer from it."""
        answers: list[Completion | AnswerScores | SampleError] = []
        for pair in asked:
            answer = self.answer([pair], given_up)
            if answer is None:
                return None
            answers += answer
        return answers

    def _answer(
        self, asked: Sequence[tuple[Request, Image.Image | None]], given_up: threading.Event
    ) -> list[Completion | AnswerScores | SampleError]:
        inputs = self._inputs(asked)
        lengths: list[int] = inputs["attention_mask"].sum(1).tolist()
        fitting = [pair for pair, length in zip(asked, lengths, strict=True) if length < self.max_length]
        if len(fitting) < len(asked):
            answers = iter(self._answer(fitting, given_up) if fitting else ())
            return [self._too_long(n) if n >= self.max_length else next(answers) for n in lengths]
        if asked[0][0].answers:
            return list(self._scores(inputs, asked[0][0].answers, lengths))
        sampling = Sampling(**asked[0][0].sampling)
        num_steps = min(sampling.max_tokens or self.max_length, self.max_length)
        rooms = [min(num_steps, self.max_length - length) for length in lengths]
        prompt_length = inputs["input_ids"].shape[1]
        rooms_B = torch.tensor(rooms, device=self._model.device)
        ends = RowEnds(sampling.stop, rooms_B, prompt_length, self._tokenizer, given_up)
        sampler = RowSampler(sampling, [request.seed for request, _ in asked], inputs, num_steps)
        out = self._generate(inputs, max_new_tokens=max(rooms), sampler=sampler, ends=ends)
        rows = out.sequences[:, prompt_length:].tolist()
        return [
            continued(
                self._chat.prompt_text(asked[i][0]),
                self._completion(rows[i][: rooms[i]], ends.lengths.get(i), sampling.stop, lengths[i]),
            )
            for i in range(len(asked))
        ]

    def _scores(
        self, inputs: Mapping[str, Any], answers: tuple[str, ...], lengths: Sequence[int]
    ) -> Iterator[AnswerScores]:
        """Yield the probabilities of the answers, a row of the batch each."""
        sides = self._chat.answer_tokens(answers)
        out = self._generate(inputs, max_new_tokens=1)
        logits_BV: torch.Tensor = out.logits[0].float()  # as the model gives them, before any processor
        rows = logits_BV.log_softmax(-1)
        for row, length in zip(rows, lengths, strict=True):
            log_probs = tuple(log_sum(row[list(side)].tolist()) for side in sides)
            yield AnswerScores(log_probs, sides, num_prompt_tokens=length)

    def _generate(
        self,
        inputs: Mapping[str, Any],
        max_new_tokens: int,
        sampler: RowSampler | None = None,
        ends: RowEnds | None = None,
    ) -> Any:
        """What the model generates for a batch: `sequences` (B, T) with the prompts, `logits` of each step (B, V).

        Raises:
            SampleError: request_refused, the model cannot take one of the requests, such as an image of its shape.
        """
        try:
            return self._model.generate(
                **{name: value for name, value in inputs.items() if name in self._accepted},
                generation_config=GenerationConfig(
                    max_new_tokens=max_new_tokens,
                    do_sample=False,  # the sampler leaves one token to choose from
                    eos_token_id=sorted(self._ends),
                    pad_token_id=self._tokenizer.pad_token_id,
                    return_dict_in_generate=True,
                    output_logits=sampler is None,
                ),
                logits_processor=LogitsProcessorList([sampler] if sampler else []),
                stopping_criteria=StoppingCriteriaList([ends] if ends else []),
            )
        except (RuntimeError, ValueError, IndexError) as error:
            if _is_out_of_memory(error) or isinstance(error, torch.AcceleratorError):  # of all that follows too
                raise
            what = f"{type(error).__name__}: {one_line(error)}"
            raise SampleError("request_refused", f"the model fails: {what[:300]}") from error

    def _inputs(self, asked: Sequence[tuple[Request, Image.Image | None]]) -> dict[str, Any]:
        images = [image for _, image in asked if image is not None]
        inputs = self._chat.inputs([request for request, _ in asked], images, padding=True, return_tensors="pt")
        dtype = self._model.dtype
        return {
            name: value.to(self._model.device, dtype if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
        }

    def _too_long(self, num_prompt_tokens: int) -> SampleError:
        return SampleError("prompt_too_long", f"{num_prompt_tokens} tokens of at most {self.max_length - 1}")

    def _completion(
        self, ids: list[int], stopped_at: int | None, stop: Sequence[str], num_prompt_tokens: int
    ) -> Completion:
        """The answer of one row, without what follows its end."""
        ended_at = next((length for length, token in enumerate(ids, 1) if token in self._ends), None)
        ends = [length for length in (ended_at, stopped_at) if length is not None]
        ids = ids[: min(ends, default=len(ids))]
        text = self._chat.decode(ids)
        for string in stop:
            text = text.partition(string)[0]
        return Completion(text, "stop" if ends else "length", num_prompt_tokens, len(ids))


def load_network(files: ModelFiles, role: Role, options: Mapping[str, Any]) -> Any:
    """The model on its device, ready to answer.

    Raises:
        UserError: it could not be loaded, does not fit the role, or a wrong dtype or device.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if "OMP_NUM_THREADS" not in os.environ:
        # One core for the event loop and the image decoders, as vLLM leaves it: torch's threads wait for one another at
        # every step, and one that has lost its core to them made a small model 20 times slower.
        torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) - 1)))
    device, dtype = _device(options.get("device")), options.get("dtype")
    arguments: dict[str, Any] = {
        "dtype": dtype or ("float32" if device.type == "cpu" else "bfloat16"),
        "trust_remote_code": bool(options.get("trust_remote_code")),  # said, or it would ask at the terminal
        "revision": None if files.is_local else files.revision,
    }
    if options.get("attn_implementation"):
        arguments["attn_implementation"] = options["attn_implementation"]
    try:
        config = transformers.AutoConfig.from_pretrained(
            files.path, revision=arguments["revision"], trust_remote_code=arguments["trust_remote_code"]
        )
        takes_images = type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
        if role == "mllm" and not takes_images:
            raise UserError(
                f"--model {files.name}: transformers runs it without images, and this step shows it one; "
                "choose a multimodal model"
            )
        loader = transformers.AutoModelForImageTextToText if takes_images else transformers.AutoModelForCausalLM
        network, report = loader.from_pretrained(files.path, output_loading_info=True, **arguments)
        if missing := sorted(report["missing_keys"]):
            raise UserError(f"--model {files.name}: its files lack {len(missing)} weights, such as {missing[0]}")
        return network.to(device)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise UserError(f"--model {files.name}: transformers could not load it on {device}: {reason(error)}") from error


def _device(name: str | None) -> Any:
    """The device of that name; without one the accelerator that is there, or the CPU."""
    if name is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UserError(f"--engine-option device={name}: {str(error).splitlines()[0]}") from error


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether it is that: torch's class of it is only for GPUs, a CPU's allocator and MPS say it in words."""
    words = ("out of memory", "can't allocate memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in str(error) for word in words)


def _free_memory() -> None:
    """Give what no tensor holds any more back to the device."""
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
