"""What is trained: layers that stay, learning rates per tower and layer, and LoRA, whose export needs no adapter."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel

from lrs2m_builder import cli
from lrs2m_builder.clip.model import Loaded, encode_image, encode_text, random_model
from lrs2m_builder.errors import UserError
from lrs2m_builder.train.config import TrainConfig, changed
from lrs2m_builder.train.named_configs import tiny
from lrs2m_builder.train.optim import make_optimizer
from lrs2m_builder.train.run import train
from lrs2m_builder.train.state import TrainingRun
from lrs2m_builder.train.step import Towers
from lrs2m_builder.train.trained import choose_trained
from tests.clip_toy import make_data

TEXTS = ["A red field with the number 8.", "It lies flat beside a road and a row of trees."]
LORA = {"lora_image": 2, "lora_text": 3, "lr": 0.05}
FIRST_LAYER = ("embeddings.", "pre_layrnorm.", "encoder.layers.0.")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_data(tmp_path_factory.mktemp("data"))


def settings(**changes: Any) -> TrainConfig:
    return changed(tiny(), {"max_steps": 3, "momentum": 0.0, "dampening": 0.0, **changes})


def trained_names(**changes: Any) -> set[str]:
    """Names of the parameters that are trained."""
    model = random_model(context_length=77).model
    choose_trained(model, settings(**changes))
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_locked_layers_keep_every_bit_and_all_others_are_trained(data: Path, tmp_path: Path) -> None:
    config = settings(locked_image=1, locked_text="all", weight_decay=0.5, ema=0.5, optimizer="adamw")
    saved = load_file(train(config, [data], out_dir=tmp_path / "run") / "model.safetensors")
    start = random_model(context_length=248).model.state_dict()
    for name, weight in saved.items():
        tower, _, rest = name.partition(".")
        stays = tower in {"text_model", "text_projection"} or (tower == "vision_model" and rest.startswith(FIRST_LAYER))
        assert torch.equal(weight, start[name]) is stays, name


def test_a_number_of_locked_layers_leaves_the_top_and_all_locks_the_projection_too() -> None:
    every = {name for name, _ in random_model(context_length=77).model.named_parameters()}
    assert trained_names() == every
    image = {name for name in every if name.startswith(("vision_model.", "visual_projection."))}
    assert trained_names(locked_image="all") == every - image
    left = {"vision_model.post_layernorm.weight", "vision_model.post_layernorm.bias", "visual_projection.weight"}
    assert trained_names(locked_image=2) == every - image | left


def test_rates_follow_the_tower_and_fall_with_each_layer_below_the_top() -> None:
    towers = Towers(random_model(context_length=77).model, has_bias=True)
    optimizer = make_optimizer(towers, settings(lr=0.1, lr_text=0.2, layer_decay=0.5))
    name_of = {id(parameter): name.removeprefix("model.") for name, parameter in towers.named_parameters()}
    rate = {name_of[id(each)]: group["lr"] for group in optimizer.param_groups for each in group["params"]}
    assert rate.keys() == set(name_of.values())
    expected = {
        **{"logit_scale": 0.1, "bias": 0.1, "text_projection.weight": 0.2, "visual_projection.weight": 0.1},
        **{"text_model.final_layer_norm.bias": 0.2, "vision_model.post_layernorm.weight": 0.1},
        **{"text_model.encoder.layers.1.mlp.fc1.weight": 0.1, "vision_model.encoder.layers.1.mlp.fc1.bias": 0.05},
        **{"text_model.encoder.layers.0.layer_norm1.bias": 0.05, "vision_model.encoder.layers.0.mlp.fc1.bias": 0.025},
        **{"text_model.embeddings.token_embedding.weight": 0.025, "vision_model.pre_layrnorm.weight": 0.0125},
        "vision_model.embeddings.patch_embedding.weight": 0.0125,
    }
    assert {name: rate[name] for name in expected} == pytest.approx(expected)


def test_the_schedule_keeps_the_ratio_of_the_rates(data: Path, tmp_path: Path) -> None:
    """One step of plain SGD moves a weight in proportion to its rate."""
    moved = {}
    for name, changes in (("alike", {}), ("other", {"lr_image": 0.03, "lr": 0.01})):
        config = settings(max_steps=1, warmup_steps=0, **{"lr": 0.01, **changes})
        saved = load_file(train(config, [data], out_dir=tmp_path / name) / "model.safetensors")
        start = random_model(context_length=248).model.state_dict()
        moved[name] = {key: saved[key] - start[key] for key in ("visual_projection.weight", "text_projection.weight")}
    torch.testing.assert_close(
        moved["other"]["visual_projection.weight"], 3 * moved["alike"]["visual_projection.weight"], rtol=1e-3, atol=1e-7
    )
    assert torch.equal(moved["other"]["text_projection.weight"], moved["alike"]["text_projection.weight"])


def test_lora_trains_its_matrices_and_the_scale_alone() -> None:
    names = trained_names(lora_image=2, lora_text=3, locked_text=1)
    assert names - {"logit_scale"} and all(".lora_" in name for name in names - {"logit_scale"})
    assert {re.search(r"layers\.(\d)", name)[1] for name in names if name.startswith("text_model")} == {"1"}  # type: ignore[index]
    on_attention = trained_names(lora_image=2, locked_text="all", lora_on="attention")
    assert {name.split(".")[4] for name in on_attention - {"logit_scale"}} == {"self_attn"}
    only_text = trained_names(lora_text=2)
    assert "visual_projection.weight" in only_text and "text_projection.weight" not in only_text


def features(loaded: Loaded) -> list[Tensor]:
    pixels_BCHW = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return [encode_image(loaded.model, pixels_BCHW), encode_text(loaded.model, loaded.tokenize(TEXTS))]


@pytest.fixture(scope="module")
def lora_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Tensor]]:
    """A finished run with LoRA on both towers, and the features of its model with the adapters beside the weights."""
    made: list[Tensor] = []

    def measure(loaded: Loaded) -> dict[str, float]:
        loaded.model.eval()
        made[:] = features(loaded)
        loaded.model.train()
        return {}

    out = tmp_path_factory.mktemp("lora") / "run"
    train(settings(**LORA), [data], out_dir=out, make_evaluate=lambda _: measure)
    return out, made


def test_the_exported_model_of_a_lora_run_has_the_adapter_models_features(
    lora_run: tuple[Path, list[Tensor]],
) -> None:
    out, made = lora_run
    loaded = random_model(context_length=248)
    assert not any(torch.allclose(a, b, atol=1e-3) for a, b in zip(made, features(loaded), strict=True))
    model = AutoModel.from_pretrained(out / "model")
    loaded.model.load_state_dict(model.state_dict())  # the plain model's names: no adapter is left
    for with_adapter, merged in zip(made, features(loaded), strict=True):
        torch.testing.assert_close(merged, with_adapter, atol=1e-6, rtol=0)


def test_the_exported_model_of_a_lora_run_opens_in_open_clip(lora_run: tuple[Path, list[Tensor]]) -> None:
    out, made = lora_run
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{out / 'model'}")
    model.eval()
    ids_BT = open_clip.get_tokenizer(f"local-dir:{out / 'model'}")(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(functional.normalize(model.encode_text(ids_BT), dim=-1), made[1], atol=1e-6, rtol=0)


def test_a_lora_run_resumes_with_the_same_losses_and_weights(data: Path, tmp_path: Path) -> None:
    config = settings(**LORA, checkpoint_every=1, ema=0.5, wise_ft=0.5, lora_dropout=0.1)
    train(config, [data], out_dir=tmp_path / "whole")
    log = TrainingRun.log

    def stop(run: TrainingRun, *arguments: Any, **options: Any) -> None:
        log(run, *arguments, **options)
        if run.step == 2:
            raise RuntimeError("stop here")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingRun, "log", stop)
        with pytest.raises(RuntimeError, match="stop here"):
            train(config, [data], out_dir=tmp_path / "out")
    train(config, [data], out_dir=tmp_path / "out")
    names = ("loss", "logit_scale")
    lines = [
        [[json.loads(line)[name] for name in names] for line in (tmp_path / run / "metrics.jsonl").open()]
        for run in ("whole", "out")
    ]
    assert lines[0] == lines[1] and len(lines[0]) == 3
    files = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in ("whole", "out")]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"locked_image": "all", "locked_text": "all"}, "leave nothing to train"),
        ({"locked_text": "all", "lora_text": 4}, "locked_text=all leaves nothing of the tower to train, but lora_text"),
        ({"locked_image": "all", "lr_image": 0.1}, "locked_image=all leaves nothing .* but lr_image is set"),
        ({"lora_alpha": 8}, "lora_alpha and lora_dropout need a rank"),
        ({"locked_image": -1}, "locked_image"),
        ({"locked_image": "some"}, "locked_image"),
        ({"layer_decay": 0}, "layer_decay"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings(**changes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("locked_image=3",), "locked_image=3: the image tower of random has 2 layers; give 0 to 2, or all"),
        (("locked_text=2", "lora_text=4"), "locked_text=2 leaves no layer of the text tower for lora_text; give less"),
    ],
)
def test_more_layers_than_a_tower_has_are_one_line(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    sets = [part for word in words for part in ("--set", word)]
    arguments = ["lrs2m", "train", str(data), "--config", "tiny", *sets, "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == f"error: {message}"
