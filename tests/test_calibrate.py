from __future__ import annotations

import json
from pathlib import Path

import pytest

from lrs2m_builder.build.calibrate import Prices, calibrate
from lrs2m_builder.build.prepare import prepare
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion, Request
from tests.fake_engine import FakeModule, good_text
from tests.toy import build_toy, make_source, start_cli, toy_options


def half_refused(request: Request) -> Completion:
    """Refuses every first attempt of the odd images, and takes ten prompt and twenty answer tokens each time."""
    odd = int(request.sample_id.split("/")[1].split(".")[0]) % 2
    text = "I'm sorry, I cannot." if odd and request.attempt == 1 else good_text(request.seed)
    return Completion(text, "stop", num_prompt_tokens=10, num_tokens=20)


def test_forecast_scales_what_was_measured_to_all_samples(tmp_path: Path) -> None:
    prepared = prepare(toy_options(make_source(tmp_path, 90), tmp_path / "out"), FakeModule())
    forecast = calibrate(prepared, FakeModule(half_refused), 30, Prices(prompt=1.0, answer=100.0))
    assert (forecast.samples_tried, forecast.samples_left, forecast.requests_per_sample) == (30, 90, 1.5)
    assert (forecast.prompt_tokens, forecast.tokens) == (90 * 15, 90 * 30)
    assert forecast.dollars == pytest.approx((90 * 15 * 1.0 + 90 * 30 * 100.0) / 1e6, abs=0.005)
    assert forecast.hours == pytest.approx(forecast.seconds * 3 / 3600, abs=1e-4)


def test_samples_are_tried_all_over_the_source(tmp_path: Path) -> None:
    prepared = prepare(toy_options(make_source(tmp_path, 90), tmp_path / "out"), FakeModule())
    module = FakeModule(lambda request: Completion(good_text(request.seed), "stop"))
    calibrate(prepared, module, 9)
    assert sorted(int(r.sample_id.split("/")[1].split(".")[0]) for r in module.requests) == list(range(0, 90, 10))


def test_calibration_leaves_the_build_as_it_was_and_counts_what_is_left(tmp_path: Path) -> None:
    source = make_source(tmp_path, 40)
    build_toy(source, tmp_path / "out", limit=None)
    before = sorted((tmp_path / "out").rglob("*"))
    (tmp_path / "out" / "data" / "toy" / "train-00001.parquet").unlink()
    forecast = calibrate(prepare(toy_options(source, tmp_path / "out"), FakeModule()), FakeModule(), 8)
    assert forecast.samples_left == 10
    assert set(before) - set((tmp_path / "out").rglob("*")) == {
        tmp_path / "out" / "data" / "toy" / "train-00001.parquet"
    }


def test_few_samples_are_called_a_rough_forecast(tmp_path: Path) -> None:
    prepared = prepare(toy_options(make_source(tmp_path, 40), tmp_path / "out"), FakeModule())
    assert calibrate(prepared, FakeModule(), 8).is_rough
    assert not calibrate(prepared, FakeModule(), 40).is_rough


def test_a_recipe_without_a_model_has_nothing_to_predict(tmp_path: Path) -> None:
    recipe = tmp_path / "none.py"
    recipe.write_text(
        "from lrs2m_builder.declared.recipe import Recipe\n"
        "RECIPE = Recipe(name='none', version=1, reads=('captions',), given=('caption_short',), steps=())\n"
    )
    prepared = prepare(toy_options(make_source(tmp_path, 3), tmp_path / "out", recipe=str(recipe)), FakeModule())
    with pytest.raises(UserError, match="uses no model"):
        calibrate(prepared, FakeModule(), 3)


def test_command_prints_the_forecast(tmp_path: Path) -> None:
    source = make_source(tmp_path, 40)
    flags = ("--dry-run", "--calibrate", "40", "--price", "0.5/1.5")
    out, errors = start_cli(source, tmp_path / "out", *flags, log=tmp_path / "log", delay_s=0).communicate()
    assert "tried      40 samples in" in out, errors
    assert "forecast   40 samples left:" in out and "$0.00" in out
    out, _ = start_cli(source, tmp_path / "out", *flags, "--json", log=tmp_path / "log", delay_s=0).communicate()
    assert json.loads(out)["forecast"]["samples_tried"] == 40
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--calibrate", "5"), "--calibrate needs --dry-run"),
        (("--dry-run", "--calibrate", "5", "--price", "cheap"), "--price cheap: write PROMPT/ANSWER"),
        (("--dry-run", "--calibrate", "5", "--price", "-1/2"), "a price is a finite number of at least 0"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    process = start_cli(make_source(tmp_path, 3), tmp_path / "out", *flags, log=tmp_path / "log")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert said in errors and errors.count("\n") == 1
