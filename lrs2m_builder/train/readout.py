"""The values of a step on their way from the device: read a step later, so that no step waits for the GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lrs2m_builder.train.loss import world_size


class Readout:
    """Scalars that are being copied from the device.

    Args:
        summed: these are summed over all processes; numbers of the host are allowed.
        own: scalars of this process on the same device, such as the logit scale.
        device: of the training.
    """

    def __init__(self, summed: Mapping[str, Tensor | float], own: Mapping[str, Tensor], device: torch.device) -> None:
        self._names = (*summed, *own)
        total = torch.stack([_scalar(value, device) for value in summed.values()])
        if world_size() > 1:
            dist.all_reduce(total)
        values = torch.cat([total, torch.stack([_scalar(value, device) for value in own.values()])])
        self._values = values.to("cpu", non_blocking=True)  # into pinned memory
        self._arrived: Any = None
        if device.type == "cuda":
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self) -> dict[str, float]:
        """The values; waits until they have arrived."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return dict(zip(self._names, self._values.tolist(), strict=True))


def _scalar(value: Tensor | float, device: torch.device) -> Tensor:
    """A float64 scalar on the device; a number of the host is filled in there, because a copy would wait."""
    if isinstance(value, Tensor):
        return value.detach().double()
    return torch.full((), value, dtype=torch.float64, device=device)


@dataclass(frozen=True, slots=True)
class FinishedStep:
    """A step that is enqueued on the device: what is known at once, and what is read later.

    Attributes:
        lr, long_weight: of the step.
        epoch, batch: position in the data after it.
        seconds: duration of the step.
    """

    number: int
    lr: float
    long_weight: float
    epoch: int
    batch: int
    seconds: float
    readout: Readout
