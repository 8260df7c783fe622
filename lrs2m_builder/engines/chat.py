"""A model's processor: its chat template, its token counts, and the image size it wants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from lrs2m_builder.engines.base import DEFAULT_MAX_LENGTH, DEFAULT_MAX_PIXELS, TEXT_LENGTH, fit_pixels
from lrs2m_builder.engines.model_files import ModelFiles
from lrs2m_builder.errors import MissingExtraError, SampleError, UserError
from lrs2m_builder.schema import Request, Role


class Chat:
    """Turns requests into prompts the way the model was trained on them."""

    def __init__(self, model: ModelFiles, role: Role, options: Mapping[str, Any], extra: str = "vllm") -> None:
        """Load the processor.

        Args:
            options: of the engine; of them max_pixels, a bound on the pixels of an image (the model's own smaller one
                stays in force), and trust_remote_code, whether Python code that comes with the model may run.
            extra: what to install where transformers is missing.

        Raises:
            UserError: the model has no processor for images where the role needs one, or no chat template.
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
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"--model {model.name}: no processor or tokenizer could be read: {reason(error)}"
            ) from error
        image_processor = getattr(self.processor, "image_processor", None)
        if role == "mllm" and image_processor is None:
            raise UserError(
                f"--model {model.name}: takes no images, and this step shows it one; choose a multimodal model"
            )
        if not getattr(self.processor, "chat_template", None):
            raise UserError(f"--model {model.name}: has no chat template; choose an instruction-tuned model")
        tokenizer = getattr(self.processor, "tokenizer", self.processor)
        self._special_tokens = [str(token) for token in tokenizer.all_special_tokens]
        self._has_images = role == "mllm"
        self._factor, self._min_pixels, self._max_pixels = _bounds(image_processor, options.get("max_pixels"))

    def check(self, request: Request) -> None:
        """Refuse a request whose words hold a token of the model's own: one for an image would stop the engine.

        Raises:
            SampleError: request_refused.
        """
        for token in self._special_tokens:
            if any(token in part for part in request.parts):
                raise SampleError("request_refused", f"the prompt holds {token!r}, which this model reads as a mark")

    def prompt_text(self, request: Request) -> str:
        """The prompt with the chat template around it, ready for the answer."""
        content: Any = request.parts[0]
        if request.role == "mllm":
            before, after = request.parts
            content = [{"type": "text", "text": before}, {"type": "image"}, {"type": "text", "text": after}]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return str(text)

    def num_prompt_tokens(self, request: Request, image: Image.Image | None) -> int:
        """Tokens of the prompt, those of the image included."""
        return len(self.inputs([request], [image] if image is not None else [])["input_ids"][0])

    def inputs(self, requests: Sequence[Request], images: Sequence[Image.Image], **how: Any) -> Any:
        """What the model reads; `how` is for the processor. The chat template has set the special tokens already."""
        texts = [self.prompt_text(request) for request in requests]
        how |= {"images": list(images)} if images else {}
        return self.processor(text=texts, add_special_tokens=False, **how)

    def default_length(self) -> int:
        """Tokens for a prompt with the largest image and its answer; some models cut an image in many tiles."""
        if not self._has_images:
            return DEFAULT_MAX_LENGTH
        side = math.isqrt(self._max_pixels)
        image = Image.new("RGB", self.image_size(side, side))
        request = Request("", 0, 1, "mllm", ("", ""), 0, {})
        try:
            length = self.num_prompt_tokens(request, image)
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
            return DEFAULT_MAX_LENGTH  # a processor that is called otherwise; vLLM has a way of its own for it
        return max(DEFAULT_MAX_LENGTH, length + TEXT_LENGTH)

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
        return new_width, new_height


def _bounds(image_processor: Any, max_pixels: int | None) -> tuple[int, int, int]:
    """(factor, min_pixels, max_pixels); factor 0 where the processor is not of the Qwen kind."""
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


def reason(error: Exception) -> str:
    """What transformers says to a model that it cannot load, in one line, and what the user can do."""
    text = str(error).strip() or type(error).__name__
    if "trust_remote_code" in text:
        return (
            "it comes with Python code of its own, which would have to run; "
            "read that, and give --engine-option trust_remote_code=true if you trust it"
        )
    return text.splitlines()[0]
