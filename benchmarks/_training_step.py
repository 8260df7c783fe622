"""A step of `lrs2m train` by the paper's settings, as the benchmarks time it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lrs2m_builder.train.loading import Batch
from lrs2m_builder.train.loss import LossSettings
from lrs2m_builder.train.named_configs import paper_b16
from lrs2m_builder.train.optim import make_optimizer
from lrs2m_builder.train.readout import Readout
from lrs2m_builder.train.step import Towers, accumulate_gradient


def make_step(towers: Towers, batch: Batch, autocast: Callable[[], Any], device: torch.device) -> Callable[[], None]:
    """A function that trains on the batch once and, as the training does, reads the losses of the step before."""
    optimizer = make_optimizer(towers, paper_b16())
    before: list[Readout] = []

    def step() -> None:
        losses = accumulate_gradient(
            towers,
            batch.to(device),
            LossSettings(),
            long_weight=0.8,
            micro_batch=None,
            autocast=autocast,
            loss_factor=lambda loss: loss,
        )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        before.append(Readout({"loss": losses.total}, {"scale": towers.model.logit_scale}, device))
        if len(before) > 1:
            before.pop(0).read()

    return step
