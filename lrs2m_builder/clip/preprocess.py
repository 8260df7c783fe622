"""Turns an image into the input tensor of a CLIP image tower: pixels on the CPU, normalised where the model is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from lrs2m_builder.errors import UserError

Transform = Callable[[Image.Image], Tensor]
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_BICUBIC = {None, "bicubic", int(Image.Resampling.BICUBIC)}


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Side of the square input in pixels, and the mean and standard deviation per channel in 0 .. 1.

    Attributes:
        squash: an image is resized to the square whatever its shape, as SigLIP does, and nothing is cropped.
    """

    image_size: int
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    squash: bool = False


@dataclass(frozen=True, slots=True)
class ToPixels:
    """PIL image of any mode -> uint8 tensor 3 x side x side: bicubic on the shorter side, centre crop; or squashed.

    The same pixels as OpenAI's, Long-CLIP's and open_clip's transforms; conversion to RGB comes first, because palette
    images must not be resized by colour number. The memory is laid out as height x width x channel, as decoders write
    it. Training takes these pixels as they are: a quarter of the bytes of floats to copy from workers and to the GPU.
    """

    image_size: int
    squash: bool = False

    def __call__(self, image: Image.Image) -> Tensor:
        side, (width, height) = self.image_size, image.size
        shorter = min(width, height)
        wide, high = int(side * width / shorter), int(side * height / shorter)
        width, height = (side, side) if self.squash else (wide, high)
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        if (width, height) != (side, side):
            left, top = round((width - side) / 2), round((height - side) / 2)
            resized = resized.crop((left, top, left + side, top + side))
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


class Normalise(nn.Module):  # type: ignore[misc]
    """uint8 pixels [..., 3, H, W] -> float32, by mean and standard deviation, on the pixels' device.

    Floats are taken for normalised and returned unchanged.
    """

    def __init__(self, mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD) -> None:
        super().__init__()
        self.register_buffer("mean_C11", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std_C11", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.is_floating_point():
            return pixels
        return pixels.float().mul_(1 / 255).sub_(self.mean_C11).div_(self.std_C11)


@dataclass(frozen=True, slots=True)
class _ToInput:
    """`ToPixels`, then `Normalise`."""

    pixels: ToPixels
    normalise: Normalise

    def __call__(self, image: Image.Image) -> Tensor:
        return self.normalise(self.pixels(image)).contiguous()


def make_transform(preprocess: Preprocess) -> Transform:
    """PIL image of any mode -> float tensor 3 x side x side, normalised; can be pickled."""
    return _ToInput(ToPixels(preprocess.image_size, preprocess.squash), Normalise(preprocess.mean, preprocess.std))


def read_preprocess(raw: dict[str, Any], image_size: int, where: str) -> Preprocess:
    """Mean and standard deviation from an open_clip `preprocess_cfg` or a transformers `preprocessor_config.json`.

    Raises:
        UserError: the model expects another resizing.
    """
    interpolation = raw.get("interpolation", raw.get("resample"))
    size = raw.get("size")
    other = isinstance(size, dict) and "shortest_edge" not in size
    if interpolation not in _BICUBIC or raw.get("resize_mode") not in {None, "shortest", "squash"} or other:
        raise UserError(
            f"{where}: only bicubic resizing, by the shorter side or to a square, is supported, and the model expects "
            "another"
        )
    mean = tuple(raw.get("mean") or raw.get("image_mean") or CLIP_MEAN)
    std = tuple(raw.get("std") or raw.get("image_std") or CLIP_STD)
    return Preprocess(image_size, mean, std, squash=raw.get("resize_mode") == "squash")
