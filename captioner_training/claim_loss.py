"""What the captioner loses as a judge: on its answers to claims, and on the way to them.

The way is shown to it around the layer that was added for claims. Before it, image tokens should know where they lie
and what they show, and the place of the answer what the claim names; in it, one head should look at the things of which
the claim is true, one at all things of its class; after it, the number of the former should be known.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from captioner_training.judging import NONE, ClaimBatch
from captioner_training.model import MIDDLE, NAMED, Trainee, positions

WEIGHTS = {"claim": 1.0, "number": 0.5, "named": 0.1, "placed": 0.2, "looked": 0.6}


def claim_loss(trainee: Trainee, batch: ClaimBatch) -> dict[str, Tensor]:
    """The parts of the loss, weighted."""
    before, looks, after = list[Tensor](), list[Tensor](), list[Tensor]()
    layers: Any = trainee.captioner.model.language_model.layers
    hooks = [
        layers[MIDDLE - 1].register_forward_hook(lambda *args: before.append(args[-1])),
        layers[MIDDLE].self_attn.register_forward_hook(lambda *args: looks.append(args[-1][1])),
        layers[-2].register_forward_hook(lambda *args: after.append(args[-1])),
    ]
    logits = answer_logits(trainee, batch)
    for hook in hooks:
        hook.remove()
    rows, tokens = batch.asked.unbind(1)
    named = trainee.named(before[0][rows, tokens]).float().split(NAMED, -1)
    counted = trainee.counted(after[0][rows, tokens]).float()
    looked = looks[0][rows, :, tokens]
    is_image = batch.ids[rows] == trainee.captioner.config.image_token_id
    image_tokens = before[0][batch.ids == trainee.captioner.config.image_token_id]
    losses = {
        "claim": functional.cross_entropy(logits.float(), batch.answer[batch.answer >= 0]),
        "number": functional.cross_entropy(counted, batch.number, ignore_index=NONE),
        "named": torch.stack(
            [
                functional.cross_entropy(said, right, ignore_index=NONE)
                for said, right in zip(named, batch.parts.unbind(1), strict=True)
            ]
        ).sum(),
        "looked": look_loss(looked, is_image, batch.things),
    }
    if batch.counts is not None:
        losses["placed"] = trainee.place_loss(image_tokens, batch.counts)
    return {name: WEIGHTS[name] * loss for name, loss in losses.items()}


def look_loss(looked: Tensor, is_image: Tensor, things: Tensor) -> Tensor:
    """How far two heads look elsewhere (N, heads, L) than at the things (N, 2, tokens).

    Each thing is worth one share, and one more falls on what is no image token (`is_image` (N, L)): the fewer things
    there are, the less a head finds.
    """
    known = things[:, 0, 0] >= 0
    at = looked[:, :2][is_image[:, None].expand(-1, 2, -1)].view(len(looked), 2, -1).float()[known]
    wanted = things[known]
    share = 1 / (wanted.sum(-1) + 1)
    rest = (1 - at.sum(-1)).clamp_min(1e-5)
    away = (wanted * at.clamp_min(1e-5).log()).sum(-1) + rest.log()
    return -(share * away).mean()


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
