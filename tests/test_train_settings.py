"""The paper's configurations resolve to the settings, the order of data and the optimizer that they always had."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from lrs2m_builder.clip.model import random_model
from lrs2m_builder.experiments.full import Inputs
from lrs2m_builder.experiments.registry import EXPERIMENTS
from lrs2m_builder.experiments.run import paper_commands
from lrs2m_builder.train.config import TrainConfig, changed
from lrs2m_builder.train.index import RowGroup, RowIndex
from lrs2m_builder.train.mixture import Order
from lrs2m_builder.train.named_configs import CONFIGS, paper_b16
from lrs2m_builder.train.optim import make_optimizer
from lrs2m_builder.train.plan import make_plan
from lrs2m_builder.train.step import Towers

# As released; a setting that came later is in LATER, with the value at which it does nothing.
PAPER: dict[str, Any] = {
    **{"start": "openai/clip-vit-base-patch16", "context_length": 248, "train_on": "both", "objective": "softmax"},
    **{"long_weight": 0.8, "long_weight_end": None, "gather": "exact", "pcm": "off", "pcm_k": 32},
    **{"label_smoothing": 0.0, "multi_positive": False, "batch_size": 64, "micro_batch": None, "epochs": 1},
    **{"max_steps": None, "optimizer": "sgd", "lr": 0.0003, "momentum": 0.9, "dampening": 0.1, "betas": (0.9, 0.98)},
    **{"weight_decay": 0.0, "clip_gradient": None, "schedule": "cosine", "warmup_steps": 200, "frozen_positions": 20},
    **{"max_logit_scale": 100.0, "ema": 0.0, "wise_ft": 1.0, "precision": "bf16", "compile": False},
    **{"gradient_checkpointing": False, "device": "auto", "weights": {}, "where": None, "num_pairs": None},
    **{"workers": 4, "pool_rows": 4096, "length_multiple": 1, "image_dir": None, "augment_captions": 0.0},
    **{"augment_images": (), "seed": 0, "checkpoint_every": 500, "keep_checkpoints": 2, "eval_every": 500},
    "tensorboard": False,
}
LATER: dict[str, Any] = {
    **{"lr_image": None, "lr_text": None, "layer_decay": 1.0, "locked_image": 0, "locked_text": 0},
    **{"keep_best": None, "wandb": False},
    "cache_gb": 20.0,  # of streamed data only
    **{"best": None, "best_by": None, "subset_cap": None, "temperature": None},
    **{"lora_image": 0, "lora_text": 0, "lora_alpha": None, "lora_dropout": 0.0, "lora_on": "all"},
}
DIFFERENCES: dict[str, dict[str, Any]] = {
    "paper_b16": {},
    "paper_l14": {"start": "openai/clip-vit-large-patch14", "gradient_checkpointing": True},
    "paper_b32": {"start": "openai/clip-vit-base-patch32"},
    "from_long_clip": {"start": "BeichenZhang/LongCLIP-B"},
    "pcm_on": {"pcm": "local"},
    "short_only": {"train_on": "short"},
    "long_only": {"train_on": "long"},
    "first_sentence": {"train_on": "first_sentence"},
    **{f"batch_{total}": {"batch_size": total // 8} for total in (64, 128, 256, 512)},
    **{f"pairs_{count}k": {"num_pairs": count * 1000} for count in (500, 1000, 1500)},
    **{f"weight_{long}_{10 - long}": {"long_weight": long / 10} for long in range(1, 10)},
}
ORDER_OF_DATA = "3f097e618c9081df"
COMMANDS = "9c54b78c32232513"


@pytest.mark.parametrize("name", sorted(DIFFERENCES))
def test_a_configuration_of_the_paper_resolves_to_the_same_settings_as_ever(name: str) -> None:
    assert dataclasses.asdict(CONFIGS[name]()) == PAPER | LATER | DIFFERENCES[name]


def test_every_configuration_of_the_paper_is_compared() -> None:
    assert CONFIGS.keys() - DIFFERENCES.keys() == {"tiny", "small"}


def test_the_papers_commands_are_the_same_as_ever() -> None:
    commands = paper_commands(list(EXPERIMENTS.values()), Inputs((Path("LRS2M"),), Path("BENCH"), Path("OUT")))
    lines = "\n".join(command.line for command in commands)
    assert hashlib.sha256(lines.encode()).hexdigest()[:16] == COMMANDS


def test_the_papers_order_of_the_data_is_the_same_as_ever() -> None:
    sizes = [100] * 60
    groups = tuple(RowGroup(Path("a.parquet"), number, 100 * number, size) for number, size in enumerate(sizes))
    num_tokens = (torch.arange(6000) * 37 % 200 + 10).int().numpy()
    index = RowIndex(groups, num_tokens, num_tokens * 0, ("a",))
    config = paper_b16()
    order = Order(config.seed, 8 * config.batch_size, 512, config.weights, config.num_pairs)
    plans = [make_plan(index, order, epoch, rank, 8).rows.tobytes() for epoch in (0, 1) for rank in (0, 7)]
    assert hashlib.sha256(b"".join(plans)).hexdigest()[:16] == ORDER_OF_DATA


def grouped(config: TrainConfig) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each trained parameter, by its name."""
    towers = Towers(random_model(context_length=248).model, has_bias=False)
    name_of = {id(parameter): name for name, parameter in towers.named_parameters()}
    optimizer = make_optimizer(towers, config)
    return {
        name_of[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_the_papers_optimizer_trains_every_weight_at_one_rate_and_decays_matrices_only() -> None:
    found = grouped(changed(paper_b16(), {"weight_decay": 0.5}))
    model = random_model(context_length=248).model
    expected = {
        f"model.{name}": (3e-4, 0.5 if parameter.ndim > 1 and "position_embedding" not in name else 0.0)
        for name, parameter in model.named_parameters()
    }
    assert found == expected
    group = make_optimizer(Towers(model, has_bias=False), paper_b16()).param_groups[0]
    assert (group["momentum"], group["dampening"], group["nesterov"]) == (0.9, 0.1, False)
