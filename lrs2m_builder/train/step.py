"""One training step's gradient: both towers, the loss of the whole batch, and batches larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lrs2m_builder.clip.model import Model, encode_image, encode_text
from lrs2m_builder.clip.preprocess import Normalise
from lrs2m_builder.train.loading import Batch
from lrs2m_builder.train.loss import BatchFeatures, Losses, LossSettings, dual_text_loss

START_BIAS = -10.0  # of the sigmoid objective, as in SigLIP; a model trained with it has its own
Outputs = dict[str, Tensor]


class Towers(nn.Module):  # type: ignore[misc]
    """The model with a step's whole computation in one forward, so that DDP sees every used parameter."""

    def __init__(self, model: Model, *, has_bias: bool, normalise: Normalise | None = None) -> None:
        super().__init__()
        self.model, self.normalise = model, normalise or Normalise()
        start = getattr(model.config, "logit_bias", None)
        self.bias = nn.Parameter(torch.tensor(START_BIAS if start is None else float(start))) if has_bias else None

    def forward(self, pixels_BCHW: Tensor, long_BT: Tensor | None, short_BT: Tensor | None) -> Outputs:
        """Features of unit length, the logit scale, and the logit bias; pixels are uint8, or normalised floats."""
        outputs = {"image_BD": encode_image(self.model, self.normalise(pixels_BCHW))}
        if long_BT is not None:
            outputs["long_BD"] = encode_text(self.model, long_BT)
        if short_BT is not None:
            outputs["short_BD"] = encode_text(self.model, short_BT)
        outputs["scale"] = self.model.logit_scale.exp()
        if self.bias is not None:
            outputs["bias"] = self.bias * 1.0
        return outputs


def accumulate_gradient(
    towers: nn.Module,
    batch: Batch,
    settings: LossSettings,
    *,
    long_weight: float,
    micro_batch: int | None,
    autocast: Callable[[], AbstractContextManager[Any]],
    loss_factor: Callable[[Tensor], Tensor],
) -> Losses:
    """Add the gradient of a batch's loss to the parameters; returns the losses.

    With `micro_batch`, features are made in parts without gradients, the loss of the whole batch gives the gradient
    of each feature, and a second pass over the parts carries it into the towers (GradCache, arXiv 2101.06983): the
    gradient is the whole batch's, for a third more arithmetic.

    Args:
        loss_factor: factor of the loss against underflow in half precision.
    """
    if micro_batch is None or micro_batch >= len(batch.pixels_BCHW):
        with autocast():
            outputs = _encode(towers, batch)
        losses = _loss(outputs, batch, settings, long_weight)
        loss_factor(losses.total).backward()
        return losses
    parts = list(_parts(batch, micro_batch))
    with torch.no_grad(), autocast():
        per_part = [_encode(towers, part) for part in parts]
    leaves = {name: _joined(name, per_part).requires_grad_() for name in per_part[0]}
    losses = _loss(leaves, batch, settings, long_weight)
    loss_factor(losses.total).backward()
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        waits = isinstance(towers, DistributedDataParallel) and not is_last  # processes synchronise once per step
        with towers.no_sync() if waits else nullcontext():
            with autocast():
                outputs = _encode(towers, part)
            carried = [
                (outputs[name] * _share(name, leaf, number, len(parts), micro_batch)).sum()
                for name, leaf in leaves.items()
            ]
            torch.stack(carried).sum().backward()
    return losses


def _encode(towers: nn.Module, batch: Batch) -> Outputs:
    outputs: Outputs = towers(batch.pixels_BCHW, batch.long_BT, batch.short_BT)
    return outputs


def _loss(outputs: Outputs, batch: Batch, settings: LossSettings, long_weight: float) -> Losses:
    features = BatchFeatures(
        outputs["image_BD"],
        outputs.get("long_BD"),
        outputs.get("short_BD"),
        batch.image_ids_B,
        batch.long_ids_B,
        batch.short_ids_B,
    )
    return dual_text_loss(features, outputs["scale"], settings, long_weight=long_weight, bias=outputs.get("bias"))


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    """The batch in parts of `size` rows."""
    for start in range(0, len(batch.pixels_BCHW), size):
        yield batch.each(lambda tensor, start=start: tensor[start : start + size])  # type: ignore[misc]


def _joined(name: str, parts: list[Outputs]) -> Tensor:
    """The features of all parts; scale and bias are the same in each."""
    return torch.cat([part[name] for part in parts]) if name.endswith("_BD") else parts[0][name].clone()


def _share(name: str, leaf: Tensor, number: int, num_parts: int, size: int) -> Tensor:
    """The gradient of a part: its rows, and an even share of the scale's and the bias's."""
    if leaf.grad is None:
        raise AssertionError(f"{name} has no gradient")
    return leaf.grad[number * size : (number + 1) * size] if name.endswith("_BD") else leaf.grad / num_parts
