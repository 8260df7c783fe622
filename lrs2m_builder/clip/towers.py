"""Models that only open_clip has: SigLIP, SigLIP 2, timm image towers, text towers with another tokenizer.

They are opened by open_clip itself from a folder with its two files (`open_clip_config.json` and weights), and have the
few members of a transformers CLIPModel that encoding and training use. Needs the extra 'towers'.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from lrs2m_builder.clip.tokens import PAD, Tokenize
from lrs2m_builder.errors import MissingExtraError, UserError, one_line
from lrs2m_builder.files import read_json

CONFIG = "open_clip_config.json"
# What a CLIP of the formats in formats.py may state; anything else is left to open_clip.
_PLAIN_VISION = {"image_size", "patch_size", "layers", "width", "head_width", "mlp_ratio"}
_PLAIN_TEXT = {"context_length", "vocab_size", "layers", "width", "heads", "mlp_ratio"}
_TOKENIZER_FILES = ("tokenizer*.json", "special_tokens_map.json", "*.model", "vocab.*", "merges.txt")


class OpenClipTowers(nn.Module):  # type: ignore[misc]
    """An open_clip model with separate towers, in the place of a CLIPModel.

    Attributes:
        inner: open_clip's CustomTextCLIP; its logit bias, which is no part of a feature, is in the config.
        config: `projection_dim` (width of the features), `logit_bias` (None without one) and `model_cfg`.
    """

    def __init__(self, inner: nn.Module, model_cfg: dict[str, Any]) -> None:
        super().__init__()
        bias = inner.logit_bias
        inner.logit_bias = None
        self.inner = inner
        self.config = SimpleNamespace(
            projection_dim=int(model_cfg["embed_dim"]),
            logit_bias=None if bias is None else float(bias.detach().reshape(())),
            model_cfg=model_cfg,
        )

    @property
    def logit_scale(self) -> nn.Parameter:
        """Logarithm of the factor of the similarities."""
        return self.inner.logit_scale

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.inner.logit_scale.dtype

    def encode_image(self, pixels_BCHW: Tensor) -> Tensor:
        """image_features_BD, of any length."""
        return self.inner.visual(pixels_BCHW.to(self.dtype))

    def encode_text(self, ids_BT: Tensor) -> Tensor:
        """text_features_BD, of any length; ids are padded to the context, for which open_clip's causal mask is made."""
        return self.inner.text(functional.pad(ids_BT, (0, self.inner.context_length - ids_BT.shape[1]), value=PAD))

    def gradient_checkpointing_enable(self, _: Any = None) -> None:
        """Recompute activations in the backward pass."""
        self.inner.set_grad_checkpointing(True)

    def set_positions(self, table_PD: Tensor) -> None:
        """Give the text tower a position table, and the context of its length."""
        text = self.inner.text
        text.positional_embedding = nn.Parameter(table_PD)
        text.num_pos = text.context_length = self.inner.context_length = len(table_PD)
        if text.attn_mask is not None:
            text.register_buffer("attn_mask", text.build_causal_mask(), persistent=False)
        text_cfg = {**self.config.model_cfg["text_cfg"], "context_length": len(table_PD)}
        self.config.model_cfg = {**self.config.model_cfg, "text_cfg": text_cfg}

    def refuse_training(self) -> None:
        """Check that a step's gradient does not depend on how its batch is split.

        Raises:
            UserError: a tower has batch normalisation.
        """
        if any(isinstance(module, _BatchNorm) for module in self.modules()):
            raise UserError(
                f"{self.config.model_cfg['vision_cfg'].get('timm_model_name', 'this model')}: has batch normalisation, "
                "whose statistics depend on how a batch is split between processes; start from another model"
            )

    def save_parts(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """open_clip's model_cfg and state dict, with the logit bias."""
        model_cfg = {**self.config.model_cfg, "custom_text": True}
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.inner.state_dict().items()}
        if self.config.logit_bias is not None:
            model_cfg["init_logit_bias"] = self.config.logit_bias
            state["logit_bias"] = torch.full_like(state["logit_scale"], self.config.logit_bias)
        return model_cfg, state


@dataclass(frozen=True, slots=True)
class HubTokenize(Tokenize):
    """The tokenizer of a folder, as open_clip uses it: every text has the whole context, padded.

    Attributes:
        files: the tokenizer's files by name, which are saved with the model.
    """

    folder: str = ""
    files: dict[str, bytes] = field(default_factory=dict, repr=False)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = _tokenizer(self.folder, self.context_length)(list(texts)).tolist()
        return ids


def needs_open_clip(folder: Path) -> bool:
    """Whether a folder holds a model for open_clip that is no CLIP of two plain transformers."""
    if not (folder / CONFIG).is_file():
        return False
    cfg = read_json(folder / CONFIG).get("model_cfg") or {}
    vision, text = cfg.get("vision_cfg") or {}, cfg.get("text_cfg") or {}
    return bool(
        vision.get("timm_model_name") or not vision.keys() <= _PLAIN_VISION or not text.keys() <= _PLAIN_TEXT
    ) and not isinstance(vision.get("layers"), list)


def open_towers(folder: Path) -> tuple[OpenClipTowers, dict[str, Any], Tokenize]:
    """The model of a folder, its `preprocess_cfg`, and its tokenizer with its own context length.

    Raises:
        MissingExtraError: open_clip is not installed.
        UserError: open_clip cannot open it, or its files do not fit together.
    """
    try:
        import open_clip
    except ImportError as error:
        raise MissingExtraError("this model's towers", "towers", error) from error
    content = read_json(folder / CONFIG)
    model_cfg = deepcopy(content["model_cfg"])
    try:
        inner = open_clip.create_model(
            f"local-dir:{folder}", force_custom_text=True, pretrained_text=False, require_pretrained=True
        )
    except Exception as error:  # whatever open_clip, timm or torch raise of a foreign file
        raise UserError(f"{folder}: open_clip cannot open it ({one_line(error)[:300]})") from error
    if not isinstance(inner, open_clip.CustomTextCLIP):
        raise UserError(
            f"{folder}: {type(inner).__name__} is more than two towers; give a model of an image and a text tower"
        )
    towers = OpenClipTowers(inner.float().eval(), model_cfg)
    return towers, content.get("preprocess_cfg") or {}, _tokenize(folder, inner)


def _tokenize(folder: Path, inner: nn.Module) -> Tokenize:
    text = read_json(folder / CONFIG)["model_cfg"].get("text_cfg") or {}
    length = int(inner.context_length)
    if text.get("hf_tokenizer_name"):
        files = {path.name: path.read_bytes() for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)}
        return HubTokenize(length, False, str(folder), files)
    return Tokenize(length, trims=not text.get("no_causal_mask") and text.get("pool_type", "argmax") == "argmax")


_TOKENIZERS: dict[tuple[str, int], Any] = {}


def _tokenizer(folder: str, context_length: int) -> Any:
    """open_clip's tokenizer, opened once per process."""
    import open_clip

    if (folder, context_length) not in _TOKENIZERS:
        try:
            _TOKENIZERS[folder, context_length] = open_clip.get_tokenizer(
                f"local-dir:{folder}", context_length=context_length
            )
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: its tokenizer cannot be opened ({one_line(error)[:200]})") from error
    return _TOKENIZERS[folder, context_length]


def write_towers(towers: OpenClipTowers, preprocess_cfg: dict[str, Any], tokenize: Tokenize, folder: Path) -> None:
    """Write a folder that open_clip opens as `local-dir:FOLDER`, with the files of its tokenizer."""
    from safetensors.torch import save_file

    model_cfg, state = towers.save_parts()
    content = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
    (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    save_file(state, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    if isinstance(tokenize, HubTokenize):
        for name, data in tokenize.files.items():
            (folder / name).write_bytes(data)
