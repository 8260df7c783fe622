"""A CLIP model with its inputs: `load` gives model, transform and tokenizer; `encode_*` give the features.

The model is transformers' CLIPModel, whatever file it came from (formats.py), or open_clip's towers (towers.py). There
is no attention mask for padding: a CLIP's text tower is causal, so tokens after the end token never change a feature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from lrs2m_builder.clip.formats import read_checkpoint
from lrs2m_builder.clip.initial import start_as_open_clip
from lrs2m_builder.clip.kps import stretch
from lrs2m_builder.clip.locate import locate
from lrs2m_builder.clip.preprocess import Preprocess, Transform, make_transform, read_preprocess
from lrs2m_builder.clip.tokens import PAD, Tokenize
from lrs2m_builder.clip.towers import CONFIG, OpenClipTowers, needs_open_clip, open_towers
from lrs2m_builder.errors import UserError
from lrs2m_builder.tokenizer import END_OF_TEXT, START_OF_TEXT

Model: TypeAlias = CLIPModel | OpenClipTowers
LONG_CONTEXT = 248
RANDOM: dict[str, dict[str, Any]] = {
    "random": {},
    "random_small": {
        **{"text_width": 128, "vision_width": 128, "num_layers": 2},
        **{"image_size": 64, "patch_size": 8, "embed_dim": 128},
    },
}  # arguments of `random_model`, by the name of the start


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to encode.

    Attributes:
        model: in evaluation mode, on its device.
        transform: PIL image -> float tensor 3 x H x W.
        tokenize: list of texts -> int64 ids_BT.
        revision: the Hub's commit, or "sha256:..." of the local files.
    """

    model: Model
    transform: Transform
    tokenize: Tokenize
    name: str
    revision: str
    preprocess: Preprocess

    @property
    def context_length(self) -> int:
        """Maximum tokens per text; longer texts are cut."""
        return self.tokenize.context_length


def load(
    name_or_path: str,
    *,
    context_length: int | None = LONG_CONTEXT,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
    activation: str | None = None,
) -> Loaded:
    """Load a CLIP model from any file or folder listed in docs/models.md, or from the Hub.

    Args:
        name_or_path: a folder, a weights file, or a Hub name: `owner/model` or `owner/model/path/in/it.pt`.
        context_length: 248 stretches a model of 77 positions by KPS; the model's own length or less keeps its
            table and cuts texts to it; None uses the model's own length.
        activation: "quick_gelu" or "gelu", for a weights file that does not state it; default: by its format.

    Raises:
        UserError: no such model, it is not a CLIP with ViT image tower, or it cannot have that context.
    """
    if context_length is not None and context_length < 3:
        raise UserError(f"a context of {context_length} tokens has no room for text; give 3 or more, usually 77 or 248")
    located = locate(name_or_path, revision)
    if located.path.is_dir() and needs_open_clip(located.path):
        model, preprocess, tokenize = _open_towers(located.path)
    else:
        checkpoint = read_checkpoint(located.path, activation=activation, context_length=context_length)
        model, preprocess = CLIPModel(checkpoint.config), checkpoint.preprocess
        model.load_state_dict(checkpoint.state)
        tokenize = Tokenize(checkpoint.config.text_config.max_position_embeddings)
    if context_length is not None and context_length != tokenize.context_length:
        if context_length > tokenize.context_length:
            stretch(model, context_length)
        elif not tokenize.trims:
            raise UserError(
                f"{name_or_path}: its texts are padded to {tokenize.context_length} tokens, which changes the "
                f"features; give context_length={tokenize.context_length}"
            )
        tokenize = replace(tokenize, context_length=context_length)
    model = model.to(device=device, dtype=dtype).eval()
    return Loaded(model, make_transform(preprocess), tokenize, name_or_path, located.revision, preprocess)


def _open_towers(folder: Path) -> tuple[OpenClipTowers, Preprocess, Tokenize]:
    model, images, tokenize = open_towers(folder)
    side = model.inner.visual.image_size
    sides = {side} if isinstance(side, int) else set(side)
    if len(sides) > 1:
        raise UserError(f"{folder}: its images are {side} pixels; only square ones are supported")
    return model, read_preprocess(images, sides.pop(), str(folder / CONFIG)), tokenize


def random_model(
    *,
    context_length: int = 77,
    text_width: int = 64,
    vision_width: int = 128,
    num_layers: int = 2,
    image_size: int = 32,
    patch_size: int = 16,
    embed_dim: int = 32,
    activation: str = "quick_gelu",
    seed: int = 0,
) -> Loaded:
    """A CLIP of random weights with the full vocabulary (4M parameters), for tests and dry runs."""
    text = {
        "hidden_size": text_width,
        "intermediate_size": 4 * text_width,
        "num_hidden_layers": num_layers,
        "num_attention_heads": text_width // 64,
        "max_position_embeddings": context_length,
        "hidden_act": activation,
        "bos_token_id": START_OF_TEXT,
        "eos_token_id": END_OF_TEXT,
        "pad_token_id": PAD,
    }
    vision = {
        "hidden_size": vision_width,
        "intermediate_size": 4 * vision_width,
        "num_hidden_layers": num_layers,
        "num_attention_heads": vision_width // 64,
        "image_size": image_size,
        "patch_size": patch_size,
        "hidden_act": activation,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=embed_dim)).eval()
        start_as_open_clip(model)
    preprocess = Preprocess(image_size)
    transform = make_transform(preprocess)
    return Loaded(model, transform, Tokenize(context_length), "random", f"seed:{seed}", preprocess)


def encode_image(model: Model, pixels_BCHW: torch.Tensor) -> torch.Tensor:
    """image_features_BD of unit length, float32 or better; gradients flow if enabled."""
    if isinstance(model, OpenClipTowers):
        return _unit(model.encode_image(pixels_BCHW))
    pooled_BW = model.vision_model(pixel_values=pixels_BCHW.to(model.dtype)).pooler_output
    return _unit(model.visual_projection(pooled_BW))


def encode_text(model: Model, ids_BT: torch.Tensor) -> torch.Tensor:
    """text_features_BD of unit length, float32 or better; gradients flow if enabled.

    The feature of a text is read at its first end token, so T may be anything from the longest text's length to the
    model's context, and the tokens after the end token do not matter; towers that are not causal need ids of the
    whole context, as their `Tokenize` gives them.
    """
    if isinstance(model, OpenClipTowers):
        return _unit(model.encode_text(ids_BT))
    pooled_BW = model.text_model(input_ids=ids_BT).pooler_output
    return _unit(model.text_projection(pooled_BW))


def compile_towers(model: Model) -> None:
    """Compile both towers with torch.compile, in place."""
    inner = model.inner if isinstance(model, OpenClipTowers) else None
    towers = (inner.visual, inner.text) if inner is not None else (model.vision_model, model.text_model)
    for tower in towers:
        tower.compile()


def _unit(features_BD: torch.Tensor) -> torch.Tensor:
    """Normalise in float32: in half precision the length would be off by up to 0.4 percent."""
    return functional.normalize(features_BD.to(torch.promote_types(features_BD.dtype, torch.float32)), dim=-1)
