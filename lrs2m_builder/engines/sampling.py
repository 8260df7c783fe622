"""Sampling a batch so that a row's tokens are the same whoever shares the batch.

B rows, T tokens, V words of the vocabulary. Prompts are padded on the left, so that the answers start together.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lrs2m_builder.errors import UserError


class Sampling(BaseModel):
    """Sampling parameters, by the names and with the defaults of vLLM's SamplingParams."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] | None = 16
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @field_validator("stop", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value

    def warpers(self) -> LogitsProcessorList:
        """What changes the scores, in vLLM's order."""
        found: list[Any] = []
        if self.repetition_penalty != 1:
            found.append(RepetitionPenaltyLogitsProcessor(self.repetition_penalty))
        if self.temperature > 0:
            found.append(TemperatureLogitsWarper(max(self.temperature, 0.01)))
            found += [MinPLogitsWarper(self.min_p)] if self.min_p > 0 else []
            found += [TopKLogitsWarper(self.top_k)] if self.top_k > 0 else []
            found += [TopPLogitsWarper(self.top_p)] if self.top_p < 1 else []
        return LogitsProcessorList(found)


def check_sampling(parameters: Mapping[str, Any]) -> None:
    """Check a step's sampling parameters.

    Raises:
        UserError: one is unknown or out of its range.
    """
    try:
        Sampling(**parameters)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if name not in Sampling.model_fields:
            known = ", ".join(sorted(Sampling.model_fields))
            raise UserError(f"--sampling {name}: the transformers engine knows {known}") from error
        raise UserError(f"--sampling {name}={parameters[name]}: {first['msg'].lower()}") from error


class RowSampler:
    """A logits processor that leaves each row one token, drawn with the row's own random numbers.

    A row has one uniform number a step, from its own seed and drawn on the CPU: neither the other rows nor the device
    change it. The token is where that number falls on the row's cumulated probabilities.
    """

    def __init__(self, sampling: Sampling, seeds: Sequence[int], inputs: dict[str, Any], num_steps: int) -> None:
        ids_BT = inputs["input_ids"]
        # Padding is no word of the row; a penalty on what it repeats must not see it.
        self._prompt_BT = torch.where(inputs["attention_mask"].bool(), ids_BT, ids_BT[:, -1:])
        self._warpers, self._greedy = sampling.warpers(), sampling.temperature == 0
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
