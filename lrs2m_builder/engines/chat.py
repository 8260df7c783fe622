"""A model's processor: its chat template, its token counts, and the image size it wants."""

from __future__ import annotations

from typing import Any

from PIL import Image

from lrs2m_builder.engines.base import DEFAULT_MAX_PIXELS, fit_pixels
from lrs2m_builder.engines.model_files import ModelFiles
from lrs2m_builder.errors import MissingExtraError, SampleError, UserError
from lrs2m_builder.schema import Request, Role


class Chat:
    """Turns requests into prompts the way the model was trained on them."""

    def __init__(self, model: ModelFiles, role: Role, max_pixels: int | None = None, extra: str = "vllm") -> None:
        """Load the processor.

        Args:
            max_pixels: bound on the pixels of an image; the model's own smaller bound stays in force.
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
            self.processor: Any = loader.from_pretrained(model.path, revision=revision)
        except (OSError, ValueError, KeyError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise UserError(f"--model {model.name}: no processor or tokenizer could be read: {first_line}") from error
        image_processor = getattr(self.processor, "image_processor", None)
        if role == "mllm" and image_processor is None:
            raise UserError(
                f"--model {model.name}: takes no images, and this step shows it one; choose a multimodal model"
            )
        if not getattr(self.processor, "chat_template", None):
            raise UserError(f"--model {model.name}: has no chat template; choose an instruction-tuned model")
        self._factor, self._min_pixels, self._max_pixels = _bounds(image_processor, max_pixels)

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
        text = self.prompt_text(request)
        inputs = self.processor(text=[text], images=[image]) if image is not None else self.processor(text=[text])
        return len(inputs["input_ids"][0])

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
