"""What makes a training step fast on a GPU, as far as a CPU can show it; the paper's settings stay."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from lrs2m_builder.clip.model import Loaded, random_model
from lrs2m_builder.errors import UserError
from lrs2m_builder.train import run as train_module
from lrs2m_builder.train.config import TrainConfig
from lrs2m_builder.train.loading import Batch
from lrs2m_builder.train.loss import LossSettings
from lrs2m_builder.train.named_configs import CONFIGS, make_config
from lrs2m_builder.train.optim import Average, make_optimizer
from lrs2m_builder.train.readout import Readout
from lrs2m_builder.train.run import train
from lrs2m_builder.train.step import Towers, accumulate_gradient
from tests.clip_toy import make_data

# Operators whose result the host reads: on a GPU it would wait for everything before them.
WAITS = ("aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero", "aten::masked_select")
FUSED = "aten::_fused_"


def toy_batch(size: int = 4) -> Batch:
    pixels = torch.randint(0, 256, (size, 32, 32, 3), dtype=torch.uint8).movedim(-1, 1)
    ids = torch.randint(1000, 2000, (size, 9))
    ids[:, 0], ids[:, -1] = 49406, 49407
    return Batch(pixels, ids, ids[:, -5:], *(torch.arange(size) for _ in range(3)))


def is_fused(event: Any) -> bool:
    """Whether a profiled event is a fused optimizer, or within one."""
    while event is not None and not event.name.startswith(FUSED):
        event = event.cpu_parent
    return event is not None


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_no_step_waits_for_a_value(optimizer: str) -> None:
    model = random_model().model.train()
    towers = Towers(model, has_bias=False)
    stepper = make_optimizer(towers, TrainConfig(optimizer=optimizer))  # type: ignore[arg-type]
    average, batch = Average(model, 0.9), toy_batch()
    readouts = []

    def step() -> None:
        losses = accumulate_gradient(
            towers,
            batch,
            LossSettings(),
            long_weight=0.8,
            micro_batch=2,
            autocast=nullcontext,
            loss_factor=lambda loss: loss,
        )
        torch.nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
        stepper.step()
        stepper.zero_grad(set_to_none=True)
        average.update(model)
        readouts.append(Readout({"loss": losses.total, "stop": 1.0}, {"scale": model.logit_scale}, torch.device("cpu")))

    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    # On a CPU the fused AdamW reads its number of steps, on a GPU it does not.
    outside = [event for event in profiled.events() if not is_fused(event)]
    assert len(outside) < len(profiled.events())
    counts = Counter(event.name for event in outside)
    assert counts["aten::mm"] + counts["aten::addmm"] > 10  # something was recorded
    assert {name: counts[name] for name in WAITS if counts[name]} == {}
    values = readouts[-1].read()
    assert values["stop"] == 1.0 and 0 < values["loss"] < 10
    assert values["scale"] == pytest.approx(model.logit_scale.item())


def test_pixels_are_normalised_where_the_model_is_with_the_same_features() -> None:
    batch = toy_batch()
    loaded = random_model()
    towers = Towers(loaded.model, has_bias=False)
    floats = towers.normalise(batch.pixels_BCHW)
    assert floats.dtype == torch.float32
    with torch.no_grad():
        both = [towers(pixels, None, None)["image_BD"] for pixels in (batch.pixels_BCHW, floats.contiguous())]
    torch.testing.assert_close(*both, rtol=0, atol=1e-6)


def test_measuring_has_the_precision_of_the_training(tmp_path: Path) -> None:
    seen: list[Any] = []

    def make_evaluate(loaded: Loaded) -> Any:
        def evaluate(loaded: Loaded) -> dict[str, float]:
            seen.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)
            return {"long_mr": 0.5}

        return evaluate

    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        config = make_config("tiny", [f"precision={precision}", "max_steps=2"])
        out = tmp_path / precision
        train(config, [make_data(tmp_path / f"data-{precision}")], out_dir=out, make_evaluate=make_evaluate)
        assert seen.pop() == dtype
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [1, 2] and lines[1]["eval_long_mr"] == 0.5
        assert all(math.isfinite(line["loss"]) and line["images_per_s"] > 0 for line in lines)


def test_losses_read_a_step_late_are_the_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, found = make_data(tmp_path / "data"), []
    for name, devices in (("at once", set[str]()), ("late", {"cpu"})):
        monkeypatch.setattr(train_module, "READ_LATE", devices)
        train(make_config("tiny", ["max_steps=5", "checkpoint_every=3"]), [data], out_dir=tmp_path / name)
        lines = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        found.append([[line[key] for key in ("step", "loss", "lr", "logit_scale", "batch")] for line in lines])
    assert found[0] == found[1] and [line[0] for line in found[1]] == [1, 2, 3, 4, 5]


def test_a_loss_that_is_not_finite_is_found_late_and_never_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "READ_LATE", {"cpu"})
    config = make_config("tiny", ["max_steps=9", "checkpoint_every=4", "lr=1e30", "warmup_steps=0"])
    with pytest.raises(UserError, match=r"the loss of step \d is nan"):
        train(config, [make_data(tmp_path / "data")], out_dir=tmp_path / "out")
    assert not list((tmp_path / "out" / "checkpoints").glob("step-*.pt"))


def test_the_papers_configurations_are_what_they_were() -> None:
    recorded = json.loads((Path(__file__).parent / "paper_configurations.json").read_text())
    for name, settings in recorded.items():
        now = json.loads(json.dumps(dataclasses.asdict(CONFIGS[name]())))
        assert {key: now[key] for key in settings} == settings, name
