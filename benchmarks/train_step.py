"""A training step of B/16: both texts padded to 248 tokens, as in the published code, against trimmed batches.

Random weights, the same images; the long texts have the paper's mean of 110 tokens and the short ones of 32.
(a) ours, both texts padded to 248: the practice of the published code. (b) ours, each batch trimmed to its texts: the
same features, since the text tower is causal. (c) open_clip's model and ClipLoss on the same padded texts. From
the arithmetic of the towers (a) takes 75.6 / 46.3 = 1.63 times as long as (b). On a CPU the time is that of the
process, so that other work on the machine does not count; images/s are then those of one core.

`--count` counts instead, for a whole step of `lrs2m train` (with the optimizer and the losses read a step late): how
often the host reads a value of the device, and how many bytes of the batch are copied to it.

    python benchmarks/train_step.py [--batch-size 2] [--turns 3] [--model b16|small] [--device cpu|cuda] [--count]
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import open_clip
import torch
from _training_step import make_step
from torch.profiler import ProfilerActivity, profile

from lrs2m_builder.clip.model import random_model
from lrs2m_builder.train.loading import Batch
from lrs2m_builder.train.loss import LossSettings
from lrs2m_builder.train.step import Towers, accumulate_gradient

CONTEXT, LONG, SHORT = 248, 110, 32
START, END = 49406, 49407
_B16 = {"vision_width": 768, "num_layers": 12, "patch_size": 16, "text_width": 512, "embed_dim": 512}
MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "b16": (224, _B16),
    "small": (64, _B16 | {"vision_width": 128, "num_layers": 2, "patch_size": 8, "text_width": 128}),
}  # side of the images, and shapes
Step = Callable[[], float]


def make_batch(batch_size: int, image_size: int) -> Batch:
    """Random images and texts of exactly the mean lengths."""
    generator = torch.Generator().manual_seed(0)

    def ids(length: int) -> torch.Tensor:
        words = torch.randint(1000, 40000, (batch_size, length), generator=generator)
        words[:, 0], words[:, -1] = START, END
        return words

    number = torch.arange(batch_size)
    pixels = torch.randn(batch_size, 3, image_size, image_size, generator=generator)
    return Batch(pixels, ids(LONG), ids(SHORT), number, number, number)


def padded(batch: Batch) -> Batch:
    """The batch padded as in the published code."""
    long, short = batch.long_BT, batch.short_BT
    assert long is not None and short is not None
    pad = torch.nn.functional.pad
    return dataclasses.replace(batch, long_BT=pad(long, (0, CONTEXT - LONG)), short_BT=pad(short, (0, CONTEXT - SHORT)))


def our_step(towers: Towers, batch: Batch, autocast: Any) -> Step:
    """A function for forward and backward of our model and loss, returning the loss."""

    def step() -> float:
        towers.zero_grad(set_to_none=True)
        losses = accumulate_gradient(
            towers,
            batch,
            LossSettings(),
            long_weight=0.8,
            micro_batch=None,
            autocast=autocast,
            loss_factor=lambda loss: loss,
        )
        return float(losses.total.item())

    return step


def open_clip_step(model: Any, batch: Batch, autocast: Any) -> Step:
    """The same with open_clip's model and loss, the image tower once for both texts."""
    loss = open_clip.ClipLoss()

    def step() -> float:
        model.zero_grad(set_to_none=True)
        with autocast():
            images = model.encode_image(batch.pixels_BCHW, normalize=True)
            scale = model.logit_scale.exp()
            parts = [
                loss(images, model.encode_text(ids, normalize=True), scale) for ids in (batch.long_BT, batch.short_BT)
            ]
        total = 0.8 * parts[0] + 0.2 * parts[1]
        total.backward()
        return float(total.item())

    return step


def make_open_clip(sizes: dict[str, int], image_size: int) -> Any:
    """open_clip's CLIP of the same shape."""
    vision = {"image_size": image_size, "patch_size": sizes["patch_size"], "layers": sizes["num_layers"]}
    text = {"context_length": CONTEXT, "vocab_size": 49408, "width": sizes["text_width"], "layers": sizes["num_layers"]}
    return open_clip.CLIP(
        embed_dim=sizes["embed_dim"],
        vision_cfg=open_clip.CLIPVisionCfg(**vision, width=sizes["vision_width"]),
        text_cfg=open_clip.CLIPTextCfg(**text, heads=sizes["text_width"] // 64),
        quick_gelu=True,
    )


# Operators whose result the host reads, and CUDA's calls that wait.
WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "cudaStreamSynchronize", "cudaDeviceSynchronize")


def count_waits(towers: Towers, batch: Batch, autocast: Any, device: torch.device) -> None:
    """Print what a step of `lrs2m train` waits for, and the size of its batch."""
    pixels = (batch.pixels_BCHW * 64 + 128).clamp(0, 255).byte()
    batch = dataclasses.replace(batch, pixels_BCHW=pixels)
    step = make_step(towers, batch, autocast, device)

    step()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiled:
        step()
    names = [event.name for event in profiled.events()]
    print("the host waits for: " + ", ".join(f"{name} {names.count(name)}" for name in WAITS))
    tensors = [getattr(batch, field.name) for field in dataclasses.fields(batch)]
    copied = sum(tensor.nbytes for tensor in tensors if isinstance(tensor, torch.Tensor))
    print(f"copied to the device: {copied / 2**20:.2f} MB, as floats {(copied + 3 * pixels.nbytes) / 2**20:.2f} MB")


def seconds_of(step: Step, device: torch.device) -> tuple[float, float]:
    """Seconds of a step (process time on a CPU), and its loss."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    started = clock()
    loss = step()  # ends with a copy of the loss, which waits for the GPU
    return clock() - started, loss


def peak_mb(device: torch.device) -> float:
    """Largest memory so far: of the GPU, or resident of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--model", choices=sorted(MODELS), default="b16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--count", action="store_true", help="Count what a step waits for, instead of timing it.")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    autocast = (lambda: torch.autocast("cuda", torch.bfloat16)) if device.type == "cuda" else nullcontext
    image_size, sizes = MODELS[arguments.model]
    model = random_model(context_length=CONTEXT, image_size=image_size, **sizes).model.train()
    towers = Towers(model, has_bias=False).to(device)
    count = sum(parameter.numel() for parameter in towers.parameters()) / 1e6
    print(f"{arguments.model}: {count:.1f}M parameters, {arguments.batch_size} images, {device}")
    if arguments.count:
        count_waits(towers, make_batch(arguments.batch_size, image_size), autocast, device)
        return
    trimmed = make_batch(arguments.batch_size, image_size).to(device)
    full = padded(trimmed)
    theirs = make_open_clip(sizes, image_size).to(device)
    steps = {
        "b: ours, trimmed": our_step(towers, trimmed, autocast),
        "a: ours, padded to 248": our_step(towers, full, autocast),
        "c: open_clip, padded to 248": open_clip_step(theirs, full, autocast),
    }
    for name, step in steps.items():  # the first step includes one-time work
        step()
        print(f"peak memory after {name}: {peak_mb(device):.0f} MB", flush=True)
    ratios: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(arguments.turns):
        taken = {name: seconds_of(step, device) for name, step in steps.items()}
        fast = taken["b: ours, trimmed"][0]
        for name, (seconds, loss) in taken.items():
            ratios[name].append(seconds / fast)
            rate = arguments.batch_size / seconds
            print(f"turn {turn}  {name:<28} {rate:7.3f} images/s  {seconds / fast:5.2f}  loss {loss:.6f}", flush=True)
    for name, values in ratios.items():
        print(f"median, times as long as trimmed: {statistics.median(values):.2f}  {name}")
    print("from the arithmetic of B/16: 1.63")


if __name__ == "__main__":
    main()
