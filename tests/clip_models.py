"""Small random CLIPs in the public formats, and the forward pass written out plainly, for the tests."""

from __future__ import annotations

import open_clip
import torch
import torch.nn.functional as F

VISION = {"image_size": 32, "patch_size": 16, "layers": 2, "width": 128}


def open_clip_model(*, quick_gelu: bool = True, context_length: int = 77, seed: int = 0) -> open_clip.CLIP:
    """A ViT-B/32 in small; every weight is random, the biases and norms too, so that none may be mixed up."""
    torch.manual_seed(seed)
    text = {"context_length": context_length, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
    model = open_clip.CLIP(
        embed_dim=32,
        vision_cfg=open_clip.CLIPVisionCfg(**VISION),
        text_cfg=open_clip.CLIPTextCfg(**text),
        quick_gelu=quick_gelu,
    )
    for parameter in model.parameters():
        if parameter.ndim:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def longclip_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights by the names of Long-CLIP's file: two position tables of 248 rows that share nothing."""
    state = dict(open_clip_model(context_length=248, seed=seed).state_dict())
    state["positional_embedding_res"] = torch.randn_like(state["positional_embedding"])
    return {name: tensor.clone() for name, tensor in state.items()}


def _block(x_BTD: torch.Tensor, state: dict[str, torch.Tensor], prefix: str, mask_TT: torch.Tensor) -> torch.Tensor:
    weight = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    batch, length, width = x_BTD.shape
    normed = F.layer_norm(x_BTD, (width,), weight["ln_1.weight"], weight["ln_1.bias"])
    heads = (normed @ weight["attn.in_proj_weight"].T + weight["attn.in_proj_bias"]).view(batch, length, 3, -1, 64)
    q, k, v = heads.unbind(2)
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / 8 + mask_TT
    mixed = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).reshape(batch, length, width)
    x_BTD = x_BTD + mixed @ weight["attn.out_proj.weight"].T + weight["attn.out_proj.bias"]
    normed = F.layer_norm(x_BTD, (width,), weight["ln_2.weight"], weight["ln_2.bias"])
    inner = normed @ weight["mlp.c_fc.weight"].T + weight["mlp.c_fc.bias"]
    inner = inner * torch.sigmoid(1.702 * inner)
    return x_BTD + inner @ weight["mlp.c_proj.weight"].T + weight["mlp.c_proj.bias"]


def longclip_text_features(state: dict[str, torch.Tensor], ids_BT: torch.Tensor) -> torch.Tensor:
    """Long-CLIP's public text forward: both tables masked and added, the feature at the largest id."""
    first_P1 = (torch.arange(248) < 20).float().unsqueeze(1)
    positions = state["positional_embedding"] * first_P1 + state["positional_embedding_res"] * (1 - first_P1)
    x_BTD = state["token_embedding.weight"][ids_BT] + positions
    mask_TT = torch.full((248, 248), float("-inf")).triu(1)
    for layer in range(2):
        x_BTD = _block(x_BTD, state, f"transformer.resblocks.{layer}.", mask_TT)
    x_BTD = F.layer_norm(x_BTD, (64,), state["ln_final.weight"], state["ln_final.bias"])
    features_BD = x_BTD[torch.arange(len(ids_BT)), ids_BT.argmax(-1)] @ state["text_projection"]
    return F.normalize(features_BD, dim=-1)


def longclip_image_features(state: dict[str, torch.Tensor], pixels_BCHW: torch.Tensor) -> torch.Tensor:
    """Long-CLIP's public image forward, without its principal components."""
    patches = F.conv2d(pixels_BCHW, state["visual.conv1.weight"], stride=16).flatten(2).transpose(1, 2)
    start = state["visual.class_embedding"].expand(len(patches), 1, -1)
    x_BTD = torch.cat([start, patches], dim=1) + state["visual.positional_embedding"]
    x_BTD = F.layer_norm(x_BTD, (128,), state["visual.ln_pre.weight"], state["visual.ln_pre.bias"])
    for layer in range(2):
        x_BTD = _block(x_BTD, state, f"visual.transformer.resblocks.{layer}.", torch.zeros(1))
    x_BD = F.layer_norm(x_BTD[:, 0], (128,), state["visual.ln_post.weight"], state["visual.ln_post.bias"])
    return F.normalize(x_BD @ state["visual.proj"], dim=-1)
