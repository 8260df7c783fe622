"""A CLIP model with its inputs: `load` gives model, transform and tokenizer; `encode_*` give the features.

The model is always transformers' CLIPModel, whatever file it came from (formats.py). There is no attention mask for
padding: the text tower is causal, so tokens after the end token never change a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from lrs2m_builder.clip.formats import read_checkpoint
from lrs2m_builder.clip.initial import start_as_open_clip
from lrs2m_builder.clip.kps import stretch
from lrs2m_builder.clip.locate import locate
from lrs2m_builder.clip.preprocess import Preprocess, Transform, make_transform
from lrs2m_builder.errors import UserError
from lrs2m_builder.tokenizer import END_OF_TEXT, START_OF_TEXT, encode_batch

LONG_CONTEXT = 248
RANDOM: dict[str, dict[str, Any]] = {
    "random": {},
    "random_small": {
        **{"text_width": 128, "vision_width": 128, "num_layers": 2},
        **{"image_size": 64, "patch_size": 8, "embed_dim": 128},
    },
}  # arguments of `random_model`, by the name of the start
PAD = 0  # as in open_clip; only after the end token, where no feature depends on it


@dataclass(frozen=True, slots=True)
class Tokenize:
    """Texts -> int64 ids_BT, equal to open_clip's; a text that is too long is cut and ends with the end token.

    Attributes:
        context_length: T, the length to which texts are cut.
    """

    context_length: int

    def __call__(self, texts: Sequence[str], *, trim: bool = False) -> torch.Tensor:
        """Token ids of a batch; with `trim`, T is the longest text's length: cheaper, and the same features."""
        batch = encode_batch(texts, self.context_length)
        return pad_ids(batch, None if trim else self.context_length)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to encode.

    Attributes:
        model: in evaluation mode, on its device.
        transform: PIL image -> float tensor 3 x H x W.
        tokenize: list of texts -> int64 ids_BT.
        revision: the Hub's commit, or "sha256:..." of the local files.
    """

    model: CLIPModel
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
    located = locate(name_or_path, revision)
    checkpoint = read_checkpoint(located.path, activation=activation)
    model = CLIPModel(checkpoint.config)
    model.load_state_dict(checkpoint.state)
    own_length = checkpoint.config.text_config.max_position_embeddings
    context_length = own_length if context_length is None else context_length
    if context_length < 3:
        raise UserError(f"a context of {context_length} tokens has no room for text; give 3 or more, usually 77 or 248")
    if context_length > own_length:
        stretch(model, context_length)
    model = model.to(device=device, dtype=dtype).eval()
    return _with_inputs(model, checkpoint.preprocess, context_length, name_or_path, located.revision)


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
    return _with_inputs(model, Preprocess(image_size), context_length, "random", f"seed:{seed}")


def _with_inputs(model: CLIPModel, preprocess: Preprocess, context_length: int, name: str, revision: str) -> Loaded:
    return Loaded(model, make_transform(preprocess), Tokenize(context_length), name, revision, preprocess)


def pad_ids(batch: Sequence[Sequence[int]], length: int | None = None) -> torch.Tensor:
    """Token ids of several texts as one int64 tensor ids_BT, padded to `length`, by default to the longest."""
    length = max(map(len, batch), default=0) if length is None else length
    ids_BT = torch.full((len(batch), length), PAD, dtype=torch.int64)
    for row, ids in enumerate(batch):
        ids_BT[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
    return ids_BT


def encode_image(model: CLIPModel, pixels_BCHW: torch.Tensor) -> torch.Tensor:
    """image_features_BD of unit length, float32 or better; gradients flow if enabled."""
    pooled_BW = model.vision_model(pixel_values=pixels_BCHW.to(model.dtype)).pooler_output
    return _unit(model.visual_projection(pooled_BW))


def encode_text(model: CLIPModel, ids_BT: torch.Tensor) -> torch.Tensor:
    """text_features_BD of unit length, float32 or better; gradients flow if enabled.

    The feature of a text is read at its first end token, so T may be anything from the longest text's length to the
    model's context, and the tokens after the end token do not matter.
    """
    pooled_BW = model.text_model(input_ids=ids_BT).pooler_output
    return _unit(model.text_projection(pooled_BW))


def _unit(features_BD: torch.Tensor) -> torch.Tensor:
    """Normalise in float32: in half precision the length would be off by up to 0.4 percent."""
    return functional.normalize(features_BD.to(torch.promote_types(features_BD.dtype, torch.float32)), dim=-1)
