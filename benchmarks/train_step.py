"""Training steps a second: both texts padded to 248 tokens, as the published code does, against trimmed batches.

One model of B/16's size, random weights, the same images; the long texts have the paper's mean of 110 tokens and the
short ones of 32. (a) pads both to 248, (b) trims each batch to its texts. Features are the same in both: the text
tower looks only back. From the arithmetic of the towers the ratio is 75.6 / 46.3 = 1.63.

    python benchmarks/train_step.py [--batch-size 4] [--steps 3] [--turns 2]
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import statistics
import time
from contextlib import nullcontext

import torch

from lrs2m_builder.clip.loading import Batch
from lrs2m_builder.clip.loss import LossSettings
from lrs2m_builder.clip.model import random_model
from lrs2m_builder.clip.step import Towers, accumulate_gradient

CONTEXT, LONG, SHORT = 248, 110, 32
START, END = 49406, 49407


def make_batch(batch_size: int) -> Batch:
    """Random images and texts of exactly the mean lengths."""
    generator = torch.Generator().manual_seed(0)

    def ids(length: int) -> torch.Tensor:
        words = torch.randint(1000, 40000, (batch_size, length), generator=generator)
        words[:, 0], words[:, -1] = START, END
        return words

    number = torch.arange(batch_size)
    pixels = torch.randn(batch_size, 3, 224, 224, generator=generator)
    return Batch(pixels, ids(LONG), ids(SHORT), number, number, number)


def padded(batch: Batch) -> Batch:
    """The batch as the published code would make it."""
    long, short = batch.long_BT, batch.short_BT
    assert long is not None and short is not None
    pad = torch.nn.functional.pad
    return dataclasses.replace(batch, long_BT=pad(long, (0, CONTEXT - LONG)), short_BT=pad(short, (0, CONTEXT - SHORT)))


def step_seconds(towers: Towers, batch: Batch, steps: int) -> tuple[float, float]:
    """Seconds a step, forward and backward, and the loss."""
    started = time.perf_counter()
    for _ in range(steps):
        towers.zero_grad(set_to_none=True)
        losses = accumulate_gradient(
            towers,
            batch,
            LossSettings(),
            long_weight=0.8,
            micro_batch=None,
            autocast=nullcontext,
            loss_factor=lambda loss: loss,
        )
    return (time.perf_counter() - started) / steps, losses.total.item()


def peak_mb() -> float:
    """Largest resident memory of the process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--turns", type=int, default=2)
    arguments = parser.parse_args()
    sizes = {"text_width": 512, "vision_width": 768, "num_layers": 12, "image_size": 224, "embed_dim": 512}
    towers = Towers(random_model(context_length=CONTEXT, **sizes).model, has_bias=False)
    print(f"{sum(parameter.numel() for parameter in towers.parameters()) / 1e6:.1f}M parameters")
    trimmed = make_batch(arguments.batch_size)
    full = padded(trimmed)
    step_seconds(towers, trimmed, 1)  # the first step pays for what is made once
    memory = {"trimmed": peak_mb()}
    step_seconds(towers, full, 1)
    memory["padded"] = peak_mb()
    ratios = []
    for turn in range(arguments.turns):
        (slow, loss_padded), (fast, loss_trimmed) = (step_seconds(towers, b, arguments.steps) for b in (full, trimmed))
        ratios.append(slow / fast)
        rates = [f"{arguments.batch_size / seconds:.2f}" for seconds in (slow, fast)]
        print(f"turn {turn}: padded {rates[0]} images/s, trimmed {rates[1]} images/s, ratio {ratios[-1]:.2f}")
        print(f"        losses {loss_padded:.6f} {loss_trimmed:.6f}")
    print(f"median ratio {statistics.median(ratios):.2f} (arithmetic: 1.63)")
    print(f"peak memory: trimmed {memory['trimmed']:.0f} MB, padded {memory['padded']:.0f} MB")


if __name__ == "__main__":
    main()
