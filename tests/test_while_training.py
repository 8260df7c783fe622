"""While a model trains: classes are measured beside pairs, the best step can be kept, the run is drawn and logged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lrs2m_builder.clip.model import Loaded, random_model
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.classification import evaluate
from lrs2m_builder.evals.data import Columns, read_images
from lrs2m_builder.evals.held_out_classes import is_class_folder, measure_classes, read_classes
from lrs2m_builder.evals.publish_model import publish_model
from lrs2m_builder.evals.while_training import make_measures
from lrs2m_builder.train.config import TrainConfig, changed
from lrs2m_builder.train.named_configs import tiny
from lrs2m_builder.train.run import train
from lrs2m_builder.train.state import TrainingRun
from tests.clip_toy import COLOURS, make_data
from tests.in_process import lrs2m

QUICK = ("--config", "tiny", "--set", "max_steps=2", "--set", "batch_size=4")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_data(tmp_path_factory.mktemp("data"), 24)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder "Some fields" with a folder of three images for each colour."""
    folder = tmp_path_factory.mktemp("classes") / "Some fields"
    for name in COLOURS:
        (folder / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (40, 40), name).save(folder / name / f"{number}.png")
    return folder


def settings(**changes: Any) -> TrainConfig:
    return changed(tiny(), {"max_steps": 5, "eval_every": 1, "batch_size": 4, **changes})


def metrics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_the_accuracy_is_that_of_the_evaluation(classes: Path) -> None:
    model = random_model()
    held_out = read_classes(classes, model)
    expected = evaluate(
        model, read_images(str(classes), Columns()), None, ["a satellite photo of {class_name}"], show_progress=False
    )
    model.model.train()
    assert measure_classes(model, held_out) == {"some_fields_accuracy": expected.accuracy} and model.model.training
    assert len(held_out.pixels_NCHW) == 24 and held_out.texts[0] == "a satellite photo of black"


def test_pairs_and_classes_are_measured_in_one_run_which_is_drawn(data: Path, classes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = lrs2m("train", data, *QUICK, "--eval-data", data, "--eval-data", classes, "--out", out)
    assert run.code == 0 and " GB  at " in run.err
    last = metrics(out)[-1]
    assert {"eval_long_mr", "eval_short_t2i_r1", "eval_some_fields_accuracy"} < last.keys()
    assert 0.05 < last["memory_gb"] < 100 and last["images_per_s"] > 0
    for name in ("loss.png", "recall.png"):
        with Image.open(out / name) as picture:
            assert picture.width > 600


def test_what_is_measured_is_named_before_the_training(data: Path, classes: Path) -> None:
    assert not is_class_folder(data) and is_class_folder(classes)
    measures = make_measures([data, classes], tiny())(random_model(context_length=248))
    assert set(measures.names) == measures(random_model(context_length=248)).keys()


class Scripted:
    """Held-out figures by step, as if they were measured."""

    names = ("long_mr",)

    def __init__(self, values: list[float]) -> None:
        self.values = iter(values)

    def __call__(self, loaded: Loaded) -> dict[str, float]:
        return {"long_mr": next(self.values)}


def given(values: list[float]) -> Callable[[Loaded], Scripted]:
    return lambda _: Scripted(values)


def assert_saved_is_step(out: Path, step: int) -> None:
    saved = load_file(out / "model" / "model.safetensors")
    towers = torch.load(out / "checkpoints" / f"step-{step:06d}.pt", weights_only=True)["towers"]
    assert all(torch.equal(weight, towers[f"model.{name}"]) for name, weight in saved.items())
    assert [path.name for path in (out / "checkpoints").glob("best-*")] == [f"best-{step:06d}.pt"]


def test_the_weights_of_the_best_step_are_saved_and_the_card_says_so(data: Path, tmp_path: Path) -> None:
    config = settings(keep_best="long_mr", checkpoint_every=1, keep_checkpoints=9)
    train(config, [data], out_dir=tmp_path / "run", make_evaluate=given([0.1, 0.2, 0.5, 0.3, 0.5]))
    assert_saved_is_step(tmp_path / "run", 3)
    publish_model(tmp_path / "run", "me/clip", dest=tmp_path / "tree", dry_run=True)
    card = (tmp_path / "tree" / "README.md").read_text()
    assert "after step 3, whose weights these are (the best long_mr), in percent: long_mr 50.0." in card


def test_the_best_step_survives_a_run_that_ends_before_its_next_checkpoint(data: Path, tmp_path: Path) -> None:
    """Best is step 2, which has a checkpoint; then step 3, which is lost with the run and not the best again."""
    config = settings(keep_best="long_mr", checkpoint_every=2, keep_checkpoints=9)
    log = TrainingRun.log

    def stop(run: TrainingRun, *arguments: Any, **options: Any) -> None:
        log(run, *arguments, **options)
        if run.step == 3:
            raise RuntimeError("stop here")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingRun, "log", stop)
        with pytest.raises(RuntimeError, match="stop here"):
            train(config, [data], out_dir=tmp_path / "run", make_evaluate=given([0.1, 0.6, 0.9]))
    train(config, [data], out_dir=tmp_path / "run", make_evaluate=given([0.3, 0.4, 0.5]))
    assert_saved_is_step(tmp_path / "run", 2)


def test_a_figure_that_is_not_measured_cannot_decide(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"keep_best=long_m: not measured .*; did you mean 'long_mr'\? known: long_mr"):
        train(settings(keep_best="long_m"), [data], out_dir=tmp_path / "a", make_evaluate=given([]))
    assert "keep_best measures the weights of single steps, ema" in (
        lrs2m("train", data, *QUICK, "--set", "keep_best=long_mr", "--set", "ema=0.5", "--out", tmp_path / "b").error
    )
    assert "keep_best=long_mr is a figure on held-out data: give --eval-data" in (
        lrs2m("train", data, *QUICK, "--set", "keep_best=long_mr", "--out", tmp_path / "c").error
    )


def test_a_run_is_logged_to_wandb_without_a_network(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = lrs2m("train", data, *QUICK, "--wandb", "--out", tmp_path / "run")
    assert run.code == 0, run.err
    (log,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    content = log.read_bytes()
    assert b"train/loss_long" in content and b"train/images_per_s" in content and len(metrics(tmp_path / "run")) == 2
