"""Trains the demo captioner on drawn scenes: `make demo-model`, or `python -m captioner_training --out DIR`.

First the vision tower learns to count, then the whole model to answer, then the vision tower to count better, and at
last the language model to read what it tells now (ROUNDS). Everything is kept in the work folder; a run that was
stopped goes on where it saved last.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from captioner_training.model import Trainee, make_model, make_processor
from captioner_training.questions import Batch, Questions
from captioner_training.scenes import Scenes, draw
from captioner_training.texts import plain_groups, plain_long, plain_short
from captioner_training.tokens import train_tokenizer
from lrs2m_builder.sample.texts import write_texts

WARM_UP = 100
COOL_DOWN = 0.3  # of a round's steps, at the end, in which the learning rate falls to nothing
EMA = 0.995
SAVE_EVERY = 100


@dataclass(frozen=True, slots=True)
class Round:
    """A stretch of training in which the learning rate rises and falls once.

    Attributes:
        vision_steps: of its steps, at the beginning, in which the vision tower alone learns.
        freeze_step: from which of its steps on the vision tower rests: a step costs half as much then.
    """

    steps: int
    vision_steps: int
    freeze_step: int


ROUNDS = (Round(6000, 500, 3000), Round(6000, 6000, 6000), Round(2500, 0, 0))


def main() -> None:
    """Draw, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--work", type=Path, default=Path("build/captioner"), help="folder of scenes and checkpoints")
    parser.add_argument("--scenes", type=int, default=8000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    options = parser.parse_args()
    draw(options.work / "scenes", options.scenes)
    scenes = Scenes(options.work / "scenes")
    tokenizer = find_tokenizer(options.work / "tokenizer", scenes)
    trainee = Trainee(make_model(tokenizer))
    train(trainee, scenes, tokenizer, options)
    save_model(options.work / "checkpoint.pt", tokenizer, options.out)


def find_tokenizer(folder: Path, scenes: Scenes) -> PreTrainedTokenizerFast:
    """The tokenizer, trained on texts of a part of the scenes if it is not there yet."""
    if not (folder / "tokenizer.json").exists():
        texts: list[str] = []
        for number in range(min(3000, len(scenes))):
            scene = scenes.truth(number)
            rich = write_texts(scene)
            texts += [plain_long(scene), plain_short(plain_groups(scene), scene.name)]
            texts += [rich.long, rich.short, *rich.captions]
        train_tokenizer(texts, 2000).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def train(trainee: Trainee, scenes: Scenes, tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace) -> None:
    """Train to the last step, from the checkpoint if there is one."""
    path = options.work / "checkpoint.pt"
    optimizer = torch.optim.AdamW(trainee.parameters(), options.learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    averaged = torch.optim.swa_utils.AveragedModel(
        trainee, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA)
    )
    step = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        trainee.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    batches = iter(DataLoader(Questions(scenes, tokenizer, options.batch_size, step), None, num_workers=1))
    start, log = time.monotonic(), (options.work / "log.jsonl").open("a")
    last = sum(each.steps for each in ROUNDS)
    for batch in islice(batches, max(0, last - step)):
        current, here = find_round(step)
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * rate(here, current.steps)
        learns = here < current.freeze_step
        if learns and not trainee.vision_learns:
            trainee.unfreeze_vision()
        elif not learns and trainee.vision_learns:
            trainee.freeze_vision(averaged.module)
        losses = one_step(trainee, optimizer, batch, vision_only=here < current.vision_steps)
        step += 1
        averaged.update_parameters(trainee)
        if step % 20 == 0:
            log.write(json.dumps({"step": step, "s": round(time.monotonic() - start), **losses}) + "\n")
            log.flush()
        if step % SAVE_EVERY == 0 or step == last:
            state = {"model": trainee.state_dict(), "averaged": averaged.state_dict()}
            torch.save({**state, "optimizer": optimizer.state_dict(), "step": step}, path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)


def find_round(step: int) -> tuple[Round, int]:
    """The round of a step, and which of its steps it is."""
    for current in ROUNDS:
        if step < current.steps:
            return current, step
        step -= current.steps
    raise AssertionError("training is over")


def rate(step: int, steps: int) -> float:
    """The learning rate's share in a round: a warm-up, a plateau, and a fall in a line to nothing."""
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / (COOL_DOWN * steps))


def one_step(
    trainee: Trainee, optimizer: torch.optim.Optimizer, batch: Batch, *, vision_only: bool
) -> dict[str, float]:
    """One step of training; what each part lost."""
    losses = {}
    with torch.autocast("cpu", torch.bfloat16):
        tokens = None
        if batch.pixels is not None and batch.counts is not None:
            tokens = trainee.image_tokens(batch.pixels)
            losses["count"] = trainee.count_loss(tokens, batch.counts)
        if not vision_only:
            answer, place = trainee(batch.ids, batch.answer, tokens, batch.counts)
            losses["summary" if place is None else "answer"] = answer
            if place is not None:
                losses["place"] = 0.2 * place
    if losses:
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        optimizer.step()
    return {name: round(float(value.detach()), 4) for name, value in losses.items()}


def save_model(checkpoint: Path, tokenizer: PreTrainedTokenizerFast, out_dir: Path) -> None:
    """Write the averaged weights in bfloat16 with the processor, as `--model` reads them."""
    trainee = Trainee(make_model(tokenizer))
    averaged: dict[str, Any] = torch.load(checkpoint, weights_only=True)["averaged"]
    trainee.load_state_dict(
        {name.removeprefix("module."): value for name, value in averaged.items() if name != "n_averaged"}
    )
    make_processor(tokenizer).save_pretrained(out_dir)
    trainee.captioner.to(torch.bfloat16).save_pretrained(out_dir)


if __name__ == "__main__":
    torch.set_num_threads(os.cpu_count() or 1)
    main()
