"""The named configurations: the paper's two models, a tiny one for tests, and each of the paper's ablations.

A variant calls another one and changes fields. `--set key=value` changes single fields on top.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import yaml

from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.train.config import TrainConfig, changed

PAPER_PROCESSES = 8  # with which the paper's configurations have the paper's batch size


def paper_b16() -> TrainConfig:
    """The paper's ViT-B/16, trained on 8 processes."""
    return TrainConfig()


def paper_l14() -> TrainConfig:
    """The paper's ViT-L/14; the activations of 24 layers are recomputed to fit 24 GB."""
    return dataclasses.replace(paper_b16(), start="openai/clip-vit-large-patch14", gradient_checkpointing=True)


def paper_b32() -> TrainConfig:
    """The smallest model of the model size ablation."""
    return dataclasses.replace(paper_b16(), start="openai/clip-vit-base-patch32")


def tiny() -> TrainConfig:
    """A random model of 4M parameters: runs the same code in seconds on a CPU, and learns nothing."""
    return TrainConfig(start="random", precision="fp32", batch_size=8, workers=0, warmup_steps=2, lr=0.01, max_steps=20)


def small() -> TrainConfig:
    """A model of 8M parameters from scratch, at 64 pixels: minutes on two CPU cores for some thousand drawn scenes."""
    return TrainConfig(
        start="random_small",
        frozen_positions=0,  # no KPS, so nothing to freeze
        precision="fp32",
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.1,
        warmup_steps=50,
        batch_size=64,
        epochs=2,
        workers=1,
        checkpoint_every=100,
        eval_every=100,
    )


def from_long_clip() -> TrainConfig:
    """The ablation that starts from Long-CLIP."""
    return dataclasses.replace(paper_b16(), start="BeichenZhang/LongCLIP-B")


def pcm_on() -> TrainConfig:
    """The ablation with component matching, over the batch of each process as Long-CLIP does."""
    return dataclasses.replace(paper_b16(), pcm="local")


def short_only() -> TrainConfig:
    """The ablation that trains only on short texts."""
    return dataclasses.replace(paper_b16(), train_on="short")


def long_only() -> TrainConfig:
    """The ablation that trains only on long texts."""
    return dataclasses.replace(paper_b16(), train_on="long")


def first_sentence() -> TrainConfig:
    """The ablation whose short text is the first sentence of the long one."""
    return dataclasses.replace(paper_b16(), train_on="first_sentence")


def batch(total: int) -> TrainConfig:
    """The batch size ablation: pairs per step of all 8 processes."""
    return dataclasses.replace(paper_b16(), batch_size=total // PAPER_PROCESSES)


def pairs(count: int) -> TrainConfig:
    """The subset size ablation."""
    return dataclasses.replace(paper_b16(), num_pairs=count)


def weight(long: int) -> TrainConfig:
    """The weight ablation: long to short, in tenths."""
    return dataclasses.replace(paper_b16(), long_weight=long / 10)


_PLAIN = (paper_b16, paper_l14, paper_b32, tiny, small, from_long_clip, pcm_on, short_only, long_only, first_sentence)
CONFIGS: dict[str, Callable[[], TrainConfig]] = {
    **{function.__name__: function for function in _PLAIN},
    **{f"batch_{total}": partial(batch, total) for total in (64, 128, 256, 512)},
    **{f"pairs_{count // 1000}k": partial(pairs, count) for count in (500_000, 1_000_000, 1_500_000)},
    **{f"weight_{long}_{10 - long}": partial(weight, long) for long in range(9, 0, -1)},
}


def config_named(name: str) -> TrainConfig:
    """A named configuration.

    Raises:
        UserError: an unknown name.
    """
    if name not in CONFIGS:
        raise UserError(f"no config {name!r}{not_among(name, CONFIGS)}")
    return CONFIGS[name]()


def make_config(name: str, settings: Sequence[str] = (), start: str | None = None) -> TrainConfig:
    """A named configuration with single fields changed.

    Args:
        settings: "key=value", the value read as YAML.

    Raises:
        UserError: an unknown name or key, or an invalid value.
    """
    changes: dict[str, Any] = {} if start is None else {"start": start}
    return changed(config_named(name), changes | parse_changes(settings))


def parse_changes(settings: Sequence[str]) -> dict[str, Any]:
    """Fields and their values from "key=value", the value read as YAML.

    Raises:
        UserError: not of that form.
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting!r}: write key=value, such as lr=1e-4")
        changes[key] = _value(setting, value)
    return changes


def _value(setting: str, text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {setting!r}: not a value: {' '.join(str(error).split())}") from error
    try:
        return float(value) if isinstance(value, str) else value  # YAML reads 1e-4 as a text
    except ValueError:
        return value
