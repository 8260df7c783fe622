"""What all rounds of a training share: the optimizer, its learning rate, a step, and the state that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from captioner_training.model import Trainee

WARM_UP = 100
COOL_DOWN = 0.3  # of a round's steps, at the end, in which the learning rate falls to nothing
EMA = 0.995


def make_optimizer(
    trainee: Trainee, learning_rate: float, quick: Sequence[Tensor] = (), pace: float = 1.0
) -> torch.optim.AdamW:
    """AdamW for all weights; the learning rate of the `quick` ones is `pace` times as high."""
    chosen = {id(weights) for weights in quick}
    groups = [{"params": [weights for weights in trainee.parameters() if id(weights) not in chosen], "pace": 1.0}]
    if quick:
        groups.append({"params": list(quick), "pace": pace})
    return torch.optim.AdamW(groups, learning_rate, betas=(0.9, 0.98), weight_decay=0.05)


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give each group its learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["pace"]


def averaged_model(trainee: Trainee, decay: float = EMA) -> AveragedModel:
    return AveragedModel(trainee, multi_avg_fn=get_ema_multi_avg_fn(decay))


def rate(step: int, steps: int) -> float:
    """The learning rate's share in a round: a warm-up, a plateau, and a fall in a line to nothing."""
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / (COOL_DOWN * steps))


def take_step(trainee: Trainee, optimizer: torch.optim.Optimizer, losses: dict[str, Tensor]) -> dict[str, float]:
    """Learn from the losses; what they were."""
    if losses:
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        optimizer.step()
    return {name: round(float(value.detach()), 4) for name, value in losses.items()}


def save_state(
    path: Path, trainee: Trainee, averaged: AveragedModel, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Keep all of a training."""
    state = {"model": trainee.state_dict(), "averaged": averaged.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "step": step}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def load_state(path: Path, trainee: Trainee, averaged: AveragedModel, optimizer: torch.optim.Optimizer) -> int:
    """Go back to where a training was kept; its step, 0 where nothing was."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    trainee.load_state_dict(state["model"])
    averaged.load_state_dict(state["averaged"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
