"""Turns an image into the input tensor of a CLIP image tower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torchvision.transforms import v2

from lrs2m_builder.errors import UserError

Transform = Callable[[Image.Image], torch.Tensor]
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


def make_transform(preprocess: Preprocess) -> Transform:
    """PIL image of any mode -> float tensor 3 x side x side: bicubic on the shorter side, centre crop, normalised.

    The same steps as OpenAI's, Long-CLIP's and open_clip's; conversion to RGB comes first, because palette images must
    not be resized by colour number. It can be pickled, for the workers of a DataLoader.
    """
    transform: Transform = v2.Compose(
        [
            v2.RGB(),
            v2.Resize(
                [preprocess.image_size] * (2 if preprocess.squash else 1), interpolation=v2.InterpolationMode.BICUBIC
            ),
            v2.CenterCrop(preprocess.image_size),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(preprocess.mean, preprocess.std),
        ]
    )
    return transform


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
