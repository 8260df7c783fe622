"""Augmentations of a pair while training: sentences dropped and shuffled, images cropped, turned and tinted.

Every augmentation is determined by its key, so a resumed run sees the same ones as an uninterrupted run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from lrs2m_builder.checks.base import split_sentences

Augmentation = Literal["crop", "flip", "turn", "color"]


def augment_caption(text: str, random: np.random.Generator) -> str:
    """The text without its opening sentence, with any number of the others in any order; if under three, unchanged.

    The opening mostly summarises the rest, and a text tower relies on it; without it, and in another order, the later
    sentences are learned too (DeBias-CLIP, CVPR 2026).
    """
    sentences = split_sentences(text)
    if len(sentences) < 3:
        return text
    rest = sentences[1:]
    count = int(random.integers(1, len(rest) + 1))
    return " ".join(rest[number] for number in random.permutation(len(rest))[:count])


def augment_image(image: Image.Image, names: Sequence[Augmentation], size: int, key: Sequence[int]) -> Image.Image:
    """An augmented image.

    Args:
        names: "crop" keeps half of the area or more, "flip" mirrors in either direction, "turn" rotates by quarters,
            "color" changes brightness, contrast and tint.
        size: side of the square that "crop" returns, in pixels.
        key: seed of the augmentation.
    """
    changes = {
        "crop": v2.RandomResizedCrop(size, scale=(0.5, 1.0), interpolation=v2.InterpolationMode.BICUBIC),
        "flip": v2.Compose([v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]),
        "turn": v2.RandomChoice([_Quarters(number) for number in range(4)]),
        "color": v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05),
    }
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
    with torch.random.fork_rng(devices=[]):  # keeps the run's generator unchanged
        torch.manual_seed(seed)
        for name in names:
            image = changes[name](image)
    return image


class _Quarters(torch.nn.Module):  # type: ignore[misc]
    """Rotates an image by quarters, losslessly."""

    def __init__(self, number: int) -> None:
        super().__init__()
        turns = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
        self._turn = turns[number]

    def forward(self, image: Any) -> Any:
        return image if self._turn is None else image.transpose(self._turn)
