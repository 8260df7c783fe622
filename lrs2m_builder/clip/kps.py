"""Knowledge-preserved stretching (KPS): a text tower for 77 tokens reads 248 (LRSCLIP, section IV-A; Long-CLIP).

The first 20 rows of the position table are well trained by short captions and stay unchanged; the other 57 are
interpolated to four times their number, as in the public code; the printed formula differs beyond row 20.
"""

from __future__ import annotations

import torch
from torch import nn

from lrs2m_builder.clip.towers import OpenClipTowers
from lrs2m_builder.errors import UserError

KEPT_ROWS = 20
RATIO = 4


def stretched_length(num_rows: int) -> int:
    """Number of rows after the stretch: 77 -> 248."""
    return KEPT_ROWS + (num_rows - KEPT_ROWS) * RATIO


def stretch_table(table_PD: torch.Tensor) -> torch.Tensor:
    """The position table with its rows after the first KEPT_ROWS interpolated RATIO times finer, in the same dtype.

    The last RATIO - 1 rows lie beyond the last given row and continue its slope. Computed in float32.
    """
    source_PD = table_PD.float()
    beyond_1D = 2 * source_PD[-1:] - source_PD[-2:-1]
    knots_QD = torch.cat([source_PD[KEPT_ROWS:], beyond_1D])
    steps_R = torch.arange(RATIO, device=table_PD.device, dtype=torch.float32) / RATIO
    left_Q1D, right_Q1D = knots_QD[:-1].unsqueeze(1), knots_QD[1:].unsqueeze(1)
    spread_QRD = (1 - steps_R[None, :, None]) * left_Q1D + steps_R[None, :, None] * right_Q1D
    return torch.cat([source_PD[:KEPT_ROWS], spread_QRD.flatten(0, 1)]).to(table_PD.dtype)


def positions(model: nn.Module) -> nn.Parameter | None:
    """The position table of the text tower, [P, W]; None if it has none of its own, or not one row per token."""
    if isinstance(model, OpenClipTowers):
        table = getattr(model.inner.text, "positional_embedding", None)
        is_plain = isinstance(table, nn.Parameter) and table.ndim == 2 and len(table) == model.inner.context_length
        return table if is_plain else None
    return model.text_model.embeddings.position_embedding.weight


def stretch(model: nn.Module, context_length: int) -> None:
    """Give the text tower `context_length` positions, in place.

    Texts of 20 tokens or fewer keep their features in a causal tower; one that reads the padding changes them.

    Raises:
        UserError: the text tower has no absolute positions, or KPS stretches its table to another length.
    """
    table_PD = positions(model)
    if table_PD is None:
        raise UserError(
            f"a context of {context_length} tokens: KPS interpolates a table with a row per position, and the text "
            "tower of this model has none (rotary or relative positions, or a class token among them); give "
            f"context_length={model.inner.context_length}, its own"
        )
    num_rows = len(table_PD)
    if num_rows <= KEPT_ROWS + 1 or stretched_length(num_rows) != context_length:
        makes = f"KPS makes {stretched_length(num_rows)} of it" if num_rows > KEPT_ROWS + 1 else "it is too short"
        raise UserError(
            f"a context of {context_length} tokens: the model has {num_rows} positions and {makes}; "
            f"give context_length={num_rows} or less to leave the table as it is"
        )
    stretched_PD = stretch_table(table_PD.detach())
    if isinstance(model, OpenClipTowers):
        model.set_positions(stretched_PD)
        return
    embeddings = model.text_model.embeddings
    embeddings.position_embedding = nn.Embedding.from_pretrained(stretched_PD, freeze=False)
    embeddings.position_ids = torch.arange(context_length, device=table_PD.device).unsqueeze(0)
    model.config.text_config.max_position_embeddings = context_length
