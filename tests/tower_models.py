"""Small random models that only open_clip opens, in folders as on the Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = ("a", "red", "white", "field", "the", "plane", "road", "beside", "row", "of", "trees", "number", "with")
SIGLIP_TEXT = {
    **{"context_length": 64, "vocab_size": 64, "width": 64, "heads": 2, "layers": 2, "hf_tokenizer_name": "timm/toy"},
    **{"tokenizer_kwargs": {"clean": "canonicalize"}, "no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
    "norm_kwargs": {"eps": 1e-6},
}
SIGLIP = {
    **{"embed_dim": 64, "init_logit_bias": -10, "custom_text": True},
    "vision_cfg": {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "map", "timm_proj": "none"},
    "text_cfg": SIGLIP_TEXT,
}
SIGLIP2 = SIGLIP | {"text_cfg": SIGLIP_TEXT | {"act_kwargs": {"approximate": "tanh"}}}
CLIP_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}


def timm_clip(name: str) -> dict[str, Any]:
    """A timm image tower with the text tower of a CLIP."""
    vision = {"image_size": 160, "timm_model_name": name, "timm_pool": "avg", "timm_proj": "linear"}
    return {"embed_dim": 32, "vision_cfg": vision, "text_cfg": dict(CLIP_TEXT)}


KINDS = {"siglip": SIGLIP, "siglip2": SIGLIP2, "convnext": timm_clip("test_convnext"), "vit": timm_clip("test_vit")}
SQUASHED = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


def tower_folder(folder: Path, cfg: dict[str, Any]) -> Path:
    """Write a model of a configuration; every weight is random, so that none may be mixed up."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    arguments = {name: value for name, value in json.loads(json.dumps(cfg)).items() if name != "custom_text"}
    model = (open_clip.CustomTextCLIP if cfg.get("custom_text") else open_clip.CLIP)(**arguments)
    for parameter in model.parameters():
        if parameter.ndim:
            torch.nn.init.normal_(parameter, std=0.1)
    content = {"model_cfg": cfg, "preprocess_cfg": SQUASHED if cfg.get("init_logit_bias") else {}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    if "hf_tokenizer_name" in cfg["text_cfg"]:
        words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["<pad>", "<unk>", *WORDS])}, "<unk>"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    return folder
