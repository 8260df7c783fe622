"""The architecture of a CLIP: from a transformers or open_clip config, or from the shapes of its weights."""

from __future__ import annotations

import math
from typing import Any

from transformers import CLIPConfig

from lrs2m_builder.clip.names import State
from lrs2m_builder.errors import UserError
from lrs2m_builder.tokenizer import END_OF_TEXT, START_OF_TEXT

HEAD_WIDTH = 64
# ViT-H, g and bigG: image towers that OpenAI never trained, with wider heads; open_clip's use the true GELU.
_WIDE_HEADS = {1280: 80, 1408: 88, 1664: 104}
_TEXT = "text_model.encoder.layers."
_VISION = "vision_model.encoder.layers."


def config_from_transformers(raw: dict[str, Any], activation: str | None, where: str) -> CLIPConfig:
    """A transformers config.json, with the end token corrected, which old files state wrongly.

    Raises:
        UserError: it is the config of another kind of model.
    """
    if raw.get("model_type") != "clip":
        raise UserError(f"{where}: model_type is {raw.get('model_type')!r}, not 'clip'")
    config = CLIPConfig.from_dict(raw)
    return _finished(config, activation)


def config_from_open_clip(cfg: dict[str, Any], state: State, activation: str | None, where: str) -> CLIPConfig:
    """From open_clip's model_cfg (activation and head width) and the shapes (everything else)."""
    vision = cfg.get("vision_cfg") or {}
    chosen = activation or ("quick_gelu" if cfg.get("quick_gelu") else "gelu")
    return config_from_shapes(state, chosen, where, vision_head_width=vision.get("head_width", HEAD_WIDTH))


def config_from_shapes(
    state: State, activation: str | None, where: str, *, vision_head_width: int | None = None
) -> CLIPConfig:
    """Only from the shapes; the activation is QuickGELU unless the tower is open_clip's own.

    OpenAI's models, Long-CLIP, LRSCLIP, DGTRS-CLIP, RemoteCLIP and GeoRSCLIP (up to L/14) all have QuickGELU.

    Raises:
        UserError: a weight whose shape is needed is missing or has an impossible shape.
    """
    try:
        vision_width, _, patch_size, _ = state["vision_model.embeddings.patch_embedding.weight"].shape
        num_patches = state["vision_model.embeddings.position_embedding.weight"].shape[0] - 1
        vocab_size, text_width = state["text_model.embeddings.token_embedding.weight"].shape
        context_length = state["text_model.embeddings.position_embedding.weight"].shape[0]
        embed_dim = state["text_projection.weight"].shape[0]
        text_mlp = state[f"{_TEXT}0.mlp.fc1.weight"].shape[0]
        vision_mlp = state[f"{_VISION}0.mlp.fc1.weight"].shape[0]
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{where}: not a complete CLIP: missing or misshapen: {error}") from error
    head_width = vision_head_width or _WIDE_HEADS.get(vision_width, HEAD_WIDTH)
    if vision_width % head_width or text_width % HEAD_WIDTH or math.isqrt(num_patches) ** 2 != num_patches:
        raise UserError(
            f"{where}: towers of width {text_width} (text) and {vision_width} (image) with {num_patches} patches are "
            f"not a CLIP: heads are {HEAD_WIDTH} wide and the image is square"
        )
    text = {
        "vocab_size": vocab_size,
        "hidden_size": text_width,
        "intermediate_size": text_mlp,
        "num_hidden_layers": _num_layers(state, _TEXT),
        "num_attention_heads": text_width // HEAD_WIDTH,
        "max_position_embeddings": context_length,
    }
    vision = {
        "hidden_size": vision_width,
        "intermediate_size": vision_mlp,
        "num_hidden_layers": _num_layers(state, _VISION),
        "num_attention_heads": vision_width // head_width,
        "image_size": patch_size * math.isqrt(num_patches),
        "patch_size": patch_size,
    }
    suggested = "gelu" if vision_width in _WIDE_HEADS else "quick_gelu"
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=embed_dim)
    return _finished(config, activation or suggested)


def _num_layers(state: State, prefix: str) -> int:
    return len({name.removeprefix(prefix).partition(".")[0] for name in state if name.startswith(prefix)})


def _finished(config: CLIPConfig, activation: str | None) -> CLIPConfig:
    """The activation, if given, in both towers; features are pooled at token 49407 (an old config's 2: argmax)."""
    for tower in (config.text_config, config.vision_config):
        tower.hidden_act = activation or tower.hidden_act
    config.text_config.bos_token_id = START_OF_TEXT
    config.text_config.eos_token_id = END_OF_TEXT
    config.text_config.pad_token_id = 0
    return config


def open_clip_config(config: CLIPConfig) -> dict[str, Any]:
    """The architecture as open_clip's model_cfg."""
    text, vision = config.text_config, config.vision_config
    return {
        "embed_dim": config.projection_dim,
        "quick_gelu": vision.hidden_act == "quick_gelu",
        "vision_cfg": {
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "layers": vision.num_hidden_layers,
            "width": vision.hidden_size,
            "head_width": vision.hidden_size // vision.num_attention_heads,
            "mlp_ratio": _ratio(vision.intermediate_size, vision.hidden_size),
        },
        "text_cfg": {
            "context_length": text.max_position_embeddings,
            "vocab_size": text.vocab_size,
            "layers": text.num_hidden_layers,
            "width": text.hidden_size,
            "heads": text.num_attention_heads,
            "mlp_ratio": _ratio(text.intermediate_size, text.hidden_size),
        },
    }


def _ratio(inner: int, width: int) -> float:
    """A ratio that open_clip's int(width * ratio) turns back into `inner`."""
    ratio = inner / width
    return ratio if int(width * ratio) == inner else math.nextafter(ratio, math.inf)
