"""Builds and trainings that can be kept: settings files, --save, --resume, several builds in one file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main

from lrs2m_builder.build.build_file import KEYS
from lrs2m_builder.cli import app
from lrs2m_builder.commands import _builds
from lrs2m_builder.engines._base import EngineStoppedError
from lrs2m_builder.exchange import Completion, Request
from lrs2m_builder.train.settings_file import KEYS as TRAIN_KEYS
from tests.clip_toy import make_data
from tests.fake_engine import FakeModule, mixed_script
from tests.in_process import lrs2m
from tests.toy import ROOT, ids, make_source

# What concerns one run and is no setting of a build or a training.
RUN_ONLY = {
    *("file", "dry_run_", "show_prompts_", "calibrate_", "price", "retry_rejected", "restart", "part", "as_json"),
    *("save", "resume"),
}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> FakeModule:
    module = FakeModule()
    monkeypatch.setattr(_builds, "engine_module", lambda name: module)
    return module


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with the toy source."""
    make_source(tmp_path, 12)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


FLAGS = ("--recipe", "short_to_long", "--source", "toy.yaml", "--data-dir", ".", "--engine", "fake", "--model", "toy")
KEPT = "recipe: short_to_long\nsource: toy.yaml\ndata_dir: .\nengine: fake\nmodel: toy\nout: out\n"


def shards(out: Path) -> dict[str, bytes]:
    """Names and bytes of the records and rejections."""
    paths = [path for kind in ("data", "rejected") for path in sorted((out / kind).rglob("*.parquet"))]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_option_of_build_and_train_is_a_key_or_concerns_one_run() -> None:
    commands: Any = typer.main.get_command(app)
    build = {parameter.name for parameter in commands.commands["build"].params}
    assert build - {"help"} == set(KEYS) | RUN_ONLY
    train = {parameter.name for parameter in commands.commands["train"].params}
    assert train - {"help", "settings"} == (set(TRAIN_KEYS) | {"save", "resume"}) - {"set"}


def test_a_saved_build_runs_to_the_shards_of_its_options(here: Path, module: FakeModule) -> None:
    odd = ("--sampling", "temperature=1e-1", "--sampling", 'stop=["1e3", "off"]', "--system", "no: 1e10", "--seed", "7")
    odd += ("--check", "direction=off", "--verify", "warn", "--verify-threshold", "all=0.3", "--shard-size", "5")
    assert lrs2m("build", *FLAGS, *odd, "--out", "typed").code == 0
    assert not (made := lrs2m("build", *FLAGS, *odd, "--out", "kept", "--save", "b.yaml")).code, made
    assert not (here / "kept").exists()
    assert lrs2m("build", "b.yaml").code == 0
    assert shards(here / "kept") == shards(here / "typed")
    assert "exists; give a new name" in lrs2m("build", *FLAGS, "--out", "other", "--save", "b.yaml").error
    typed, kept = (json.loads((here / name / "build.json").read_text())["settings"] for name in ("typed", "kept"))
    assert typed == kept and typed["system"] == "no: 1e10" and typed["sampling"][0]["temperature"] == 0.1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("limitt: 3", "b.yaml: unknown key 'limitt'; did you mean 'limit'?"),
        ("data-dir: .", "unknown key 'data-dir'; did you mean 'data_dir'?"),
        ("limit: 0", "b.yaml: limit: input should be greater than or equal to 1"),
        ("limit: some", "b.yaml: limit: input should be a valid integer"),
        ("limit: 1\nlimit: 2", "b.yaml: not YAML: key 'limit' twice"),
        ("verify: maybe", "b.yaml: verify: input should be 'off', 'warn', 'ask' or 'cut'"),
        ("check: {talk: no}", "--check talk=no: write NAME=LEVEL"),
        ("check: {lengthh: off}", "no check 'lengthh'"),
        ("builds: []", "b.yaml: builds: a list with the keys of each build"),
        ("builds: [{seed: 1}, {seed: 2}]", "b.yaml: two builds have out out; give each its own"),
        ("builds: [{out: a, sead: 1}, {out: b}]", "b.yaml: build 1: unknown key 'sead'; did you mean 'seed'?"),
        ("builds: [{out: a, recipe: merg}]", "no recipe 'merg'; did you mean 'merge'?"),
        ("- 1", "b.yaml: not YAML"),
    ],
)
def test_a_wrong_settings_file_is_one_line(line: str, message: str, here: Path, module: FakeModule) -> None:
    write(here / "b.yaml", KEPT + line + "\n")
    assert message in lrs2m("build", "b.yaml").error
    assert not (here / "out").exists()


def test_what_is_missing_is_named(here: Path) -> None:
    assert "Missing --recipe and --source and --out" in lrs2m("build").error
    assert "b.yaml: no source and no out; add it" in lrs2m("build", write(here / "b.yaml", "recipe: merge\n")).error
    assert "no settings file 'lrs2'; did you mean 'lrs2m'?" in lrs2m("build", "lrs2").error


def test_an_option_beside_the_file_wins_and_that_is_said(here: Path, module: FakeModule) -> None:
    write(here / "b.yaml", KEPT + "limit: 3\nsampling: {temperature: 0.5, top_p: 0.5}\n")
    made = lrs2m("build", "b.yaml", "--limit", "2", "--seed", "1", "--sampling", "temperature=0.1", "--json")
    assert json.loads(made.out)["samples"] == 2
    assert "b.yaml: --limit 2 is used instead of 3" in made.err
    assert "b.yaml: --sampling temperature=0.1 is used instead of temperature=0.5, top_p=0.5" in made.err
    sampling = module.requests[0].sampling
    assert (sampling["temperature"], sampling["top_p"]) == (0.1, 0.5)
    assert "--seed" not in made.err


def test_resume_needs_no_other_option_and_no_current_folder(
    here: Path, module: FakeModule, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = (*FLAGS, "--shard-size", "5", "--limit", "11")
    assert lrs2m("build", *settings, "--out", "whole").code == 0
    asked = 0

    def dies(request: Request) -> Completion:
        nonlocal asked
        if (asked := asked + 1) > 6:
            raise EngineStoppedError("the GPU is gone")
        return mixed_script(request)

    module.script = dies
    assert "the GPU is gone" in lrs2m("build", *settings, "--out", "out").err
    module.script = mixed_script
    num_asked = len(module.requests)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert lrs2m("build", "--resume", here / "out").code == 0
    assert shards(here / "out") == shards(here / "whole")
    again = [request.request_id for request in module.requests[num_asked:]]
    assert again and len(again) < num_asked
    refused = lrs2m("build", "--resume", here / "out", "--limit", "3")
    assert refused.code == 2 and "limit was 11, now 3" in refused.err


def test_a_folder_that_holds_no_command_is_not_resumed(here: Path, module: FakeModule) -> None:
    assert "no build was begun there" in lrs2m("build", "--resume", "out").error
    assert lrs2m("build", *FLAGS, "--out", "out").code == 0
    begun = json.loads((here / "out" / "build.json").read_text())
    (here / "out" / "build.json").write_text(json.dumps({k: v for k, v in begun.items() if k != "command"}))
    assert "does not hold the command" in lrs2m("build", "--resume", "out").error
    assert "neither a settings file nor --out" in lrs2m("build", "--resume", "out", "--out", "b").error


def test_no_secret_is_kept(here: Path, module: FakeModule) -> None:
    secret = ("--base-url", "http://me:hunter2@host/v1", "--engine-option", "hf_token=hunter2")
    assert lrs2m("build", *FLAGS, *secret, "--out", "out", "--save", "b.yaml").code == 0
    assert "base_url: http://host/v1" in (here / "b.yaml").read_text()
    assert "hunter2" not in (here / "b.yaml").read_text()
    assert lrs2m("build", *FLAGS, *secret[:2], "--out", "out").code == 0
    command = json.loads((here / "out" / "build.json").read_text())["command"]
    assert command["base_url"] == "http://host/v1" and "hunter2" not in json.dumps(command)


SEVERAL = KEPT.replace("out: out\n", "") + (
    "builds:\n  - {out: a}\n  - {out: b, data_dir: nowhere}\n  - {out: c, seed: 3, limit: 4}\n"
)


def test_a_build_that_fails_does_not_keep_the_next_from_being_built(here: Path, module: FakeModule) -> None:
    write(here / "all.yaml", SEVERAL)
    made = lrs2m("build", "all.yaml")
    assert made.code == 2
    table = [line.split() for line in made.out.strip().splitlines()]
    assert [line[:2] for line in table] == [["a", "built"], ["b", "failed"], ["c", "built"]]
    assert "nowhere" in made.out and len(ids(here / "c")) + len(ids(here / "c", "rejected")) == 4
    planned = lrs2m("build", "all.yaml", "--dry-run", "--json")
    plans = json.loads(planned.out)["builds"]
    assert planned.code == 2 and [plan.get("samples_left", "failed") for plan in plans] == [0, "failed", 0]


def test_a_signal_ends_a_file_of_builds_and_the_same_command_continues(here: Path) -> None:
    write(here / "all.yaml", KEPT.replace("out: out\n", "") + "builds: [{out: a}, {out: b}, {out: c}]\n")
    log = here / "log"
    environment = {**os.environ, "LRS2M_FAKE_LOG": str(log), "LRS2M_FAKE_DELAY_S": "0.1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.fake_engine", "build", "all.yaml", "--max-reject-rate", "1"]
    options = ["--engine-option", "max_in_flight=2"]
    with subprocess.Popen([*command, *options], env=environment, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (here / "b" / "journal").is_dir():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [line.split()[1] for line in out.strip().splitlines()] == ["built", "stopped", "waiting"]
    environment["LRS2M_FAKE_DELAY_S"] = "0"
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert [line.split()[1] for line in again.stdout.strip().splitlines()] == ["built"] * 3
    asked = log.read_text().splitlines()  # each build asks the same; what was in flight may be asked twice
    assert 0 <= len(asked) - 3 * len(set(asked)) <= 2


def test_the_file_of_all_of_lrs2m_names_shipped_recipes_and_sources(here: Path) -> None:
    made = lrs2m("build", "lrs2m", "--dry-run")
    assert made.code == 2
    table = made.out.strip().splitlines()
    assert len(table) == 11 and all("failed" in line and "data/" in line for line in table)


QUICK = ("--config", "tiny", "--set", "max_steps=2", "--set", "checkpoint_every=1")


def test_a_training_is_saved_run_by_its_file_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    data = make_data(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert lrs2m("train", data, *QUICK, "--eval-data", data, "--out", "run", "--save", "t.yaml").code == 0
    assert "max_steps: 2" in (tmp_path / "t.yaml").read_text() and not (tmp_path / "run").exists()
    made = lrs2m("train", "t.yaml", "--set", "lr=1e-3")
    assert made.code == 0 and made.out.strip() == "run/model"
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["config"]["lr"] == 1e-3 and config["config"]["max_steps"] == 2
    weights = tmp_path / "run" / "model" / "model.safetensors"
    before = weights.read_bytes()
    for path in (tmp_path / "run" / "model").iterdir():
        path.unlink()
    (tmp_path / "run" / "model").rmdir()
    (tmp_path / "run" / "checkpoints" / "step-000002.pt").unlink()
    assert lrs2m("train", "--resume", "run").code == 0
    assert weights.read_bytes() == before
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2 and "eval_long_mr" in json.loads(lines[-1]), "held-out data are those of the run"


def test_a_wrong_training_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.yaml", "data: d\nout: r\nevaldata: e\n")
    assert "t.yaml: unknown key 'evaldata'; did you mean 'eval_data'?" in lrs2m("train", "t.yaml").error
    write(tmp_path / "u.yaml", "data: d\nconfig: tiny\n")
    assert "u.yaml: no out; add it" in lrs2m("train", "u.yaml").error
    assert "no such settings file" in lrs2m("train", "nowhere.yaml").error
    assert "Missing DATA and --out" in lrs2m("train").error
    assert "no training was begun there" in lrs2m("train", "--resume", "r").error
    assert "--resume RUN: not with out" in lrs2m("train", "--resume", "r", "--out", "x").error
