"""The two naming schemes for the weights of a CLIP with a ViT: OpenAI's (also open_clip's) and transformers'."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

State = dict[str, torch.Tensor]

_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")
_LAYER = re.compile(r"(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)")
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_OUTSIDE = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # transformers' spelling
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
_INSIDE = {
    f"{theirs}.{kind}": f"{ours}.{kind}"
    for kind in ("weight", "bias")
    for theirs, ours in {
        "attn.out_proj": "self_attn.out_proj",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }.items()
}
_BACK_OUTSIDE = {ours: theirs for theirs, ours in _OUTSIDE.items()}
_BACK_TRANSPOSED = {ours: theirs for theirs, ours in _TRANSPOSED.items()}
_BACK_INSIDE = {ours: theirs for theirs, ours in _INSIDE.items()}
_QKV = ("q", "k", "v")


def to_transformers(state: Mapping[str, torch.Tensor]) -> tuple[State, list[str]]:
    """OpenAI's names -> transformers', and the unknown names."""
    result: State = {}
    unknown = []
    for name, tensor in state.items():
        block = _BLOCK.fullmatch(name)
        if name in _OUTSIDE:
            result[_OUTSIDE[name]] = tensor.reshape(()) if name == "logit_scale" and tensor.numel() == 1 else tensor
        elif name in _TRANSPOSED:
            result[_TRANSPOSED[name]] = tensor.t().contiguous()
        elif block and (renamed := _into_layer(block[3], tensor)):
            tower = "vision" if block[1] else "text"
            result |= {f"{tower}_model.encoder.layers.{block[2]}.{key}": value for key, value in renamed.items()}
        else:
            unknown.append(name)
    return result, unknown


def _into_layer(name: str, tensor: torch.Tensor) -> State:
    """A block's tensors by the names inside a transformers layer; the attention's input matrix is split in three."""
    if name in _INSIDE:
        return {_INSIDE[name]: tensor}
    if name in {"attn.in_proj_weight", "attn.in_proj_bias"}:
        kind = name.rpartition("_")[2]
        parts = tensor.chunk(3)
        return {f"self_attn.{part}_proj.{kind}": rows.clone() for part, rows in zip(_QKV, parts, strict=False)}
    return {}


def to_open_clip(state: Mapping[str, torch.Tensor]) -> State:
    """Transformers' names of a whole CLIPModel -> OpenAI's; the inverse of `to_transformers`."""
    result: State = {}
    for name, tensor in state.items():
        if name in _BACK_OUTSIDE:
            result[_BACK_OUTSIDE[name]] = tensor
        elif name in _BACK_TRANSPOSED:
            result[_BACK_TRANSPOSED[name]] = tensor.t().contiguous()
        elif layer := _LAYER.fullmatch(name):
            tower, number, key = layer.groups()
            prefix = f"{'visual.' if tower == 'vision' else ''}transformer.resblocks.{number}."
            if key in _BACK_INSIDE:
                result[prefix + _BACK_INSIDE[key]] = tensor
            elif key.startswith("self_attn.q_proj."):  # handled together with k_proj and v_proj
                kind = key.rpartition(".")[2]
                parts = [state[name.replace("q_proj", f"{part}_proj")] for part in _QKV]
                result[f"{prefix}attn.in_proj_{kind}"] = torch.cat(parts)
    return result
