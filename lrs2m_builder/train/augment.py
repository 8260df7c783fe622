"""Augmentations of a pair while training: sentences dropped and shuffled, images cropped, turned and tinted.

Every augmentation is determined by its key, so a resumed run sees the same ones as an uninterrupted run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageEnhance

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
    random = np.random.default_rng(np.random.SeedSequence(key))
    changes: dict[Augmentation, Callable[[Image.Image], Image.Image]] = {
        "crop": lambda whole: _crop(whole, size, random),
        "flip": lambda whole: _transposed(whole, random, _FLIPS),
        "turn": lambda whole: _transposed(whole, random, _TURNS),
        "color": lambda whole: _tinted(whole, random),
    }
    for name in names:
        image = changes[name](image)
    return image


_FLIPS = (None, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180)
_TURNS = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
_MIN_AREA, _MAX_RATIO = 0.5, 4 / 3  # of a crop
_JITTER, _HUE = 0.3, 0.05  # factors 1 - _JITTER .. 1 + _JITTER, and a share of the circle of colours


def _crop(image: Image.Image, size: int, random: np.random.Generator) -> Image.Image:
    """A rectangle of half of the area or more, as a square; the whole image if none of ten fits."""
    width, height = image.size
    for _ in range(10):
        area = width * height * random.uniform(_MIN_AREA, 1)
        ratio = math.exp(random.uniform(-math.log(_MAX_RATIO), math.log(_MAX_RATIO)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if wide <= width and high <= height:
            left, top = int(random.integers(width - wide + 1)), int(random.integers(height - high + 1))
            return image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + wide, top + high))
    return image.resize((size, size), Image.Resampling.BICUBIC)


def _transposed(image: Image.Image, random: np.random.Generator, ways: Sequence[Image.Transpose | None]) -> Image.Image:
    """The image turned or mirrored in one of the ways, losslessly."""
    way = ways[int(random.integers(len(ways)))]
    return image if way is None else image.transpose(way)


def _tinted(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """The image with another brightness, contrast, saturation and hue, in any order."""
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color, None)
    image = image.convert("RGB")
    for number in random.permutation(len(kinds)):
        kind = kinds[number]
        if kind is not None:
            image = kind(image).enhance(random.uniform(1 - _JITTER, 1 + _JITTER))
            continue
        turn = round(255 * random.uniform(-_HUE, _HUE))
        hue, saturation, value = image.convert("HSV").split()
        hue = hue.point(lambda level, by=turn: (level + by) % 256)
        image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    return image
