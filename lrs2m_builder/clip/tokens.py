"""Texts as token ids for a text tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lrs2m_builder.tokenizer import encode_batch

PAD = 0  # as in open_clip; of a causal tower only after the end token, where no feature depends on it


@dataclass(frozen=True, slots=True)
class Tokenize:
    """Texts -> int64 ids_BT, equal to open_clip's; a text that is too long is cut and ends with the end token.

    Attributes:
        context_length: T, the length to which texts are cut.
        trims: the padding changes no feature, because the text tower is causal.
    """

    context_length: int
    trims: bool = True

    def __call__(self, texts: Sequence[str], *, trim: bool = False) -> torch.Tensor:
        """Token ids of a batch; with `trim`, T is the longest text's length: cheaper, and the same features."""
        return pad_ids(self.encode(texts), None if trim and self.trims else self.context_length)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids that each text needs: all of the context, if its padding changes the feature."""
        ids = encode_batch(texts, self.context_length)
        return ids if self.trims else [each + [PAD] * (self.context_length - len(each)) for each in ids]


def pad_ids(batch: Sequence[Sequence[int]], length: int | None = None) -> torch.Tensor:
    """Token ids of several texts as one int64 tensor ids_BT, padded to `length`, by default to the longest."""
    length = max(map(len, batch), default=0) if length is None else length
    ids_BT = torch.full((len(batch), length), PAD, dtype=torch.int64)
    for row, ids in enumerate(batch):
        ids_BT[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
    return ids_BT
