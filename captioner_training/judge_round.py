"""The last two rounds: the captioner gains a layer and learns to judge claims, and goes on to write as it did.

In the second of them it learns to judge what it writes itself: its own mistakes are harder to see than any that are
made up. The vision tower rests, so its tokens of all scenes are computed once.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration

from captioner_training.claim_loss import claim_loss
from captioner_training.judging import Claims
from captioner_training.model import MIDDLE, NUM_LAYERS, TOKENS, WIDTH, Trainee, autocast, deeper_model
from captioner_training.own_texts import kept_texts
from captioner_training.questions import Batch, Questions
from captioner_training.scenes import JUDGED_SEED, Scenes, draw
from captioner_training.steps import averaged_model, load_state, make_optimizer, rate, save_state, set_rate, take_step

PACE = 3.0  # how much faster the added layer learns where to look, and heads that are new
KEPT = 3.0  # weight of how far what it writes is from what it wrote before
EMA = 0.985  # shorter than in the other rounds: what it sees of places comes late
VIEWS = 2  # of each scene
SHORT = 0.9  # of the steps, in which the claims are laid out short
WRITES = 4  # steps to one in which it writes too; while the learning rate falls it writes in every step
WRITTEN = 12  # texts in such a step
SAVE_EVERY = 50


@dataclass(frozen=True, slots=True)
class JudgeRound:
    """A round in which the captioner learns to judge.

    Attributes:
        name: of its files in the work folder.
        has_own: whether a part of the claims is of what the captioner wrote before the round.
    """

    name: str
    steps: int
    learning_rate: float
    has_own: bool


MADE = JudgeRound("judge", 960, 1.5e-3, has_own=False)
OWN = JudgeRound("own", 400, 6e-4, has_own=True)


def is_deeper(captioner: Qwen2VLForConditionalGeneration) -> bool:
    """Whether it has the layer for claims."""
    return bool(captioner.config.text_config.num_hidden_layers > NUM_LAYERS)


def learn_to_judge(
    captioner: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    work: Path,
    num_scenes: int,
    current: JudgeRound,
) -> Trainee:
    """Train a round to its end, from its checkpoint if there is one; the averaged model."""
    steps = current.steps
    earlier = Trainee(captioner).requires_grad_(False)
    trainee = Trainee(copy.deepcopy(captioner) if is_deeper(captioner) else deeper_model(captioner))
    trainee.captioner.requires_grad_(True).model.visual.requires_grad_(False)
    folder, path = work / "judged", work / f"{current.name}.pt"
    draw(folder, num_scenes, JUDGED_SEED)
    scenes = Scenes(folder, VIEWS)
    scenes.tokens = image_tokens(earlier, scenes, folder / "tokens.npy")
    own = kept_texts(earlier, tokenizer, scenes, folder / "own.jsonl") if current.has_own else None
    optimizer = make_optimizer(trainee, current.learning_rate, quick_weights(trainee, current), PACE)
    averaged = averaged_model(trainee, EMA)
    step = load_state(path, trainee, averaged, optimizer)
    claims = iter(DataLoader(Claims(scenes, tokenizer, step, int(SHORT * steps), own), None, num_workers=1))
    questions = iter(DataLoader(Questions(scenes, tokenizer, WRITTEN, step), None, num_workers=1))
    start, log = time.monotonic(), (work / f"{current.name}.jsonl").open("a")
    while step < steps:
        set_rate(optimizer, current.learning_rate * rate(step, steps))
        with autocast():
            losses = claim_loss(trainee, next(claims))
            falls = rate(step + 1, steps) < rate(step, steps)
            if falls or step % WRITES == 0:
                losses |= written_loss(trainee, next(questions), earlier)
        told = take_step(trainee, optimizer, losses)
        step += 1
        averaged.update_parameters(trainee)
        if step % 10 < 2:
            log.write(json.dumps({"step": step, "s": round(time.monotonic() - start), **told}) + "\n")
            log.flush()
        if step % SAVE_EVERY == 0 or step == steps:
            save_state(path, trainee, averaged, optimizer, step)
    found: Trainee = averaged.module
    return found


def quick_weights(trainee: Trainee, current: JudgeRound) -> list[Tensor]:
    """What learns faster: where the added layer looks while it is new, and later the heads, which are made anew."""
    if current.has_own:
        heads = (trainee.seen, trainee.placed, trainee.named, trainee.counted)
        return [weights for head in heads for weights in head.parameters()]
    looks: Any = trainee.captioner.model.language_model.layers[MIDDLE].self_attn
    return [*looks.q_proj.parameters(), *looks.k_proj.parameters()]


def written_loss(trainee: Trainee, batch: Batch, earlier: Trainee) -> dict[str, Tensor]:
    """What it loses on texts, held to what it wrote before."""
    answer, place = trainee(batch.ids, batch.answer, batch.image, batch.counts, earlier, KEPT)
    return {"summary": answer} if place is None else {"answer": answer, "place": 0.2 * place}


def image_tokens(trainee: Trainee, scenes: Scenes, path: Path) -> NDArray[np.float16]:
    """The tokens of all views of the scenes, computed once."""
    if not path.exists():
        shape = (len(scenes) * scenes.num_views, TOKENS * TOKENS, WIDTH)
        part = path.with_suffix(".part")
        tokens = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        with torch.inference_mode(), autocast():
            for first in range(0, len(tokens), 32):
                pixels = np.stack([scenes.image(number) for number in range(first, min(first + 32, len(tokens)))])
                tokens[first : first + 32] = trainee.image_tokens(torch.from_numpy(pixels)).float().numpy()
        tokens.flush()
        part.replace(path)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return found
