"""Primary component matching: image features projected on their k leading principal directions.

Long-CLIP projects with an SVD, whose gradient is not finite if two images of a batch are equal. Only the
projector matters, and its gradient needs only the gaps between kept and dropped eigenvalues: same gradient, finite.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lrs2m_builder.errors import UserError

# Gaps below this share of the largest eigenvalue are rounding errors: such directions have no gradient.
SMALLEST_GAP = 1e-6


def check_k(k: int, num_rows: int) -> None:
    """Refuse a k that keeps everything: the centred features of N images span N - 1 directions.

    Raises:
        UserError: k is at least num_rows - 1.
    """
    if k >= num_rows - 1:
        raise UserError(
            f"pcm_k {k} keeps all directions of {num_rows} images, so pcm has no effect; use a batch over {k + 1} "
            f"images per process, pcm=global with several processes, or a smaller pcm_k"
        )


def principal_part(image_BD: Tensor, among_ND: Tensor, k: int) -> Tensor:
    """The features projected on the k leading principal directions of `among_ND`: [B, D], with gradients, fp32.

    Raises:
        UserError: as `check_k`.
    """
    check_k(k, len(among_ND))
    mean_D = among_ND.mean(0)
    centred_ND = among_ND - mean_D
    with torch.autocast(image_BD.device.type, enabled=False):
        projector_DD = _Projector.apply(centred_ND.T @ centred_ND, k)
        return (image_BD - mean_D) @ projector_DD + mean_D


class _Projector(torch.autograd.Function):  # type: ignore[misc]
    """The projector on the k leading eigenvectors of a symmetric matrix: [D, D]."""

    @staticmethod
    def forward(ctx: Any, scatter_DD: Tensor, k: int) -> Tensor:
        values_D, vectors_DD = torch.linalg.eigh(scatter_DD)  # in ascending order: the last k are kept
        ctx.save_for_backward(values_D, vectors_DD)
        ctx.k = k
        kept_DK = vectors_DD[:, -k:]
        return kept_DK @ kept_DK.T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        values_D, vectors_DD = ctx.saved_tensors
        symmetric_DD = (grads[0] + grads[0].T) / 2
        mixed_DD = vectors_DD.T @ symmetric_DD @ vectors_DD
        kept_D = torch.arange(len(values_D), device=values_D.device) >= len(values_D) - ctx.k
        gap_DD = values_D[:, None] - values_D[None, :]
        counts_DD = kept_D[:, None] & ~kept_D[None, :] & (gap_DD > SMALLEST_GAP * values_D[-1])
        share_DD = torch.where(counts_DD, mixed_DD / torch.where(counts_DD, gap_DD, 1.0), 0.0)
        return vectors_DD @ (share_DD + share_DD.T) @ vectors_DD.T, None
