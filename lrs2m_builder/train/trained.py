"""Which weights are trained, and at which learning rate: locked layers, rates per tower and layer, LoRA.

A tower's weights have a depth: 0 is its embeddings (and the norm after them), i + 1 its layer i, and the largest its
last norm and projection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from lrs2m_builder.clip.model import Model
from lrs2m_builder.clip.towers import OpenClipTowers
from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.train.config import TrainConfig

Tower = Literal["image", "text"]
Adapters = Any  # peft's LoraModel, which is imported only if it is needed
_PREFIXES: dict[str, Tower] = {
    **{"vision_model.": "image", "visual_projection.": "image"},
    **{"text_model.": "text", "text_projection.": "text"},
    **{"inner.visual.": "image", "inner.text.": "text"},  # of open_clip's towers
}
_LAYER = re.compile(r"\.(?:encoder\.layers|resblocks|trunk\.blocks|trunk\.stages)\.(\d+)\.")
_FIRST = (
    *(".embeddings.", ".pre_layrnorm."),
    *(".token_embedding.", ".positional_embedding", ".cls_emb", ".class_embedding", ".conv1.", ".ln_pre."),
    *(".patch_embed.", ".pos_embed", ".cls_token", ".reg_token", ".norm_pre.", ".stem."),
)
_LORA = ".lora_"
_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_MLP = ("fc1", "fc2")


def choose_trained(model: Model, config: TrainConfig) -> Adapters | None:
    """Freeze what is locked and add the adapters of LoRA; returns them, to be merged before the model is saved.

    Raises:
        UserError: more layers are locked than a tower has, LoRA is asked for and not installed, or the towers are not
            of a kind that can be trained or have LoRA.
    """
    if isinstance(model, OpenClipTowers):
        model.refuse_training()
        if config.lora_image or config.lora_text:
            raise UserError(
                f"lora_image and lora_text: not for towers that only open_clip has, as of {config.start}; lock layers "
                "with locked_image and locked_text instead"
            )
    num_layers = layers_of(model)
    locked: dict[Tower, int | Literal["all"]] = {"image": config.locked_image, "text": config.locked_text}
    ranks: dict[Tower, int] = {"image": config.lora_image, "text": config.lora_text}
    for tower, number in locked.items():
        if number != "all" and number > num_layers[tower]:
            raise UserError(
                f"locked_{tower}={number}: the {tower} tower of {config.start} has {num_layers[tower]} layers; give "
                f"0 to {num_layers[tower]}, or all"
            )
        if ranks[tower] and number == num_layers[tower]:
            raise UserError(f"locked_{tower}={number} leaves no layer of the {tower} tower for lora_{tower}; give less")
    adapters = _add_lora(model, config, num_layers) if any(ranks.values()) else None
    for name, parameter in model.named_parameters():
        of, depth = place(name, num_layers)
        if of is not None and ranks[of]:
            parameter.requires_grad_(_LORA in name)
        else:
            parameter.requires_grad_(of is None or not _is_locked(depth, locked[of]))
    return adapters


def rates(towers: nn.Module, config: TrainConfig) -> dict[str, float]:
    """The maximum learning rate of each trained parameter, by its name in `Towers`."""
    num_layers = layers_of(towers.model)
    of_tower: dict[Tower, float | None] = {"image": config.lr_image, "text": config.lr_text}
    found = {}
    for name, parameter in towers.named_parameters():
        if not parameter.requires_grad:
            continue
        tower, depth = place(name.removeprefix("model."), num_layers)
        if tower is None:
            found[name] = config.lr
        else:
            below_top = num_layers[tower] + 1 - depth
            found[name] = (of_tower[tower] or config.lr) * config.layer_decay**below_top
    return found


def layers_of(model: Model) -> dict[Tower, int]:
    """Number of layers of each tower; of a convolutional one the number of stages."""
    num_layers: dict[Tower, int] = {"image": 0, "text": 0}
    for name, _ in model.named_parameters():
        tower, layer = _tower(name), _LAYER.search(name)
        if tower is not None and layer:
            num_layers[tower] = max(num_layers[tower], int(layer[1]) + 1)
    return num_layers


def place(name: str, num_layers: Mapping[Tower, int]) -> tuple[Tower | None, int]:
    """The tower of a parameter and its depth there; None for the logit scale and bias."""
    tower = _tower(name)
    if tower is None:
        return None, 0
    if layer := _LAYER.search(name):
        return tower, int(layer[1]) + 1
    return tower, 0 if any(part in f".{name}" for part in _FIRST) else num_layers[tower] + 1


def _tower(name: str) -> Tower | None:
    return next((tower for prefix, tower in _PREFIXES.items() if name.startswith(prefix)), None)


def _is_locked(depth: int, locked: int | Literal["all"]) -> bool:
    return locked == "all" or (locked > 0 and depth <= locked)


def _add_lora(model: Model, config: TrainConfig, num_layers: Mapping[Tower, int]) -> Adapters:
    """Put adapters beside the linear layers of the layers that are not locked."""
    try:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel
    except ImportError as error:
        raise MissingExtraError("lora_image and lora_text", "lora", error) from error
    linear = "|".join((*_ATTENTION, *(_MLP if config.lora_on == "all" else ())))
    ranks, targets = {}, []
    for prefix, rank, locked, layers in (
        ("vision_model", config.lora_image, config.locked_image, num_layers["image"]),
        ("text_model", config.lora_text, config.locked_text, num_layers["text"]),
    ):
        if rank and locked != "all":
            numbers = "|".join(map(str, range(locked, layers)))
            targets.append(rf"{prefix}\.encoder\.layers\.(?:{numbers})\.(?:self_attn|mlp)\.(?:{linear})")
            ranks[rf"{prefix}\..*"] = rank
    alphas = {name: config.lora_alpha or 2 * rank for name, rank in ranks.items()}
    settings = LoraConfig(
        target_modules="|".join(targets),
        r=max(ranks.values()),
        rank_pattern=ranks,
        alpha_pattern=alphas,
        lora_dropout=config.lora_dropout,
    )
    return LoraModel(model, settings, "default")
