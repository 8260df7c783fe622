"""What the captioner itself writes of the training scenes: with its mistakes it learns to judge.

Texts are sampled as in a build, many at a time. Those without a hint are wrong more often, so most have none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerFast

from captioner_training.claim_words import Claim
from captioner_training.model import Trainee, autocast, positions
from captioner_training.questions import chat_text, no_hint_parts
from captioner_training.said import decided
from captioner_training.scenes import Scenes
from captioner_training.tokens import prompt_parts
from lrs2m_builder.sample.drawing.scene import Scene
from lrs2m_builder.sample.texts import write_texts
from lrs2m_builder.verify.claims import claims_of

HINTED = 0.25  # of the texts
MOST_FALSE, MORE_TRUE = 5, 3  # claims of one text; how many more true ones than false ones
ROWS = 64  # texts written at a time
MOST_TOKENS = 140  # of a text


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn: by default a little more freely than the recipes do, for more mistakes."""

    temperature: float = 0.9
    top_p: float = 0.95


def kept_texts(trainee: Trainee, tokenizer: PreTrainedTokenizerFast, scenes: Scenes, path: Path) -> dict[int, str]:
    """A text for one view of each scene, written once."""
    if not path.exists():
        part = path.with_suffix(".part")
        views = np.random.default_rng(17).integers(scenes.num_views, size=len(scenes)) * len(scenes)
        numbers = (views + np.arange(len(scenes))).tolist()
        with part.open("w") as file:
            for written in own_texts(trainee, tokenizer, scenes, numbers, Sampling()):
                file.write(json.dumps(written) + "\n")
        part.replace(path)
    return dict(json.loads(line) for line in path.read_text().splitlines())


def claims_of_own(text: str, scene: Scene, random: np.random.Generator) -> list[Claim]:
    """Claims of a text whose truth the scene decides: the false ones, and about as many true ones."""
    claims = [claim for each in claims_of(text) if (claim := decided(each.words, f"own {each.kind}", scene))]
    order = [claims[number] for number in random.permutation(len(claims))]
    false = [claim for claim in order if not claim.is_true][:MOST_FALSE]
    return [*false, *[claim for claim in order if claim.is_true][: len(false) + MORE_TRUE]]


def own_texts(
    trainee: Trainee,
    tokenizer: PreTrainedTokenizerFast,
    scenes: Scenes,
    numbers: Sequence[int],
    sampling: Sampling,
    hinted: float = HINTED,
    seed: int = 0,
) -> Iterator[tuple[int, str]]:
    """Yield a text for each view of a scene, with its number; a text that does not end is left out.

    Args:
        hinted: the share of the texts that have the captions of the scene as a hint.
    """
    random, generator = np.random.default_rng([13, seed]), torch.Generator().manual_seed(seed)
    has_hint = random.random(len(numbers)) < hinted
    for hint in (False, True):
        chosen = [number for number, has in zip(numbers, has_hint, strict=True) if has == hint]
        for first in range(0, len(chosen), ROWS):
            part = chosen[first : first + ROWS]
            prompts = [chat_text(tokenizer, _parts(scenes, number, hint)) for number in part]
            images = torch.from_numpy(np.stack([scenes[number][0] for number in part]))
            written = sample_texts(trainee, tokenizer, prompts, images, sampling, generator)
            yield from ((number, text) for number, text in zip(part, written, strict=True) if text)


def _parts(scenes: Scenes, number: int, hint: bool) -> tuple[str, ...]:
    return (
        prompt_parts("short_to_long", captions=write_texts(scenes.truth(number)).captions) if hint else no_hint_parts()
    )


@torch.inference_mode()
def sample_texts(
    trainee: Trainee,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    images: Tensor,
    sampling: Sampling,
    generator: torch.Generator,
) -> list[str]:
    """An answer to each prompt about its image (pixels, or image tokens); "" where it has no end."""
    captioner: Any = trainee.captioner
    model, pad, end = captioner.model.language_model, tokenizer.pad_token_id, tokenizer.eos_token_id
    rows = tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    seen = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    is_image = ids == captioner.config.image_token_id
    place, cache = positions(is_image), DynamicCache(config=captioner.config.text_config)
    written: list[Tensor] = []
    with autocast():
        embeds = model.embed_tokens(ids)
        embeds = embeds.masked_scatter(is_image[..., None], trainee.image_tokens(images).to(embeds.dtype))
        while True:
            hidden = model(
                inputs_embeds=embeds, attention_mask=seen, position_ids=place, past_key_values=cache, use_cache=True
            ).last_hidden_state[:, -1]
            written.append(draw_token(captioner.lm_head(hidden).float(), sampling, generator))
            ended = (torch.stack(written) == end).any(0)
            if ended.all() or len(written) == MOST_TOKENS:
                break
            embeds, place = model.embed_tokens(written[-1][:, None]), place[..., -1:] + 1
            seen = torch.cat([seen, torch.ones_like(seen[:, :1])], 1)
    texts = [row[: row.index(end)] if end in row else [] for row in torch.stack(written, 1).tolist()]
    return [text.strip() for text in tokenizer.batch_decode(texts)]


def draw_token(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """A token of each row (B, vocabulary), from the likeliest ones that have `top_p` together."""
    p, order = (logits / sampling.temperature).softmax(-1).sort(-1, descending=True)
    p = torch.where(p.cumsum(-1) - p < sampling.top_p, p, 0.0)
    return order.gather(-1, torch.multinomial(p, 1, generator=generator)).squeeze(-1)
