"""Where a text looks in an image: the heat of each patch for the cosine of the two, by Grad-ECLIP.

C. Zhao, K. Wang, X. Zeng, R. Zhao, A. B. Chan, "Gradient-based Visual Explanation for Transformer-based CLIP", ICML
2024 (arXiv 2502.18816). In the last layer of the image tower, with S the cosine of image and text:

    heat_i = ReLU(sum_c  dS/do_c * lambda_i * v_ic)

o is what attention gives the class token (before the output projection), v_i the value of patch i, and lambda_i the
cosine of the class token's query and the key of patch i, stretched to 0 .. 1 over the patches: looser than the
softmax, which keeps but few patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from lrs2m_builder.clip.model import Loaded, encode_image, encode_text
from lrs2m_builder.clip.towers import OpenClipTowers
from lrs2m_builder.errors import UserError


def text_heat(loaded: Loaded, image: Image.Image, text: str) -> tuple[np.ndarray, float]:
    """Heat of each patch, (side, side), 0 to 1 (all 0 if no patch supports the text), and the cosine."""
    device = next(loaded.model.parameters()).device
    with torch.no_grad():
        text_D = encode_text(loaded.model, loaded.tokenize([text], trim=True).to(device))[0]
    return feature_heat(loaded, loaded.transform(image), text_D)


def feature_heat(loaded: Loaded, pixels_CHW: torch.Tensor, text_D: torch.Tensor) -> tuple[np.ndarray, float]:
    """As `text_heat`, for pixels that went through `loaded.transform` and a text's feature."""
    device = next(loaded.model.parameters()).device
    if isinstance(loaded.model, OpenClipTowers):
        raise UserError(f"{loaded.name}: heat maps need the image tower of a CLIP with a ViT, and this one is another")
    attention = loaded.model.vision_model.encoder.layers[-1].self_attn
    with torch.enable_grad(), _kept(attention) as kept:
        image_D = encode_image(loaded.model, pixels_CHW[None].to(device))[0]
        cosine = image_D @ text_D.to(image_D)
        (gradient_TW,) = torch.autograd.grad(cosine, kept["out"])
    query_W, keys_PW = kept["q"][0, 0].detach(), kept["k"][0, 1:].detach()
    looseness_P = _stretched(functional.cosine_similarity(keys_PW, query_W[None], dim=-1))
    heat_P = (kept["v"][0, 1:].detach() @ gradient_TW[0, 0] * looseness_P).clamp(min=0).float().cpu().numpy()
    side = round(len(heat_P) ** 0.5)
    highest = float(heat_P.max())
    return (heat_P / highest if highest > 0 else heat_P).reshape(side, side), float(cosine.detach())


def _stretched(values_P: torch.Tensor) -> torch.Tensor:
    """Scale to 0 .. 1; equal values all become 1, so that no patch is left out."""
    low, high = values_P.min(), values_P.max()
    return (values_P - low) / (high - low) if high - low > 1e-6 else torch.ones_like(values_P)


@contextmanager
def _kept(attention: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Records the queries, keys and values of a layer's attention, and its output before `out_proj`."""
    kept: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            kept[name] = output

        return hook

    def keep_input(_module: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        kept["out"] = inputs[0] if inputs[0].requires_grad else inputs[0].detach().requires_grad_()
        return (kept["out"],)

    hooks = [getattr(attention, f"{name}_proj").register_forward_hook(keep(name)) for name in "qkv"]
    hooks.append(attention.out_proj.register_forward_pre_hook(keep_input))
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()
