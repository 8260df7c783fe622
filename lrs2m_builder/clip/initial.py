"""Random weights to train from scratch: open_clip's initialisation, which learns faster than transformers'.

After 100 steps on UCM-Captions the loss is 2.7 with open_clip's and 2.8 to 2.9 with transformers' (benchmarks/
learning.py), whose patch and position weights of the image tower begin too small.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import CLIPModel


def start_as_open_clip(model: CLIPModel) -> None:
    """Redraw all weights from PyTorch's generator."""
    with torch.no_grad():
        text, vision = model.text_model, model.vision_model
        text_width, num_layers = model.config.text_config.hidden_size, model.config.text_config.num_hidden_layers
        image_std = model.config.vision_config.hidden_size**-0.5
        nn.init.normal_(text.embeddings.token_embedding.weight, std=0.02)
        nn.init.normal_(text.embeddings.position_embedding.weight, std=0.01)
        nn.init.normal_(model.text_projection.weight, std=text_width**-0.5)
        into_std = text_width**-0.5 * (2 * num_layers) ** -0.5
        for layer in text.encoder.layers:
            attention = layer.self_attn
            for part in (attention.q_proj, attention.k_proj, attention.v_proj):
                _draw(part, nn.init.normal_, std=text_width**-0.5)
            _draw(attention.out_proj, nn.init.normal_, std=into_std)
            layer.mlp.fc1.reset_parameters()
            layer.mlp.fc2.reset_parameters()
            nn.init.normal_(layer.mlp.fc1.weight, std=(2 * text_width) ** -0.5)
            nn.init.normal_(layer.mlp.fc2.weight, std=into_std)
        vision.embeddings.patch_embedding.reset_parameters()
        nn.init.normal_(vision.embeddings.class_embedding, std=image_std)
        nn.init.normal_(vision.embeddings.position_embedding.weight, std=image_std)
        nn.init.normal_(model.visual_projection.weight, std=image_std)
        for layer in vision.encoder.layers:
            attention = layer.self_attn
            bound = image_std * (6 / 4) ** 0.5  # Xavier's for the three as one matrix, as in nn.MultiheadAttention
            for part in (attention.q_proj, attention.k_proj, attention.v_proj):
                _draw(part, nn.init.uniform_, a=-bound, b=bound)
            attention.out_proj.reset_parameters()
            nn.init.zeros_(attention.out_proj.bias)
            layer.mlp.fc1.reset_parameters()
            layer.mlp.fc2.reset_parameters()


def _draw(linear: nn.Linear, draw: Callable[..., Any], **options: float) -> None:
    draw(linear.weight, **options)
    nn.init.zeros_(linear.bias)
