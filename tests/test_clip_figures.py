"""Figures of the evaluations: where a text looks is true in cases with a known answer, and every figure is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lrs2m_builder.clip.model import Loaded, encode_image, random_model
from lrs2m_builder.evals.figures.text_heat import feature_heat, text_heat

SIDE = 4  # patches


def even_model(seed: int = 0) -> Loaded:
    """One layer that attends to all patches alike and does not know where they are: what a patch adds is exact."""
    loaded = random_model(num_layers=1, image_size=SIDE * 16, seed=seed)
    tower = loaded.model.vision_model
    with torch.no_grad():
        tower.embeddings.position_embedding.weight.zero_()
        tower.encoder.layers[0].self_attn.k_proj.weight.zero_()
    return loaded


def scene(patch: int | None) -> torch.Tensor:
    """Grey pixels, with one patch of another pattern."""
    pixels = torch.full((3, SIDE * 16, SIDE * 16), 0.1)
    if patch is not None:
        row, column = divmod(patch, SIDE)
        pattern = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(1))
        pixels[:, row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = pattern
    return pixels


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("patch", [0, 5, 10, 15])
def test_a_text_of_one_patch_looks_at_that_patch(patch: int, seed: int) -> None:
    loaded = even_model(seed)
    with torch.no_grad():
        with_patch, without = (encode_image(loaded.model, scene(each)[None])[0] for each in (patch, None))
    heat, _ = feature_heat(loaded, scene(patch), torch.nn.functional.normalize(with_patch - without, dim=0))
    assert heat.shape == (SIDE, SIDE) and heat.argmax() == patch and heat.max() == 1
    assert np.delete(heat.ravel(), patch).max() < 0.5


def test_a_text_against_the_patch_looks_elsewhere() -> None:
    loaded = even_model()
    with torch.no_grad():
        with_patch, without = (encode_image(loaded.model, scene(each)[None])[0] for each in (5, None))
    heat, _ = feature_heat(loaded, scene(5), torch.nn.functional.normalize(without - with_patch, dim=0))
    assert heat.ravel()[5] == 0


def test_looking_leaves_the_model_as_it_was_and_gives_its_cosine() -> None:
    loaded = random_model()
    pixels, text_D = torch.randn(3, 32, 32), torch.nn.functional.normalize(torch.randn(32), dim=0)
    with torch.no_grad():
        before = encode_image(loaded.model, pixels[None])[0]
    heat, cosine = feature_heat(loaded, pixels, text_D)
    with torch.no_grad():
        assert torch.equal(encode_image(loaded.model, pixels[None])[0], before)
    assert cosine == pytest.approx(float(before @ text_D), abs=1e-6)
    assert heat.min() >= 0 and heat.max() <= 1
    assert all(parameter.grad is None for parameter in loaded.model.parameters())


def test_a_real_text_and_image_give_a_heat_of_each_patch() -> None:
    heat, cosine = text_heat(random_model(), Image.new("RGB", (90, 60), (20, 90, 30)), "a green field")
    assert heat.shape == (2, 2) and -1 <= cosine <= 1
