"""The loss of the paper (section IV): one image against its long and its short text, over the batch of all processes.

    loss = w * contrastive(image, long text) + (1 - w) * contrastive(image, short text)

Shapes: B rows of this process, N rows of all processes (N = B * world size), D width of the features, which have
length 1. Every process takes the mean over its own rows; the mean of these over the processes, as DDP averages
gradients, is then the loss of the global batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from lrs2m_builder.train.pcm import principal_part

Gather = Literal["exact", "anchor_only"]
Objective = Literal["softmax", "sigmoid"]
Pcm = Literal["off", "local", "global"]


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Settings of the loss.

    Attributes:
        objective: "softmax" (InfoNCE, as the paper) or "sigmoid" (SigLIP: every pair separately).
        gather: "exact" (gradients reach the features of every process: the loss of the global batch) or "anchor_only"
            (all candidates are constants, as in the published code: half the gradient).
        pcm: short texts are matched to the principal part of the image features, of this process or of all.
        pcm_k: how many principal directions are kept.
        label_smoothing: of the softmax targets (Long-CLIP's public code uses 0.1).
        multi_positive: pairs that share their image or their text are not negatives of each other.
    """

    objective: Objective = "softmax"
    gather: Gather = "exact"
    pcm: Pcm = "off"
    pcm_k: int = 32
    label_smoothing: float = 0.0
    multi_positive: bool = False


@dataclass(frozen=True, slots=True)
class BatchFeatures:
    """The features of a batch; a text that is not trained on is None.

    Attributes:
        image_ids_B, long_ids_B, short_ids_B: equal numbers mean equal content; needed only for multi_positive.
    """

    image_BD: Tensor
    long_BD: Tensor | None
    short_BD: Tensor | None
    image_ids_B: Tensor | None = None
    long_ids_B: Tensor | None = None
    short_ids_B: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Losses:
    """The weighted loss and its two parts; the part of a text that is not trained on is None."""

    total: Tensor
    long: Tensor | None
    short: Tensor | None


def dual_text_loss(
    features: BatchFeatures, scale: Tensor, settings: LossSettings, *, long_weight: float, bias: Tensor | None = None
) -> Losses:
    """The weighted loss and the loss of each text, as fp32 scalars.

    Args:
        scale: factor of the similarities (exp of the logit scale).
        long_weight: w, the weight of the long text; 1 - w is the short text's.
        bias: added to the logits of the sigmoid objective.

    Raises:
        UserError: the batch is too small for pcm_k.
    """
    image_BD = features.image_BD.float()
    image_ND = gather_rows(image_BD, settings.gather)

    def against(images: tuple[Tensor, Tensor], text_BD: Tensor, text_ids_B: Tensor | None) -> Tensor:
        text_BD = text_BD.float()
        positive_BN = _positives(features.image_ids_B, text_ids_B) if settings.multi_positive else None
        texts = (text_BD, gather_rows(text_BD, settings.gather))
        if settings.objective == "sigmoid":
            return _sigmoid(images, texts, scale, bias, positive_BN)
        return _softmax(images, texts, scale, positive_BN, settings.label_smoothing)

    long = short = None
    if features.long_BD is not None:
        long = against((image_BD, image_ND), features.long_BD, features.long_ids_B)
    if features.short_BD is not None:
        images = image_BD, image_ND
        if settings.pcm != "off":
            among = image_BD if settings.pcm == "local" else image_ND
            part_BD = principal_part(image_BD, among, settings.pcm_k)
            images = part_BD, gather_rows(part_BD, settings.gather)
        short = against(images, features.short_BD, features.short_ids_B)
    if long is not None and short is not None:
        return Losses(long_weight * long + (1 - long_weight) * short, long, short)
    total = long if long is not None else short
    if total is None:
        raise ValueError("neither text has features")
    return Losses(total, long, short)


def gather_rows(rows: Tensor, gather: Gather) -> Tensor:
    """The rows of all processes, in the order of their ranks; all must have the same number."""
    if gather == "anchor_only":
        return all_rows(rows.detach())
    return rows if world_size() == 1 else _AllRows.apply(rows)


def all_rows(rows: Tensor) -> Tensor:
    """The rows of all processes, without gradients."""
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


class _AllRows(torch.autograd.Function):  # type: ignore[misc]
    """`all_rows` with gradients: each process receives the sum of all processes' gradients for its rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return all_rows(rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].contiguous()
        dist.all_reduce(grad)
        return grad.chunk(world_size())[rank()]


def world_size() -> int:
    """Number of processes of the run."""
    return int(dist.get_world_size()) if dist.is_initialized() else 1


def rank() -> int:
    """Rank of this process."""
    return int(dist.get_rank()) if dist.is_initialized() else 0


def _own_columns(num_rows: int, device: torch.device) -> Tensor:
    """The indices of this process's pairs among those of all processes: [B]."""
    return rank() * num_rows + torch.arange(num_rows, device=device)


def _positives(image_ids_B: Tensor | None, text_ids_B: Tensor | None) -> Tensor:
    """Whether each own pair shares its image or text with each of all pairs: bool [B, N]."""
    if image_ids_B is None or text_ids_B is None:
        raise ValueError("multi_positive needs the ids of images and texts")
    same_image_BN = image_ids_B[:, None] == all_rows(image_ids_B)[None, :]
    return same_image_BN | (text_ids_B[:, None] == all_rows(text_ids_B)[None, :])


def _softmax(
    images: tuple[Tensor, Tensor],
    texts: tuple[Tensor, Tensor],
    scale: Tensor,
    positive_BN: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    """Mean of both cross entropies, image to text and text to image; several positives share the target evenly."""
    (image_BD, image_ND), (text_BD, text_ND) = images, texts
    target = _own_columns(len(image_BD), image_BD.device)
    if positive_BN is not None:
        target = positive_BN.float() / positive_BN.sum(1, keepdim=True)
    image_to_text = F.cross_entropy(scale * image_BD @ text_ND.T, target, label_smoothing=label_smoothing)
    text_to_image = F.cross_entropy(scale * text_BD @ image_ND.T, target, label_smoothing=label_smoothing)
    return (image_to_text + text_to_image) / 2


def _sigmoid(
    images: tuple[Tensor, Tensor],
    texts: tuple[Tensor, Tensor],
    scale: Tensor,
    bias: Tensor | None,
    positive_BN: Tensor | None,
) -> Tensor:
    """Binary classification of each own image with every text: a pair or not (SigLIP, arXiv 2303.15343)."""
    (image_BD, _), (_, text_ND) = images, texts
    logits_BN = scale * image_BD @ text_ND.T + (0.0 if bias is None else bias)
    if positive_BN is None:
        positive_BN = F.one_hot(_own_columns(len(image_BD), image_BD.device), len(text_ND)).bool()
    sign_BN = positive_BN.to(logits_BN) * 2 - 1
    return -F.logsigmoid(sign_BN * logits_BN).sum() / len(image_BD)
