"""Trains the demo captioner on drawn scenes: `make demo-model`, or `python -m captioner_training --out DIR`.

First the vision tower learns to count, then the whole model to answer, then the vision tower to count better, then the
language model to read what it tells now, and at last to judge claims as well (ROUNDS). Everything is kept in the work
folder; a run that was stopped goes on where it saved last. With --start the last round alone is trained, on a finished
model.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from captioner_training.claim_loss import claim_loss
from captioner_training.judging import ClaimBatch, Claims
from captioner_training.model import TOKENS, WIDTH, Trainee, extended_model, make_model, make_processor
from captioner_training.questions import Batch, Questions
from captioner_training.scenes import JUDGED_SEED, Scenes, draw
from captioner_training.texts import plain_groups, plain_long, plain_short
from captioner_training.tokens import train_tokenizer, with_verify_tokens
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
        judges: whether it has claims to judge in every second step, and scenes that the vision tower has not learnt
            from, so that it is not taken to be surer than it is.
    """

    steps: int
    vision_steps: int
    freeze_step: int
    judges: bool = False


ROUNDS = (Round(6000, 500, 3000), Round(6000, 6000, 6000), Round(2500, 0, 0), Round(6000, 0, 0, judges=True))


def main() -> None:
    """Draw, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--work", type=Path, default=Path("build/captioner"), help="folder of scenes and checkpoints")
    parser.add_argument("--start", type=Path, help="a finished model that goes through the last round")
    parser.add_argument("--scenes", type=int, default=8000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    options = parser.parse_args()
    if options.start:
        tokenizer = with_verify_tokens(options.start)
        trainee = Trainee(extended_model(options.start, tokenizer))
    else:
        draw(options.work / "scenes", options.scenes)
        tokenizer = find_tokenizer(options.work / "tokenizer", Scenes(options.work / "scenes"))
        trainee = Trainee(make_model(tokenizer))
    train(trainee, tokenizer, options)
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


def train(trainee: Trainee, tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace) -> None:
    """Train to the last step, from the checkpoint if there is one."""
    path = options.work / "checkpoint.pt"
    optimizer = torch.optim.AdamW(trainee.parameters(), options.learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    averaged = torch.optim.swa_utils.AveragedModel(
        trainee, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA)
    )
    last = sum(each.steps for each in ROUNDS)
    step = last - ROUNDS[-1].steps if options.start else 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        trainee.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    start, log = time.monotonic(), (options.work / "log.jsonl").open("a")
    end = 0
    for current in ROUNDS:
        end += current.steps
        if step >= end:
            continue
        earlier = as_it_was(averaged.module, options.work / "earlier.pt") if current.judges else None
        for batch in islice(find_batches(current, trainee, tokenizer, options, step), end - step):
            here = step - end + current.steps
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * rate(here, current.steps)
            learns = here < current.freeze_step
            if learns and not trainee.vision_learns:
                trainee.unfreeze_vision()
            elif not learns and trainee.vision_learns:
                trainee.freeze_vision(averaged.module)
            losses = one_step(trainee, optimizer, batch, here < current.vision_steps, earlier)
            step += 1
            averaged.update_parameters(trainee)
            if step % 20 < 2:
                log.write(json.dumps({"step": step, "s": round(time.monotonic() - start), **losses}) + "\n")
                log.flush()
            if step % SAVE_EVERY == 0 or step == last:
                state = {"model": trainee.state_dict(), "averaged": averaged.state_dict()}
                torch.save({**state, "optimizer": optimizer.state_dict(), "step": step}, path.with_suffix(".part"))
                path.with_suffix(".part").replace(path)


def find_batches(
    current: Round, trainee: Trainee, tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace, step: int
) -> Iterator[Batch | ClaimBatch]:
    """What a round learns from, from a step on."""
    if not current.judges:
        scenes = Scenes(options.work / "scenes")
        yield from DataLoader(Questions(scenes, tokenizer, options.batch_size, step), None, num_workers=1)
    folder = options.work / "judged"
    draw(folder, options.scenes, JUDGED_SEED)
    scenes = Scenes(folder)
    scenes.tokens = image_tokens(trainee, scenes, folder / "tokens.npy")
    questions = iter(DataLoader(Questions(scenes, tokenizer, options.batch_size, step), None, num_workers=1))
    claims = iter(DataLoader(Claims(scenes, tokenizer, step), None, num_workers=1))
    while True:
        yield next(questions) if step % 2 else next(claims)
        step += 1


def as_it_was(averaged: Trainee, path: Path) -> Trainee:
    """The captioner before it learns to judge, so that it goes on to write as it did."""
    if not path.exists():
        torch.save(averaged.state_dict(), path)
    earlier = copy.deepcopy(averaged)
    earlier.load_state_dict(torch.load(path, weights_only=True))
    return earlier.requires_grad_(False)


def image_tokens(trainee: Trainee, scenes: Scenes, path: Path) -> NDArray[np.float16]:
    """The tokens of all views of the scenes, computed once: the vision tower rests."""
    if not path.exists():
        shape = (len(scenes) * scenes.num_views, TOKENS * TOKENS, WIDTH)
        part = path.with_suffix(".part")
        tokens = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for first in range(0, len(tokens), 32):
                pixels = np.stack([scenes.image(number) for number in range(first, min(first + 32, len(tokens)))])
                tokens[first : first + 32] = trainee.image_tokens(torch.from_numpy(pixels)).float().numpy()
        tokens.flush()
        part.replace(path)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return found


def rate(step: int, steps: int) -> float:
    """The learning rate's share in a round: a warm-up, a plateau, and a fall in a line to nothing."""
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / (COOL_DOWN * steps))


def one_step(
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    batch: Batch | ClaimBatch,
    vision_only: bool,
    earlier: Trainee | None,
) -> dict[str, float]:
    """One step of training; what each part lost."""
    losses = {}
    with torch.autocast("cpu", torch.bfloat16):
        tokens = None
        if isinstance(batch, ClaimBatch):
            losses["claim"], number = claim_loss(trainee, batch)
            losses["number"] = 0.5 * number
        elif batch.image is not None and batch.counts is not None:
            tokens = trainee.image_tokens(batch.image)
            losses["count"] = trainee.count_loss(tokens, batch.counts)
        if isinstance(batch, Batch) and not vision_only:
            answer, place = trainee(batch.ids, batch.answer, tokens, batch.counts, earlier)
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
