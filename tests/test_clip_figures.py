"""Figures of the evaluations: where a text looks is true in cases with a known answer, and every figure is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lrs2m_builder.clip.model import Loaded, encode_image, random_model
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.data import EvalImage
from lrs2m_builder.evals.figures.length_plot import draw_length_plot, line_labels
from lrs2m_builder.evals.figures.retrieval_sheet import draw_retrieval_sheet, nearest
from lrs2m_builder.evals.figures.text_heat import feature_heat, text_heat
from lrs2m_builder.evals.figures.text_heat_sheet import draw_text_heat
from lrs2m_builder.evals.record import Result
from lrs2m_builder.evals.registry import find_evaluation

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


def drawn_set(folder: Path, num_images: int = 6) -> list[EvalImage]:
    """Coloured squares that name their colour."""
    images = []
    for number in range(num_images):
        path = folder / f"{number}.png"
        Image.new("RGB", (50, 40), (40 * number, 255 - 40 * number, 90)).save(path)
        images.append(EvalImage(path.name, path, (f"A field for $ {number} $.", f"Land {number}.")))
    return images


def both_are_drawn(paths: list[Path]) -> bool:
    png, svg = paths
    return Image.open(png).width > 500 and svg.read_text().count("<svg") == 1


def test_the_retrieval_sheet_is_drawn_of_texts_that_hold_dollar_signs(tmp_path: Path) -> None:
    sheet = draw_retrieval_sheet(random_model(), drawn_set(tmp_path), tmp_path / "f.one.png", show_progress=False)
    assert [path.name for path in sheet] == ["f.one.png", "f.one.svg"] and both_are_drawn(sheet)


def test_the_rank_of_the_best_right_answer_counts_lower_numbers_first_among_equals() -> None:
    features = np.array([[1, 0], [0, 1], [0, 1], [0.6, 0.8]], np.float32)
    found, scores, rank = nearest(np.array([0, 1], np.float32), features, np.array([2, 0]), 2)
    assert (found, scores, rank) == ([1, 2], [1.0, 1.0], 2)


def test_the_heat_sheet_has_a_panel_for_each_text(tmp_path: Path) -> None:
    (image, *_) = drawn_set(tmp_path)
    assert both_are_drawn(draw_text_heat(random_model(), image.image, ["a road", "a $5 car"], tmp_path / "two"))
    with pytest.raises(UserError, match="figure 2 wants a text"):
        draw_text_heat(random_model(), image.image, [], tmp_path / "none")


def result(model: str, dataset: str = "RSITMD-L", **details: Any) -> Result:
    metrics = dict.fromkeys(find_evaluation("zcrl").metrics, 0.5)
    return Result("zcrl", dataset, model, "sha256:0", metrics, 452, 452, details=details)


LENGTHS = [
    {"low": 60, "high": 79, "num_texts": 30, "t2i_r1": 0.4, "num_images": 30, "i2t_r1": 0.3},
    {"low": 80, "high": 99, "num_texts": 3, "t2i_r1": 0.2, "num_images": 0, "i2t_r1": None},
]


def test_recalls_by_length_are_drawn_for_several_models(tmp_path: Path) -> None:
    results = [result("a/b", lengths=LENGTHS), result("runs/c/model", lengths=LENGTHS), result("none")]
    assert both_are_drawn(draw_length_plot(results, tmp_path / "three.svg"))
    with pytest.raises(UserError, match="--by-length"):
        draw_length_plot(results[2:], tmp_path / "three")


def test_lines_are_told_apart_by_what_differs() -> None:
    assert line_labels([result("a/b"), result("runs/c/model")]) == ["b", "c"]
    assert line_labels([result("a/b"), result("c/b")]) == ["a/b", "c/b"]
    assert line_labels([result("a/b"), result("a/b", "RSICD-L")]) == ["b, RSITMD-L", "b, RSICD-L"]
