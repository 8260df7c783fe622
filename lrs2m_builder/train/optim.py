"""The optimizer, its learning rate, and frozen parameters."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lrs2m_builder.clip.kps import positions
from lrs2m_builder.train.config import TrainConfig
from lrs2m_builder.train.trained import rates

ADAM_EPS = 1e-6  # CLIP's and open_clip's for ViTs; PyTorch's 1e-8 moves rare tokens as far as common ones
_TABLES = ("position_embedding", "positional_embedding", "pos_embed", "cls_token")  # no weight decay


def make_optimizer(towers: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD or AdamW over the trained parameters, by their learning rates; only matrices decay."""
    rate_of = rates(towers, config)
    groups: list[dict[str, Any]] = []
    for rate in dict.fromkeys(rate_of.values()):
        named = [(name, each) for name, each in towers.named_parameters() if rate_of.get(name) == rate]
        decays = [parameter for name, parameter in named if _decays(name, parameter)]
        others = [parameter for name, parameter in named if not _decays(name, parameter)]
        for parameters, weight_decay in ((decays, config.weight_decay), (others, 0.0)):
            if parameters:
                groups.append({"params": parameters, "lr": rate, "weight_decay": weight_decay})
    for group in groups:
        group["factor"] = group["lr"] / config.lr
    fused = groups[0]["params"][0].device.type in {"cpu", "cuda"} or None  # one kernel, and no value read by the host
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=ADAM_EPS, fused=fused)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, dampening=config.dampening, fused=fused)


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and not any(table in name for table in _TABLES)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of a step; groups of another rate keep their ratio to it."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("factor", 1.0)  # a checkpoint of an earlier version has no factors


def fitted_warmup(total_steps: int, config: TrainConfig) -> int:
    """Steps of the warm-up: the setting, but at most a tenth of the run."""
    return min(config.warmup_steps, -(-total_steps // 10))


def learning_rate(step: int, total_steps: int, config: TrainConfig) -> float:
    """The learning rate of a step, counted from 1: a linear warm-up, then a cosine or constant.

    The cosine reaches 0 one step after the last, so that the last step still trains.
    """
    warmup = fitted_warmup(total_steps, config)
    if step <= warmup:
        return config.lr * step / warmup
    if config.schedule == "constant":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - 1 - warmup) / (total_steps - warmup)))


def long_weight(step: int, total_steps: int, config: TrainConfig) -> float:
    """The weight of the long text at a step, counted from 1."""
    if config.long_weight_end is None or total_steps == 1:
        return config.long_weight
    return config.long_weight + (config.long_weight_end - config.long_weight) * (step - 1) / (total_steps - 1)


def freeze_positions(model: nn.Module, num_rows: int) -> None:
    """Freeze the first rows of the text's position table, if it has one, which KPS keeps too."""
    table_TW = positions(model)
    if table_TW is None or not table_TW.requires_grad:
        return
    moves_T1 = (torch.arange(len(table_TW)) >= num_rows).float()[:, None]

    def without_frozen(gradient_TW: Tensor) -> Tensor:
        return gradient_TW * moves_T1.to(gradient_TW)

    table_TW.register_hook(without_frozen)


class Average:
    """A separate moving average of the trained parameters."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self.values = {name: each.detach().clone() for name, each in model.named_parameters() if each.requires_grad}

    def update(self, model: nn.Module) -> None:
        """Move the average by 1 - decay towards the parameters."""
        trained = dict(model.named_parameters())
        move_together = get_ema_multi_avg_fn(self._decay)  # all parameters in a few kernels
        move_together(list(self.values.values()), [trained[name] for name in self.values], None)


def move_between(model: nn.Module, start: dict[str, Any], share: float) -> None:
    """Set the parameters in `start` to start + share * (parameters - start): WiSE-FT (arXiv 2109.01903)."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name not in start:
                continue
            parameter.copy_(torch.lerp(start[name].to(parameter), parameter, share))
