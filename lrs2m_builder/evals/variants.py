"""Texts changed to see what a model reads of them, and recalls by the length of a text.

A model that looks only at the opening summary of a long text loses much without its first sentence, one that looks at
the places of words loses by another order (both as in DeBias-CLIP, 2026).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.checks.base import split_sentences

BIN_TOKENS = 20


@dataclass(frozen=True, slots=True)
class LengthBin:
    """Texts of `low` to `high` tokens, the two special ones included, and the share of hits at rank 1.

    Attributes:
        i2t_r1: over the images whose longest text is of that length; None if there are none.
    """

    low: int
    high: int
    num_texts: int
    t2i_r1: float
    num_images: int
    i2t_r1: float | None


def permuted(text: str, seed: int) -> str:
    """The sentences in another order, the same one for the same text and seed; a single sentence stays."""
    sentences = split_sentences(text)
    if len(sentences) < 2:
        return text
    shuffled = sentences[:]
    random.Random(f"{seed}:{text}").shuffle(shuffled)
    if shuffled == sentences:
        shuffled = [*sentences[1:], sentences[0]]
    return " ".join(each.strip() for each in shuffled)


def without_first(text: str, seed: int = 0) -> str:
    """The text from its second sentence on; a single sentence stays."""
    del seed
    sentences = split_sentences(text)
    return " ".join(each.strip() for each in sentences[1:]) or text


VARIANTS: Mapping[str, Callable[[str, int], str]] = {"permuted": permuted, "without_first": without_first}


def length_bins(
    num_tokens: NDArray[np.int64],
    owners: NDArray[np.int64],
    text_hits: NDArray[np.bool_],
    image_hits: NDArray[np.bool_],
) -> list[LengthBin]:
    """R@1 of texts of similar length, BIN_TOKENS wide; bins without a text are left out.

    Args:
        num_tokens, owners, text_hits: (T,) tokens, number of the image, and whether it came first.
        image_hits: (N,) whether a text of the image came first.
    """
    longest = np.zeros(len(image_hits), np.int64)
    np.maximum.at(longest, owners, num_tokens)
    found = []
    for number in np.unique(num_tokens // BIN_TOKENS):
        texts, images = num_tokens // BIN_TOKENS == number, longest // BIN_TOKENS == number
        low = int(number) * BIN_TOKENS
        i2t = float(image_hits[images].mean()) if images.any() else None
        hits = float(text_hits[texts].mean())
        found.append(LengthBin(low, low + BIN_TOKENS - 1, int(texts.sum()), hits, int(images.sum()), i2t))
    return found
