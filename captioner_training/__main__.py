"""Trains the demo captioner on drawn scenes: `make demo-model`, or `python -m captioner_training --out DIR`.

First the vision tower learns to count, then the whole model to answer, then the vision tower to count better, then the
language model to read what it tells now (ROUNDS), and at last, one layer deeper, to judge claims as well, those of its
own texts in the end (judge_round.py). Everything is kept in the work folder; a run that was stopped goes on where it
saved last. With --start only the rounds that a finished model has not seen are trained: for one that judges, the last.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from captioner_training.judge_round import MADE, OWN, is_deeper, learn_to_judge
from captioner_training.model import Trainee, autocast, extended_model, make_model, make_processor
from captioner_training.own_claims import write_own_claims
from captioner_training.questions import Batch, Questions
from captioner_training.scenes import Scenes, draw
from captioner_training.steps import averaged_model, load_state, make_optimizer, rate, save_state, set_rate, take_step
from captioner_training.texts import plain_groups, plain_long, plain_short
from captioner_training.tokens import train_tokenizer, with_verify_tokens
from lrs2m_builder.sample.texts import write_texts

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
    parser.add_argument("--start", type=Path, help="a finished model that goes through the last round")
    parser.add_argument("--scenes", type=int, default=8000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    options = parser.parse_args()
    if options.start:
        tokenizer = with_verify_tokens(options.start)
        captioner = extended_model(options.start, tokenizer)
    else:
        draw(options.work / "scenes", options.scenes)
        tokenizer = find_tokenizer(options.work / "tokenizer", Scenes(options.work / "scenes"))
        captioner = train(Trainee(make_model(tokenizer)), tokenizer, options).captioner
    if not is_deeper(captioner):
        captioner = learn_to_judge(captioner, tokenizer, options.work, options.scenes, MADE).captioner
    judge = learn_to_judge(captioner, tokenizer, options.work, options.scenes, OWN)
    make_processor(tokenizer).save_pretrained(options.out)
    write_own_claims(judge, tokenizer, options.work, options.work / "own_claims.parquet")
    for part in (judge.captioner.config.text_config, judge.captioner.config.vision_config):
        part.dtype = None  # that of the whole model, in which it is saved
    judge.captioner.to(torch.bfloat16).save_pretrained(options.out)


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


def train(trainee: Trainee, tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace) -> Trainee:
    """Train to the last step of the rounds, from the checkpoint if there is one; the averaged model."""
    path = options.work / "checkpoint.pt"
    optimizer, averaged = make_optimizer(trainee, options.learning_rate), averaged_model(trainee)
    step = load_state(path, trainee, averaged, optimizer)
    start, log = time.monotonic(), (options.work / "log.jsonl").open("a")
    end = 0
    for current in ROUNDS:
        end += current.steps
        if step >= end:
            continue
        scenes = Scenes(options.work / "scenes")
        batches = DataLoader(Questions(scenes, tokenizer, options.batch_size, step), None, num_workers=1)
        for batch in islice(batches, end - step):
            here = step - end + current.steps
            set_rate(optimizer, options.learning_rate * rate(here, current.steps))
            learns = here < current.freeze_step
            if learns and not trainee.vision_learns:
                trainee.unfreeze_vision()
            elif not learns and trainee.vision_learns:
                trainee.freeze_vision(averaged.module)
            losses = take_step(trainee, optimizer, losses_of(trainee, batch, here < current.vision_steps))
            step += 1
            averaged.update_parameters(trainee)
            if step % 20 == 0:
                log.write(json.dumps({"step": step, "s": round(time.monotonic() - start), **losses}) + "\n")
                log.flush()
            if step % SAVE_EVERY == 0 or step == end:
                save_state(path, trainee, averaged, optimizer, step)
    found: Trainee = averaged.module
    return found


def losses_of(trainee: Trainee, batch: Batch, vision_only: bool) -> dict[str, torch.Tensor]:
    """What each part loses on questions."""
    losses = {}
    with autocast():
        tokens = None
        if batch.image is not None and batch.counts is not None:
            tokens = trainee.image_tokens(batch.image)
            losses["count"] = trainee.count_loss(tokens, batch.counts)
        if not vision_only:
            answer, place = trainee(batch.ids, batch.answer, tokens, batch.counts)
            losses["summary" if place is None else "answer"] = answer
            if place is not None:
                losses["place"] = 0.2 * place
    return losses


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    main()
