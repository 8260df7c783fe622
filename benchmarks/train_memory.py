"""What memory a training takes: from arithmetic, and the arithmetic against what torch keeps, on small models.

Per parameter: 4 bytes each for the weight, its gradient, SGD's momentum (AdamW: twice) and a moving average. Under bf16
autocast the matrices are kept a second time in bf16 for the backward pass. Per token of width W, a layer keeps
KEPT_PER_WIDTH * W bytes; with gradient_checkpointing only the input of each layer, and one layer's whole. `micro_batch`
pairs are in memory at once.

    python benchmarks/train_memory.py            # the table of docs/train.md
    python benchmarks/train_memory.py --check    # the arithmetic against torch, on small models
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch

from lrs2m_builder.clip.model import encode_image, encode_text, random_model

KEPT_PER_WIDTH = 50  # bytes: `--check` finds 48
GIB = 2**30
LONG_TOKENS, SHORT_TOKENS = 128, 32  # of most batches: texts are trimmed to the longest of a batch of similar ones


@dataclass(frozen=True, slots=True)
class Tower:
    """Layers, width and tokens of a tower."""

    layers: int
    width: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Size:
    """A model of the paper."""

    parameters: float
    image: Tower
    text_layers: int
    text_width: int


SIZES = {
    "B/32": Size(151.4e6, Tower(12, 768, 50), 12, 512),
    "B/16": Size(149.7e6, Tower(12, 768, 197), 12, 512),
    "L/14": Size(427.7e6, Tower(24, 1024, 257), 12, 768),
}


def activations(tower: Tower, *, checkpointing: bool = False) -> float:
    """Bytes that a tower keeps for the backward pass of one image or text, under bf16 autocast."""
    per_layer = KEPT_PER_WIDTH * tower.width * tower.tokens
    if checkpointing:
        return tower.layers * 4 * tower.width * tower.tokens + per_layer
    return float(tower.layers * per_layer)


def of_parameters(number: float, optimizer: str, *, average: bool = False) -> float:
    """Bytes of weights, gradients, the optimizer's state, and the matrices in bf16."""
    copies = {"sgd": 3, "adamw": 4}[optimizer] + average
    return number * (4 * copies + 2)


def per_pair(size: Size, *, checkpointing: bool = False) -> float:
    """Bytes that one image with its long and its short text takes."""
    towers = [size.image, *(Tower(size.text_layers, size.text_width, n) for n in (LONG_TOKENS, SHORT_TOKENS))]
    return sum(activations(tower, checkpointing=checkpointing) for tower in towers)


def table() -> list[str]:
    """The table of docs/train.md."""
    lines = [
        "| model | weights, gradients, SGD (AdamW) | per pair | checkpointed | pairs at once in 24 GB | in 80 GB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, size in SIZES.items():
        fixed = of_parameters(size.parameters, "adamw")
        each = [per_pair(size, checkpointing=checkpointing) for checkpointing in (False, True)]
        fits = [" / ".join(f"{_round_down((gib * GIB * 0.85 - fixed) / one)}" for one in each) for gib in (24, 80)]
        lines.append(
            f"| {name} | {of_parameters(size.parameters, 'sgd') / GIB:.1f} GB ({fixed / GIB:.1f}) | "
            f"{each[0] / 2**20:.0f} MB | {each[1] / 2**20:.0f} MB | {fits[0]} | {fits[1]} |"
        )
    return lines


def _round_down(number: float) -> int:
    """The power of two below."""
    return int(2 ** (int(number).bit_length() - 1))


def kept_by_torch(layers: int, width: int) -> tuple[float, float]:
    """Bytes per layer, token and unit of width that torch keeps for the backward pass: image tower, text tower."""
    found = []
    for what in ("image", "text"):
        kept = []
        for num_layers in (layers, 2 * layers):  # the difference is of the layers alone
            loaded = random_model(
                text_width=width, vision_width=width, num_layers=num_layers, image_size=64, patch_size=8
            )
            inputs = torch.rand(4, 3, 64, 64) if what == "image" else loaded.tokenize(["a road " * 60] * 4)
            kept.append(_kept(loaded.model, inputs))
        tokens = 4 * (65 if what == "image" else inputs.shape[1])
        found.append((kept[1] - kept[0]) / (layers * width * tokens))
    return found[0], found[1]


def _kept(model: torch.nn.Module, inputs: torch.Tensor) -> int:
    """Bytes of all distinct tensors kept for the backward pass, without the parameters and their bf16 copies."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    shapes = {tuple(parameter.shape) for parameter in model.parameters() if parameter.ndim == 2}
    shapes |= {shape[::-1] for shape in shapes}
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tuple(tensor.shape) not in shapes:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        features = encode_image(model, inputs) if inputs.is_floating_point() else encode_text(model, inputs)
    total = sum(storages.values())
    del features
    return total


def main() -> None:
    """Print the table, or the check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        print("\n".join(table()))
        return
    for width in (128, 256):
        image, text = kept_by_torch(2, width)
        print(f"width {width}: image tower {image:.1f}, text tower {text:.1f} bytes; the table takes {KEPT_PER_WIDTH}")


if __name__ == "__main__":
    main()
