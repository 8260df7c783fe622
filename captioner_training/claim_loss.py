"""What the captioner loses as a judge: on its answers to claims, and on the numbers that it finds for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from captioner_training.judging import ClaimBatch
from captioner_training.model import Trainee, positions


def claim_loss(trainee: Trainee, batch: ClaimBatch) -> tuple[Tensor, Tensor]:
    """The loss of answers to claims, and that of the numbers that the text layers but the last have found."""
    found: list[Tensor] = []
    layer: Any = trainee.captioner.model.language_model.layers[-2]
    hook = layer.register_forward_hook(lambda *args: found.append(args[-1]))
    logits = answer_logits(trainee, batch)
    hook.remove()
    answer = functional.cross_entropy(logits.float(), batch.answer[batch.answer >= 0])
    counted = batch.number >= 0
    return answer, functional.cross_entropy(trainee.counted(found[0][counted]).float(), batch.number[counted])


def answer_logits(trainee: Trainee, batch: ClaimBatch) -> Tensor:
    """What the model would say (N, vocabulary) where an answer is asked for, row by row."""
    model: Any = trainee.captioner.model
    is_image = batch.ids == trainee.captioner.config.image_token_id
    embeds = model.language_model.embed_tokens(batch.ids)
    embeds = embeds.masked_scatter(is_image[..., None], trainee.image_tokens(batch.image).to(embeds.dtype))
    hidden = model.language_model(
        inputs_embeds=embeds,
        attention_mask=claim_mask(batch.group),
        position_ids=claim_positions(batch, is_image),
        use_cache=False,
    ).last_hidden_state
    logits: Tensor = trainee.captioner.lm_head(hidden[batch.answer >= 0])
    return logits


def claim_mask(group: Tensor) -> Tensor:
    """What each token sees (B, 1, L, L), as an addend: what stands before all claims, and its own claim up to it."""
    length = group.shape[1]
    before = torch.ones(length, length, dtype=torch.bool).tril()
    seen = before & ((group[:, None, :] == 0) | (group[:, None, :] == group[:, :, None]))
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]


def claim_positions(batch: ClaimBatch, is_image: Tensor) -> Tensor:
    """Positions (3, B, L) at which every claim follows what stands before all of them."""
    alone = positions(is_image)
    in_claim = batch.group > 0
    first = int((batch.group[0] == 0).sum())
    start = alone[:, :, first : first + 1]
    return torch.where(in_claim, start + batch.position, alone)
