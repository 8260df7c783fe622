"""A model's processor: its chat template, its token counts, and the image size it wants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from PIL import Image

from lrs2m_builder.engines._answer_tokens import answer_tokens, spellings
from lrs2m_builder.engines._base import DEFAULT_MAX_LENGTH, DEFAULT_MAX_PIXELS, TEXT_LENGTH, fit_pixels, well_known_mark
from lrs2m_builder.engines._model_files import ModelFiles
from lrs2m_builder.engines._templates import ChatTemplate, template_sources
from lrs2m_builder.engines._thoughts import TOKENS, opens_thought, with_closed_thought
from lrs2m_builder.errors import MissingExtraError, SampleError, UserError, one_line
from lrs2m_builder.exchange import Request, Role

# What stands for an image in the text of models whose chat template takes no parts.
_IMAGE_TEXTS = {"minicpmv": "(<image>./</image>)"}


class Chat:
    """Turns requests into prompts the way the model was trained on them."""

    def __init__(self, model: ModelFiles, role: Role, options: Mapping[str, Any], extra: str = "vllm") -> None:
        """Load the processor.

        Args:
            options: of the engine; of them max_pixels, a bound on the pixels of an image (the model's own smaller one
                stays in force), trust_remote_code, whether Python code that comes with the model may run, and
                chat_template_kwargs, what the chat template is given beside the messages.
            extra: what to install if transformers is missing.

        Raises:
            UserError: the model has no processor for images although the role needs one, or no chat template.
        """
        try:
            from transformers import AutoProcessor, AutoTokenizer
        except ImportError as error:
            raise MissingExtraError("reading a model's chat template", extra, error) from error
        try:
            loader = AutoProcessor if role == "mllm" else AutoTokenizer
            revision = None if model.is_local else model.revision
            # Said in any case, or transformers would ask at the terminal.
            trusted = bool(options.get("trust_remote_code"))
            self.processor: Any = loader.from_pretrained(model.path, revision=revision, trust_remote_code=trusted)
        except (OSError, ValueError, KeyError, ImportError, AttributeError, TypeError) as error:
            raise UserError(
                f"--model {model.name}: no processor or tokenizer could be read: {reason(error)}"
            ) from error
        image_processor = getattr(self.processor, "image_processor", None)
        if role == "mllm" and image_processor is None:
            raise UserError(f"--model {model.name}: {_no_images(model)}")
        self.tokenizer: Any = getattr(self.processor, "tokenizer", self.processor)
        kept = [getattr(holder, "chat_template", None) for holder in (self.processor, self.tokenizer)]
        sources = template_sources(*kept, read=model.file)
        if not sources:
            raise UserError(f"--model {model.name}: has no chat template; choose an instruction-tuned model")
        image_tokens = _texts(self.processor, ("image_token", "boi_token"))
        self._template = ChatTemplate(
            model.name,
            sources,
            self.tokenizer.apply_chat_template,
            options.get("chat_template_kwargs") or {},
            image_tokens=image_tokens if role == "mllm" else (),
            image_text=_IMAGE_TEXTS.get(str(model.config.get("model_type")), ""),
        )
        self._marks = _marks(self.processor, self.tokenizer)
        self._kept_ids = _thought_ids(self.tokenizer)
        self._has_images = role == "mllm"
        self._nests: bool | None = None
        self._answer_tokens: dict[tuple[str, ...], tuple[tuple[int, ...], ...]] = {}
        self._factor, self._min_pixels, self._max_pixels = _bounds(image_processor, options.get("max_pixels"))

    def check(self, request: Request) -> None:
        """Refuse a request whose words hold a token of the model's own: one for an image would stop the engine.

        Raises:
            SampleError: request_refused.
        """
        for part in request.parts:
            if token := next((token for token in self._marks if token in part), None) or well_known_mark(part):
                raise SampleError("request_refused", f"the prompt holds {token!r}, which this model reads as a mark")

    def prompt_text(self, request: Request) -> str:
        """The prompt with the chat template around it, ready for the answer; for `answers` without a thought before.

        Raises:
            UserError: the chat template cannot be used for such requests.
            SampleError: request_refused, it does something else to the words of this one.
        """
        try:
            text = self._template.text(request.role, request.parts, request.system)
        except UserError:
            raise
        except Exception as error:
            # The template is the model's, and may fail in any way that Python can.
            raise SampleError("request_refused", f"the chat template fails: {one_line(error)}") from error
        if problem := self._template.problem(text, request.role, request.parts, request.system):
            raise SampleError("request_refused", f"the chat template cannot show this prompt: {problem}")
        return with_closed_thought(text) if request.answers else text

    def answer_tokens(self, answers: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        """The tokens with which the model begins each of these answers.

        Raises:
            UserError: they cannot be told apart by these.
        """
        if answers not in self._answer_tokens:
            ids = {text: self.tokenizer.encode(text, add_special_tokens=False) for text in spellings(answers)}
            texts = {token: str(self.tokenizer.decode([token])) for tokens in ids.values() for token in tokens}
            self._answer_tokens[answers] = answer_tokens(answers, ids, texts)
        return self._answer_tokens[answers]

    def prove(self, request: Request) -> list[str]:
        """Render a request as the engine will and look whether all is there; what the user should know of it.

        Raises:
            UserError: the prompt would not be what the request says.
        """
        try:
            self.check(request)
            text = self.prompt_text(request)
        except SampleError:
            # This sample's words alone: an empty one shows whether the template can be used at all.
            text = self.prompt_text(replace(request, parts=("Describe it.",) * len(request.parts)))
        if mark := opens_thought(text):
            return [
                f"the chat template opens a thought ({mark}) before the answer: it is taken off, but max_tokens "
                f"({request.sampling.get('max_tokens', 'the default')}) must hold it too; give --sampling "
                "max_tokens=4000, or a model or --engine-option chat_template_kwargs={...} that does not think"
            ]
        return []

    def num_prompt_tokens(self, request: Request, image: Image.Image | None) -> int | None:
        """Tokens of the prompt, those of the image included; None if the processor is called otherwise."""
        try:
            return len(self.inputs([request], [image] if image is not None else [])["input_ids"][0])
        except SampleError:
            return None

    def inputs(self, requests: Sequence[Request], images: Sequence[Image.Image], **how: Any) -> Any:
        """What the model reads; `how` is for the processor. The chat template has set the special tokens already.

        Raises:
            SampleError: request_refused, the processor fails on one of the requests.
        """
        texts = [self.prompt_text(request) for request in requests]
        try:
            if not images:
                return self.processor(text=texts, add_special_tokens=False, **how)
            return self._with_images(texts, images, how)
        except Exception as error:
            # Processors are many, some the model's own code, and they fail in any way: StopIteration is one of them.
            what = f"{type(error).__name__}: {one_line(error)}"
            raise SampleError("request_refused", f"the model's processor fails: {what[:300]}") from error

    def _with_images(self, texts: list[str], images: Sequence[Image.Image], how: dict[str, Any]) -> Any:
        """Most processors take a list of images per text (Gemma and Idefics nothing else), a few one list for all."""
        if self._nests is not False:
            try:
                inputs = self.processor(
                    text=texts, images=[[image] for image in images], add_special_tokens=False, **how
                )
            except Exception:
                if self._nests:
                    raise
            else:
                self._nests = True
                return inputs
        inputs = self.processor(text=texts, images=list(images), add_special_tokens=False, **how)
        self._nests = False
        return inputs

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer, without special tokens but for those that end a thought."""
        if self._kept_ids.isdisjoint(ids):
            return str(self.tokenizer.decode(ids, skip_special_tokens=True))
        runs = groupby(ids, key=self._kept_ids.__contains__)
        return "".join(self.tokenizer.decode(list(run), skip_special_tokens=not kept) for kept, run in runs)

    def default_length(self) -> int:
        """Tokens for a prompt with the largest image and its answer; some models cut an image in many tiles."""
        if not self._has_images:
            return DEFAULT_MAX_LENGTH
        side = math.isqrt(self._max_pixels)
        image = Image.new("RGB", self.image_size(side, side))
        request = Request("", 0, 1, "mllm", ("", ""), 0, {})
        # None of a processor that is called otherwise; vLLM has a way of its own for it.
        return max(DEFAULT_MAX_LENGTH, (self.num_prompt_tokens(request, image) or 0) + TEXT_LENGTH)

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        """The size the model's processor would choose, so that it need not resize again.

        Qwen models: qwen-vl-utils' smart_resize. Others: within the pixel bound, aspect ratio kept.

        Raises:
            SampleError: the image is more than 200 times as long as it is wide.
        """
        if not self._factor:
            return fit_pixels(width, height, self._max_pixels)
        from qwen_vl_utils.vision_process import smart_resize

        try:
            new_height, new_width = smart_resize(
                height, width, self._factor, min_pixels=self._min_pixels, max_pixels=self._max_pixels
            )
        except ValueError as error:
            raise SampleError("image_aspect_ratio", f"{width} x {height} pixels: {error}") from error
        # Of a strip the shorter side may come to less than one of the model's patches.
        return max(self._factor, new_width), max(self._factor, new_height)


def _bounds(image_processor: Any, max_pixels: int | None) -> tuple[int, int, int]:
    """(factor, min_pixels, max_pixels); factor 0 if the processor is not of the Qwen kind."""
    wanted = max_pixels or DEFAULT_MAX_PIXELS
    patch, merge = getattr(image_processor, "patch_size", None), getattr(image_processor, "merge_size", None)
    size = getattr(image_processor, "size", None)
    smallest, largest = (_edge(size, name) for name in ("shortest_edge", "longest_edge"))
    # Qwen processors state both edges in pixels of area; others give lengths of sides.
    if not isinstance(patch, int) or not isinstance(merge, int) or not smallest or not largest:
        return 0, 0, wanted
    factor = patch * merge
    return factor, smallest, max(smallest, factor * factor, min(wanted, largest))


def _edge(size: Any, name: str) -> int:
    value = size.get(name) if hasattr(size, "get") else getattr(size, name, None)
    return int(value) if value else 0


def _no_images(model: ModelFiles) -> str:
    """Why a model whose processor takes no images cannot be used."""
    if "vision_config" in model.config or "auto_map" in model.config:
        return (
            "comes without a processor of transformers that takes images; take its version for transformers (often "
            "named ...-hf), or serve it (vllm serve) and give --engine openai"
        )
    return "takes no images, and this step shows it one; choose a multimodal model"


def _texts(holder: Any, names: Sequence[str]) -> list[str]:
    found = (getattr(holder, name, None) for name in names)
    return list(dict.fromkeys(str(text) for text in found if text))


def _marks(processor: Any, tokenizer: Any) -> list[str]:
    """Texts that a tokenizer or processor takes for more than words: special tokens, and those for images.

    Tokens may be added without being listed as special; of these only what looks like a mark is one: others are runs
    of blanks, or tags of HTML.
    """
    names = [name for holder in (processor, tokenizer) for name in vars(holder) if name.endswith("_token")]
    marks = [text for holder in (processor, tokenizer) for text in _texts(holder, names)]
    marks += [str(token) for token in tokenizer.all_special_tokens]
    added = getattr(tokenizer, "added_tokens_decoder", {})
    marks += [token.content for token in added.values() if token.special or well_known_mark(token.content)]
    return [mark for mark in dict.fromkeys(marks) if mark.strip()]


def _thought_ids(tokenizer: Any) -> set[int]:
    """Special tokens that begin or end a thought."""
    pairs = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
    return {number for token, number in pairs if TOKENS.fullmatch(str(token))}


def reason(error: Exception) -> str:
    """What transformers says to a model that it cannot load, in one line, and what the user can do."""
    text = str(error).strip() or type(error).__name__
    if "trust_remote_code" in text:
        return (
            "it comes with Python code of its own, which would have to run; "
            "read that, and give --engine-option trust_remote_code=true if you trust it"
        )
    return text.splitlines()[0]
