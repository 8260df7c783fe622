"""The captioner: a Qwen2-VL of four million parameters, with a layer more to judge claims, and its training heads."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from captioner_training.claim_words import MOST
from captioner_training.random_model import CHAT_TEMPLATE, qwen2_vl_config
from captioner_training.scenes import IMAGE_SIDE
from lrs2m_builder.sample.drawing.placing import CLASSES

PATCH, MERGE = 14, 2
GRID = IMAGE_SIDE // PATCH  # patches a side
TOKENS = GRID // MERGE  # image tokens a side
WIDTH = 192
QUESTION_SHARE = 0.3  # hints repeat themselves: to foresee them teaches to copy, as an answer must
NUM_LAYERS = 4  # of text, before one is added for claims
MIDDLE = 2  # text layers before the places of objects are asked for
NAMED = (len(CLASSES), 13, MOST + 2)  # classes, regions and numbers that a claim can name


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> Qwen2VLForConditionalGeneration:
    """A fresh model for the tokenizer."""
    config = qwen2_vl_config(
        tokenizer, width=WIDTH, inner=2 * WIDTH + 128, layers=NUM_LAYERS, heads=3, kv_heads=3, vision=(192, 6)
    )
    torch.manual_seed(seed)
    model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="eager")
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def extended_model(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Qwen2VLForConditionalGeneration:
    """A finished model, in float32, with embeddings for the tokens that its tokenizer has gained."""
    model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    torch.manual_seed(0)
    model.resize_token_embeddings(len(tokenizer))
    return model


def deeper_model(model: Qwen2VLForConditionalGeneration) -> Qwen2VLForConditionalGeneration:
    """The model with one more text layer, in which claims are compared with the image; it changes nothing yet.

    It stands behind the first MIDDLE layers, after which image tokens know their place, and looks as the next one does.
    """
    config = copy.deepcopy(model.config)
    config.text_config.dtype = config.vision_config.dtype = None  # that of the whole model, in which it is saved
    config.text_config.num_hidden_layers += 1
    config.text_config.layer_types = ["full_attention"] * config.text_config.num_hidden_layers
    deeper = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="eager")
    deeper.generation_config = model.generation_config
    new: Any = deeper.model.language_model.layers
    old: Any = model.model.language_model.layers
    deeper.load_state_dict({name: value for name, value in model.state_dict().items() if ".layers." not in name}, False)
    for number, layer in enumerate(new):
        layer.load_state_dict(old[number - (number > MIDDLE)].state_dict())
    for weights in (new[MIDDLE].self_attn.o_proj.weight, new[MIDDLE].mlp.down_proj.weight):
        nn.init.zeros_(weights)
    return deeper


def make_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen2VLProcessor:
    """The processor; every image comes out at IMAGE_SIDE**2 pixels or close to it."""
    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=IMAGE_SIDE**2, max_pixels=IMAGE_SIDE**2),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=CHAT_TEMPLATE,
    )


def autocast() -> torch.autocast:
    """bfloat16 where the processor computes in it; where it does not, it costs ten times as much as float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.ops.mkldnn._is_mkldnn_bf16_supported())


class Trainee(nn.Module):
    """A captioner with four heads that are dropped after training.

    Two say how many objects of each class have their middle in an image token, and where that token lies, so that
    places are learnt from the image at once and not word by word; one says which class, region and number a claim
    names, and one how many there are of what it says.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, captioner: Qwen2VLForConditionalGeneration) -> None:
        super().__init__()
        self.captioner = captioner
        self.seen = nn.Linear(WIDTH, len(CLASSES))
        self.placed = nn.Linear(WIDTH, len(CLASSES) + 2 * TOKENS)
        self.named = nn.Linear(WIDTH, sum(NAMED))
        self.counted = nn.Linear(WIDTH, MOST + 2)
        nn.init.constant_(self.seen.bias, -4.0)
        processor = Qwen2VLImageProcessor()
        mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
        self.register_buffer("mean", 255 * mean, persistent=False)
        self.register_buffer("std", 255 * std, persistent=False)
        cos, sin = _vision_angles(captioner)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    @property
    def vision_learns(self) -> bool:
        """Whether the vision tower is trained."""
        return any(weight.requires_grad for weight in self.captioner.model.visual.parameters())

    def freeze_vision(self, averaged: Trainee) -> None:
        """Take the averaged weights of the vision tower and keep them: steps cost half as much from then on."""
        visual = self.captioner.model.visual
        visual.load_state_dict(averaged.captioner.model.visual.state_dict())
        visual.requires_grad_(False)

    def unfreeze_vision(self) -> None:
        """Let the vision tower learn on."""
        self.captioner.model.visual.requires_grad_(True)

    def image_tokens(self, pixels: Tensor) -> Tensor:
        """Tokens (B, TOKENS**2, WIDTH) of images (B, IMAGE_SIDE, IMAGE_SIDE, 3), uint8; as the processor and the vision
        tower make them, but for all images of a batch at once. Tokens that were computed before stay as they are."""
        if pixels.is_floating_point():
            return pixels.float()
        visual: Any = self.captioner.model.visual
        x = (pixels.float() - self.mean) / self.std
        x = x.view(-1, TOKENS, MERGE, PATCH, TOKENS, MERGE, PATCH, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
        x = x.reshape(len(pixels), GRID * GRID, 3, 1, PATCH * PATCH).expand(-1, -1, -1, 2, -1).flatten(2)
        x = functional.linear(x, visual.patch_embed.proj.weight.flatten(1))
        for block in visual.blocks:
            q, k, v = block.attn.qkv(block.norm1(x)).unflatten(-1, (3, block.attn.num_heads, -1)).unbind(2)
            q, k = (_rotated(value, self.cos, self.sin) for value in (q, k))
            q, k, v = (value.transpose(1, 2) for value in (q, k, v))
            weights = (q @ k.transpose(-1, -2) * block.attn.scaling).softmax(
                -1
            )  # faster on a CPU than the fused kernel
            x = x + block.attn.proj((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))
            x = x + block.mlp(block.norm2(x))
        tokens: Tensor = visual.merger(x.flatten(0, 1)).view(len(pixels), TOKENS * TOKENS, WIDTH)
        return tokens

    def count_loss(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """How badly the image tokens alone tell the counts (B, TOKENS**2, classes)."""
        return functional.poisson_nll_loss(self.seen(tokens), counts, reduction="none").sum(-1).mean()

    def forward(
        self,
        ids: Tensor,
        answer: Tensor,
        tokens: Tensor | None,
        counts: Tensor | None,
        earlier: Trainee | None = None,
        kept: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of texts, the answer's tokens first of all (mask `answer` (B, L)), and that of places halfway.

        Args:
            earlier: the captioner as it was; how far what is said now is from what it would say is a loss as well.
            kept: weight of that.
        """
        middle: list[Tensor] = []
        layer: Any = self.captioner.model.language_model.layers[MIDDLE - 1]
        hook = layer.register_forward_hook(lambda *args: middle.append(args[-1]))
        logits = self.text_logits(ids, tokens)
        hook.remove()
        is_image = ids == self.captioner.config.image_token_id
        is_text = (ids != self.captioner.config.text_config.pad_token_id) & ~is_image
        weights = torch.where(answer, 1.0, QUESTION_SHARE * is_text)[:, 1:].flatten()
        losses = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        if earlier is not None:
            with torch.no_grad():
                wanted = earlier.text_logits(ids, tokens).log_softmax(-1)
            away = functional.kl_div(logits.log_softmax(-1), wanted, reduction="none", log_target=True)
            losses = losses + kept * away.sum(-1).flatten()
        loss = (losses * weights).sum() / weights.sum()
        if counts is None:
            return loss, None
        return loss, self.place_loss(middle[0][is_image], counts)

    def place_loss(self, hidden: Tensor, counts: Tensor) -> Tensor:
        """How badly image tokens (B * TOKENS**2, width) tell where they lie and what they show.

        Args:
            counts: objects of each class whose middle lies in a token (B, TOKENS**2, classes).
        """
        told = self.placed(hidden).float()
        cells = torch.arange(TOKENS * TOKENS).repeat(len(counts))
        objects, row, column = told.split((len(CLASSES), TOKENS, TOKENS), -1)
        where = functional.cross_entropy(row, cells // TOKENS) + functional.cross_entropy(column, cells % TOKENS)
        return where + functional.poisson_nll_loss(objects, counts.flatten(0, 1), reduction="none").sum(-1).mean()

    def text_logits(self, ids: Tensor, tokens: Tensor | None) -> Tensor:
        """What should follow each token but the last (B, L - 1, vocabulary)."""
        model: Any = self.captioner.model
        is_image = ids == self.captioner.config.image_token_id
        embeds = model.language_model.embed_tokens(ids)
        if tokens is not None:
            embeds = embeds.masked_scatter(is_image[..., None], tokens.to(embeds.dtype))
        hidden = model.language_model(
            inputs_embeds=embeds, position_ids=positions(is_image), use_cache=False
        ).last_hidden_state
        logits: Tensor = self.captioner.lm_head(hidden[:, :-1]).float()
        return logits


def positions(is_image: Tensor) -> Tensor:
    """Qwen2-VL's positions (3, B, L): an image counts for its longer side, its tokens have row and column."""
    batch, length = is_image.shape
    if not is_image.any():
        return torch.arange(length).expand(3, batch, length)
    first = is_image.int().argmax(1, keepdim=True)
    place = torch.arange(length).expand(batch, length) - first
    cell = place.clamp(0, TOKENS * TOKENS - 1)
    after = place - TOKENS * TOKENS + TOKENS
    text = torch.where(place < 0, place, after) + first
    grid = torch.stack((torch.zeros_like(cell), cell // TOKENS, cell % TOKENS)) + first
    return torch.where(is_image, grid, text)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x (B, patches, heads, size)."""
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


def _vision_angles(captioner: Qwen2VLForConditionalGeneration) -> tuple[Tensor, Tensor]:
    """The vision tower's own rotary embedding of one image, (patches, 1, size) each."""
    visual: Any = captioner.model.visual
    caught: list[tuple[Tensor, Tensor]] = []
    hook = visual.blocks[0].register_forward_pre_hook(
        lambda _, args, options: caught.append(options["position_embeddings"]), with_kwargs=True
    )
    with torch.no_grad():
        visual(torch.zeros(GRID * GRID, 2 * 3 * PATCH * PATCH), torch.tensor([[1, GRID, GRID]]))
    hook.remove()
    cos, sin = caught[0]
    return cos.view(GRID * GRID, 1, -1), sin.view(GRID * GRID, 1, -1)
