"""Training is one loop that can be stopped anywhere, and whose gradient does not depend on how a batch is split."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor

from lrs2m_builder.clip.model import load, random_model
from lrs2m_builder.clip.sealed import check_seal, seal
from lrs2m_builder.errors import UserError
from lrs2m_builder.train import run as train_module
from lrs2m_builder.train.checkpoint import RunFolder
from lrs2m_builder.train.config import TrainConfig, changed
from lrs2m_builder.train.loading import Batch
from lrs2m_builder.train.loss import LossSettings
from lrs2m_builder.train.named_configs import CONFIGS, make_config, tiny
from lrs2m_builder.train.optim import Average, fitted_warmup, learning_rate, long_weight
from lrs2m_builder.train.run import train
from lrs2m_builder.train.state import TrainingRun
from lrs2m_builder.train.step import Towers, accumulate_gradient
from tests.clip_toy import make_data
from tests.toy import ROOT

POSITIONS = "text_model.embeddings.position_embedding.weight"
CHILD = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
from lrs2m_builder.train.checkpoint import RunFolder
from lrs2m_builder.train.named_configs import make_config
from lrs2m_builder.train.run import train
train(make_config("tiny", sys.argv[3:]), [Path(sys.argv[1])], out_dir=Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_data(tmp_path_factory.mktemp("data"))


def settings(**changes: Any) -> TrainConfig:
    return changed(tiny(), {"max_steps": 4, "checkpoint_every": 2, **changes})


def metrics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[tuple[float, ...]]:
    return [tuple(line[name] for name in ("step", "loss", "loss_long", "loss_short")) for line in metrics(out)]


def start_child(data: Path, out: Path, *changes: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, str(data), str(out), *changes]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)


# Stopping and going on


def test_killed_run_goes_on_with_the_same_losses_bit_by_bit(data: Path, tmp_path: Path) -> None:
    changes = ("max_steps=12", "epochs=2", "checkpoint_every=2")
    train(make_config("tiny", changes), [data], out_dir=tmp_path / "whole")
    child = start_child(data, tmp_path / "killed", *changes)
    while len(list((tmp_path / "killed" / "checkpoints").glob("step-*.pt"))) < 2 and child.poll() is None:
        time.sleep(0.001)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert 2 <= len(losses(tmp_path / "killed")) < 12
    assert start_child(data, tmp_path / "killed", *changes).wait() == 0
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")


def test_interrupt_ends_in_a_checkpoint_and_the_run_goes_on_from_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(settings(max_steps=10, epochs=2), [data], out_dir=tmp_path / "whole")
    log = TrainingRun.log

    def log_then_interrupt(run: TrainingRun, *arguments: Any, **options: Any) -> None:
        log(run, *arguments, **options)
        if run.step == 2:
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C between two steps: the next one is finished

    monkeypatch.setattr(TrainingRun, "log", log_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(settings(max_steps=10, epochs=2), [data], out_dir=tmp_path / "out")
    assert max(path.name for path in (tmp_path / "out" / "checkpoints").iterdir()) == "step-000003.pt"
    monkeypatch.undo()
    train(settings(max_steps=10, epochs=2), [data], out_dir=tmp_path / "out")
    assert losses(tmp_path / "out") == losses(tmp_path / "whole")  # over the end of the epoch, at step 8


def test_other_settings_are_refused_with_the_difference_and_a_finished_run_stays(data: Path, tmp_path: Path) -> None:
    train(settings(max_steps=2), [data], out_dir=tmp_path / "out")
    with pytest.raises(UserError, match=r"was trained with lr=0.01, now lr=0.02"):
        train(settings(max_steps=2, lr=0.02), [data], out_dir=tmp_path / "out")
    with pytest.raises(UserError, match="was trained with data="):
        train(settings(max_steps=2), [tmp_path], out_dir=tmp_path / "out")
    again = train(settings(max_steps=2, checkpoint_every=1), [data], out_dir=tmp_path / "out")
    assert load(str(again)).context_length == 248 and len(losses(tmp_path / "out")) == 2


def test_a_run_of_a_version_that_knew_fewer_settings_goes_on(data: Path, tmp_path: Path) -> None:
    train(settings(max_steps=2), [data], out_dir=tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    content = json.loads(path.read_text())
    del content["config"]["augment_captions"]
    path.write_text(json.dumps(content))
    train(settings(max_steps=2), [data], out_dir=tmp_path / "out")
    with pytest.raises(UserError, match=r"was trained with augment_captions=0.0, now augment_captions=0.5"):
        train(settings(max_steps=2, augment_captions=0.5), [data], out_dir=tmp_path / "out")


def stopped(data: Path, out: Path, **changes: Any) -> Path:
    """A run of four steps whose model is not there yet; returns its folder of checkpoints."""
    train(settings(**changes), [data], out_dir=out)
    shutil.rmtree(out / "model")
    return out / "checkpoints"


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "bit in the weights", "bit in the checksum"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(
    data: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings(), [data], out_dir=tmp_path / "whole")
    last = stopped(data, tmp_path / "out") / "step-000004.pt"
    content = bytearray(last.read_bytes())
    place = {"bit in the weights": len(content) // 2, "bit in the checksum": len(content) - 5}.get(damage, 0)
    content[place] ^= 1
    last.write_bytes({"cut": content[:9000], "empty": b"", "other": b"PK but no more"}.get(damage, content))
    train(settings(), [data], out_dir=tmp_path / "out")
    assert "step-000004.pt: not used, " in (told := capsys.readouterr().err) and "resuming after step 2" in told
    assert losses(tmp_path / "out") == losses(tmp_path / "whole")


def test_no_flipped_bit_of_a_checkpoint_is_taken_for_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"weights": torch.arange(50)}, path)
    seal(path)
    whole = path.read_bytes()
    assert check_seal(path) and torch.load(path, weights_only=True)["weights"][49] == 49
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="checksum"):
            check_seal(path)


def test_a_run_without_a_whole_checkpoint_is_one_line_that_says_what_next(data: Path, tmp_path: Path) -> None:
    for path in stopped(data, tmp_path / "out").iterdir():
        path.write_bytes(path.read_bytes()[:-70])
    with pytest.raises(
        UserError, match=r"none of 2 checkpoints is complete \(step-000004\.pt: .*train in a new folder"
    ):
        train(settings(), [data], out_dir=tmp_path / "out")


def test_checkpoints_are_sorted_by_their_steps_and_files_of_other_names_are_left_alone(
    data: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path, settings(), [data])
    (tmp_path / "checkpoints").mkdir()
    others = ["step-best.pt", "step-12.pt", "step-0000012.pt", "step-000012.pt.damaged", "old-step-000012.pt"]
    for name in others:
        (tmp_path / "checkpoints" / name).write_bytes(b"mine")
    for step in (999_998, 999_999, 1_000_000):
        folder.save(step, {})
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()} - set(others)
    assert kept == {"step-999999.pt", "step-1000000.pt"}
    assert (folder.load_latest() or {})["step"] == 1_000_000
    assert all((tmp_path / "checkpoints" / name).read_bytes() == b"mine" for name in others)


def test_what_a_killed_run_never_finished_is_cleared_away_and_torn_lines_go(data: Path, tmp_path: Path) -> None:
    train(settings(), [data], out_dir=tmp_path / "whole")
    checkpoints = stopped(data, tmp_path / "out")
    (checkpoints / ".step-000004.pt.part").write_bytes(b"half")
    (tmp_path / "out" / ".model.part").mkdir()
    with (tmp_path / "out" / "metrics.jsonl").open("ab") as file:
        file.write(b'3\n{"step": "x"}\n\xff\xfe{"step": 5, "lo')
    train(settings(), [data], out_dir=tmp_path / "out")
    assert not list((tmp_path / "out").rglob(".*.part"))
    assert losses(tmp_path / "out") == losses(tmp_path / "whole")


def test_a_model_that_was_damaged_on_the_disk_is_refused(data: Path, tmp_path: Path) -> None:
    model = train(settings(), [data], out_dir=tmp_path / "out")
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 4
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors: damaged: its checksum"):
        load(str(model))


def test_a_folder_that_is_no_run_is_left_alone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty and no training run"):
        train(settings(), [data], out_dir=tmp_path)


# What is trained


def test_training_on_a_few_rows_learns_them(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", 16)
    config = settings(max_steps=120, epochs=120, optimizer="adamw", lr=1e-3, batch_size=8)
    train(config, [data], out_dir=tmp_path / "out")
    first, last = ([line["loss"] for line in metrics(tmp_path / "out")][part] for part in (slice(4), slice(-4, None)))
    assert sum(first) / 4 > 1.5 and sum(last) / 4 < 0.9


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_frozen_positions_stay_bit_identical_and_the_others_move(data: Path, tmp_path: Path, optimizer: str) -> None:
    config = settings(optimizer=optimizer, weight_decay=0.1, ema=0.5)
    model = load(str(train(config, [data], out_dir=tmp_path / "out"))).model
    start_TW, end_TW = (m.state_dict()[POSITIONS] for m in (random_model(context_length=248).model, model))  # noqa: N806
    assert torch.equal(start_TW[:20], end_TW[:20])
    assert (start_TW[20:40] != end_TW[20:40]).any()


def test_logit_scale_is_kept_at_its_bound(data: Path, tmp_path: Path) -> None:
    train(settings(max_logit_scale=10), [data], out_dir=tmp_path / "out")
    scales = [line["logit_scale"] for line in metrics(tmp_path / "out")]  # the model starts at 14.3
    assert scales[0] == pytest.approx(10, rel=1e-6) and max(scales) <= 10 * (1 + 1e-6)


def test_wise_ft_of_zero_saves_the_start(data: Path, tmp_path: Path) -> None:
    model = load(str(train(settings(wise_ft=0.0), [data], out_dir=tmp_path / "out"))).model
    for name, start in random_model(context_length=248).model.named_parameters():
        assert torch.equal(start, model.state_dict()[name])


def test_average_moves_by_its_share() -> None:
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(0.0)
        average = Average(model, 0.75)
        model.weight.fill_(4.0)
    average.update(model)
    assert average.values["weight"].tolist() == [[1.0, 1.0]]


def toy_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 2000, (8, 30), generator=generator)
    ids[:, 0], ids[:, -1] = 49406, 49407
    pixels = torch.randn(8, 3, 32, 32, generator=generator)
    return Batch(pixels, ids, ids[:, 20:], *(torch.arange(8) for _ in range(3)))


def gradients(micro_batch: int | None, loss: LossSettings) -> dict[str, Tensor]:
    towers = Towers(random_model().model, has_bias=loss.objective == "sigmoid")
    accumulate_gradient(
        towers,
        toy_batch(),
        loss,
        long_weight=0.8,
        micro_batch=micro_batch,
        autocast=nullcontext,
        loss_factor=lambda value: value,
    )
    return {name: p.grad for name, p in towers.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("loss", [LossSettings(pcm="local", pcm_k=4), LossSettings(objective="sigmoid")])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(loss: LossSettings) -> None:
    whole, parts = gradients(None, loss), gradients(2, loss)
    assert whole.keys() == parts.keys() and "model.logit_scale" in whole
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("train_on", ["short", "long", "first_sentence"])
def test_each_choice_of_texts_trains(data: Path, tmp_path: Path, train_on: str) -> None:
    train(settings(train_on=train_on, max_steps=1), [data], out_dir=tmp_path / "out")
    (line,) = metrics(tmp_path / "out")
    assert ("loss_long" in line, "loss_short" in line) == (train_on != "short", train_on != "long")


def under_torchrun(data: Path, out: Path, *changes: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    command += ["lrs2m_builder.cli", "train", str(data), "--config", "tiny", "--out", str(out)]
    command += [part for change in changes for part in ("--set", change)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )


def test_two_processes_under_torchrun_stop_together_at_a_signal_to_all_and_go_on(data: Path, tmp_path: Path) -> None:
    out, changes = tmp_path / "out", ("max_steps=60", "epochs=60", "checkpoint_every=1000", "workers=1")
    training = under_torchrun(data, out, *changes)
    while training.poll() is None and not ((out / "metrics.jsonl").exists() and len(metrics(out)) >= 2):
        time.sleep(0.01)
    os.killpg(training.pid, signal.SIGTERM)
    training.communicate(timeout=300)
    (saved,) = (out / "checkpoints").iterdir()
    assert saved.name == f"step-{metrics(out)[-1]['step']:06d}.pt"
    training = under_torchrun(data, out, *changes)
    told, _ = training.communicate(timeout=500)
    assert training.returncode == 0 and told == f"{out / 'model'}\n"  # once
    assert [line["step"] for line in metrics(out)] == list(range(1, 61))


# What goes wrong


def test_a_loss_that_is_not_finite_stops_with_what_to_change(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss of step \d is nan.*use a smaller lr"):
        train(settings(lr=1e30, warmup_steps=0), [data], out_dir=tmp_path / "out")


def test_too_little_memory_says_what_to_set(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(train_module, "accumulate_gradient", too_large)
    with pytest.raises(UserError, match="out of memory in step 1 with 8 pairs at once; run again with micro_batch=4"):
        train(settings(), [data], out_dir=tmp_path / "out")


# Settings


def test_learning_rate_rises_then_falls_to_no_zero_and_the_weight_goes_evenly() -> None:
    config = TrainConfig(lr=1.0, warmup_steps=2, long_weight=0.8, long_weight_end=0.4)
    rates = [learning_rate(step, 20, config) for step in range(1, 21)]
    assert rates[:3] == [0.5, 1.0, 1.0] and rates == [0.5, *sorted(rates[1:], reverse=True)] and 0 < rates[-1] < 0.01
    assert [long_weight(step, 5, config) for step in (1, 3, 5)] == pytest.approx([0.8, 0.6, 0.4])
    assert learning_rate(6, 6, dataclasses.replace(config, schedule="constant")) == 1.0


def test_the_warm_up_is_a_tenth_of_a_short_run_at_most() -> None:
    config = TrainConfig(lr=1.0, warmup_steps=200)
    assert [fitted_warmup(steps, config) for steps in (1, 6, 100, 1999, 4000)] == [1, 1, 10, 200, 200]
    assert max(learning_rate(step, 6, config) for step in range(1, 7)) == 1.0


def test_a_short_run_says_that_its_warm_up_is_shorter(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings(), [data], out_dir=tmp_path / "out")
    assert "the warm-up is 1 of 4 steps, not 2: a tenth at most" in capsys.readouterr().err


def test_the_bias_of_a_sigmoid_training_is_in_the_model_and_the_next_training_begins_with_it(
    data: Path, tmp_path: Path
) -> None:
    model = train(settings(objective="sigmoid"), [data], out_dir=tmp_path / "out")
    bias = json.loads((model / "config.json").read_text())["logit_bias"]
    assert -10.5 < bias < -9.5 and bias != -10.0
    other, _, _ = open_clip.create_model_and_transforms(f"local-dir:{model}")
    assert other.logit_bias.item() == pytest.approx(bias)
    assert Towers(load(str(model)).model, has_bias=True).bias.item() == pytest.approx(bias)
    (tmp_path / "weights").mkdir()
    shutil.copy(model / "open_clip_model.safetensors", tmp_path / "weights")
    loaded = load(str(tmp_path / "weights" / "open_clip_model.safetensors"))
    assert loaded.model.config.logit_bias == pytest.approx(bias)


def test_every_config_is_valid_and_the_papers_is_what_the_paper_states() -> None:
    made = {name: make() for name, make in CONFIGS.items()}
    paper = made["paper_b16"]
    assert (paper.optimizer, paper.lr, paper.momentum, paper.dampening) == ("sgd", 3e-4, 0.9, 0.1)
    assert (paper.long_weight, paper.epochs, paper.context_length) == (0.8, 1, 248)
    assert (made["weight_9_1"].long_weight, made["batch_512"].batch_size * 8) == (0.9, 512)


def test_settings_are_read_as_yaml() -> None:
    config = make_config("tiny", ["lr=1e-4", "weights={toy: 2}", "max_steps=null", "compile=true"], start="a/b")
    assert (config.lr, config.weights, config.max_steps, config.compile, config.start) == (
        1e-4,
        {"toy": 2.0},
        None,
        True,
        "a/b",
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lrr=1", r"no setting 'lrr'; did you mean 'lr'.*known: .*lr,"),
        ("lr", "write key=value"),
        ("lr=-1", "lr: Input should be greater than 0"),
        ("pcm=yes", "pcm: Input should be 'off', 'local' or 'global'"),
        ("micro_batch=3", "micro_batch 3 does not divide batch_size 8"),
        ("pcm=local", "pcm_k 32 keeps all directions of a batch of 8"),
    ],
)
def test_a_wrong_setting_is_one_line(setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_config("tiny", [setting])


def test_an_unknown_config_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no config 'papr_b16'; did you mean 'paper_b16'\? known: paper_b16"):
        make_config("papr_b16")


def test_every_config_is_documented() -> None:
    docs = (ROOT / "docs" / "train.md").read_text()
    assert not [name for name in CONFIGS if f"`{name}`" not in docs]
