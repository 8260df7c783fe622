"""Sampling a batch so that a row's tokens are the same whoever shares the batch.

B rows, T tokens, V words of the vocabulary. Prompts are padded on the left, so that the answers start together.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lrs2m_builder.engines._parameters import Sampling


def warpers(sampling: Sampling) -> LogitsProcessorList:
    """What changes the scores, in vLLM's order."""
    found: list[Any] = []
    if sampling.repetition_penalty != 1:
        found.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.temperature > 0:
        found.append(TemperatureLogitsWarper(max(sampling.temperature, 0.01)))
        found += [MinPLogitsWarper(sampling.min_p)] if sampling.min_p > 0 else []
        found += [TopKLogitsWarper(sampling.top_k)] if sampling.top_k > 0 else []
        found += [TopPLogitsWarper(sampling.top_p)] if sampling.top_p < 1 else []
    return LogitsProcessorList(found)


class RowSampler:
    """A logits processor that leaves each row one token, drawn with the row's own random numbers.

    A row has one uniform number a step, from its own seed and drawn on the CPU: neither the other rows nor the device
    change it. The token is where that number falls on the row's cumulated probabilities.
    """

    def __init__(self, sampling: Sampling, seeds: Sequence[int], inputs: dict[str, Any], num_steps: int) -> None:
        ids_BT = inputs["input_ids"]
        # Padding is no word of the row; a penalty on what it repeats must not see it.
        self._prompt_BT = torch.where(inputs["attention_mask"].bool(), ids_BT, ids_BT[:, -1:])
        self._warpers, self._greedy = warpers(sampling), sampling.temperature == 0
        draws = [torch.rand(num_steps, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        self._uniform_BT = torch.stack(draws).to(ids_BT.device)

    def __call__(self, ids_BT: torch.Tensor, scores_BV: torch.Tensor) -> torch.Tensor:
        prompt_length = self._prompt_BT.shape[1]
        seen_BT = torch.cat([self._prompt_BT, ids_BT[:, prompt_length:]], dim=1)
        scores_BV = self._warpers(seen_BT, scores_BV)
        if self._greedy:
            return scores_BV
        probs_BV = scores_BV.softmax(-1)
        # Rounding must not make a token possible that the parameters ruled out.
        cumulated_BV = probs_BV.cumsum(-1).masked_fill(probs_BV == 0, 0.0)
        uniform_B1 = self._uniform_BT[:, ids_BT.shape[1] - prompt_length, None]
        above_BV = cumulated_BV > uniform_B1 * cumulated_BV.amax(-1, keepdim=True)
        drawn_B1 = above_BV.int().argmax(-1, keepdim=True)  # the first one
        return torch.full_like(scores_BV, -torch.inf).scatter(-1, drawn_B1, 0.0)


class RowEnds:
    """A stopping criterion: stop strings, the room a row has, and answers that nobody waits for any more.

    Attributes:
        lengths: tokens of an answer when its first stop string was whole, by row.
    """

    def __init__(
        self, stop: Sequence[str], rooms: torch.Tensor, prompt_length: int, tokenizer: Any, given_up: threading.Event
    ) -> None:
        self.lengths: dict[int, int] = {}
        self._stop, self._rooms_B, self._prompt_length = stop, rooms, prompt_length
        self._tokenizer, self._given_up = tokenizer, given_up

    def __call__(self, ids_BT: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        length = ids_BT.shape[1] - self._prompt_length
        done_B = (self._rooms_B <= length) | self._given_up.is_set()
        if self._stop:
            rows = ids_BT[:, self._prompt_length :].tolist()
            texts = self._tokenizer.batch_decode(rows, skip_special_tokens=True)
            for row, text in enumerate(texts):
                if any(stop in text for stop in self._stop):
                    self.lengths.setdefault(row, length)
            done_B[list(self.lengths)] = True
        return done_B
