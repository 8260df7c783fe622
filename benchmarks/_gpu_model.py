"""A model of the shape of Qwen2-VL-7B without weights, for vLLM's `load_format=dummy`."""

from __future__ import annotations

import json
from pathlib import Path

from captioner_training.random_model import make_random_model

TOKENS = 128  # of each answer
SIDE = 448  # pixels: 256 image tokens
_TEXT = {
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
    "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1000000.0},
}
_VISION = {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "mlp_ratio": 4}


def make_shape_of_7b(folder: Path) -> Path:
    """Write the configuration of the 7B model with a small model's tokenizer and processor; returns the folder."""
    make_random_model(folder, min_side=SIDE, max_side=SIDE)
    (folder / "model.safetensors").unlink()
    path = folder / "config.json"
    config = json.loads(path.read_text())
    text = {name: value for name, value in config["text_config"].items() if name not in {"layer_types", "head_dim"}}
    config["text_config"] = text | _TEXT
    config["vision_config"] |= _VISION
    config["tie_word_embeddings"] = False
    path.write_text(json.dumps(config))
    return folder


def allowed_tokens(folder: Path) -> list[int]:
    """Tokens that are plain letters: answers of random weights are then texts, which a build writes like any other."""
    vocabulary: dict[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    letters = {text: number for text, number in vocabulary.items() if text.lstrip("Ġ").isascii()}
    return sorted(number for text, number in letters.items() if text.lstrip("Ġ").isalpha())
