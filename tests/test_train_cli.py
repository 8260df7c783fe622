"""`lrs2m train` from the command line: what goes wrong is one line that says what next, with exit code 2."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from lrs2m_builder import cli
from lrs2m_builder.train import run as train_module
from tests.clip_toy import make_data, make_rows, write_table

QUICK = ("--config", "tiny", "--set", "max_steps=2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_data(tmp_path_factory.mktemp("data"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of `lrs2m train ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["lrs2m", "train", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on standard error; no traceback before it."""
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told.strip().splitlines()[-1]


def test_it_prints_the_folder_of_the_model_and_measures_held_out_pairs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, data, *QUICK, "--out", tmp_path / "run", "--eval-data", data) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run" / "model")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert "eval_long_t2i_r1" in json.loads(lines[-1])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hub cache that holds commit c0ffee of the data set owner/pairs, without network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "hub" / "datasets--owner--pairs"
    (repository / "refs").mkdir(parents=True)
    for ref in ("main", "v1"):
        (repository / "refs" / ref).write_text("c0ffee")
    make_data(repository / "snapshots" / "c0ffee")
    return repository


@pytest.mark.parametrize("name", ["owner/pairs", "owner/pairs@v1"])
def test_data_of_the_hub_is_named_by_its_id(
    name: str, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, name, *QUICK, "--out", tmp_path / "run") == 0
    assert "c0ffee" in json.loads((tmp_path / "run" / "config.json").read_text())["data"][0]


def test_data_that_is_nowhere_is_one_line(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "owner/other", *QUICK, "--out", tmp_path / "run") == 2
    assert "owner/other: no such file or folder, and the Hub did not give it" in error(capsys)
    assert run(monkeypatch, tmp_path / "nothing", *QUICK, "--out", tmp_path / "run") == 2
    assert "nothing: no such file or folder, and not a data set's Hub name" in error(capsys)


def test_a_bad_shard_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data, tmp_path / "data")
    broken = tmp_path / "data" / "data" / "toy" / "train-00001.parquet"
    broken.write_bytes(broken.read_bytes()[:500])
    assert run(monkeypatch, tmp_path / "data", *QUICK, "--out", tmp_path / "run") == 2
    assert "train-00001.parquet: cannot be read" in error(capsys)


def test_a_shard_damaged_inside_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data, tmp_path / "data")
    for path in (tmp_path / "data").rglob("*.parquet"):
        content = bytearray(path.read_bytes())
        content[4:2000] = bytes(1996)  # the footer, and so the index, is whole
        path.write_bytes(content)
    assert run(monkeypatch, tmp_path / "data", *QUICK, "--out", tmp_path / "run") == 2
    assert ".parquet: cannot be read" in error(capsys)


def test_a_missing_column_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"image": row["image"], "caption_short": row["caption_short"]} for row in make_rows(16)]
    data = write_table(tmp_path / "a.parquet", rows)
    assert run(monkeypatch, data, *QUICK, "--out", tmp_path / "run") == 2
    assert "a.parquet: no column 'caption_long'; it has caption_short, image" in error(capsys)


def test_a_loss_that_is_not_a_number_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = ("--set", "lr=1e30", "--set", "warmup_steps=0")
    assert run(monkeypatch, data, *QUICK, *wild, "--out", tmp_path / "run") == 2
    assert "the loss of step 2 is nan" in (line := error(capsys)) and "use a smaller lr" in line


@pytest.mark.parametrize(
    "problem",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_too_little_memory_is_one_line(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: Exception,
) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(train_module, "accumulate_gradient", too_large)
    assert run(monkeypatch, data, *QUICK, "--out", tmp_path / "run") == 2
    assert "out of memory in step 1 with 8 pairs at once; run again with micro_batch=4" in error(capsys)


def test_a_checkpoint_of_another_model_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, context_length in (("long", 248), ("short", 77)):
        options = ("--set", f"context_length={context_length}", "--set", "checkpoint_every=1")
        assert run(monkeypatch, data, *QUICK, *options, "--out", tmp_path / name) == 0
    checkpoint = Path("checkpoints", "step-000001.pt")
    shutil.copy(tmp_path / "short" / checkpoint, tmp_path / "long" / checkpoint)
    (tmp_path / "long" / "checkpoints" / "step-000002.pt").unlink()
    shutil.rmtree(tmp_path / "long" / "model")
    options = ("--set", "context_length=248", "--set", "checkpoint_every=1")
    assert run(monkeypatch, data, *QUICK, *options, "--out", tmp_path / "long") == 2
    assert "the checkpoint does not fit the model random: " in (line := error(capsys))
    assert "position_embedding" in line and line.endswith("give a new folder")


def test_held_out_data_without_texts_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = write_table(tmp_path / "bare.parquet", [{"image": row["image"]} for row in make_rows(4)])
    assert run(monkeypatch, data, *QUICK, "--out", tmp_path / "run", "--eval-data", bare) == 2
    assert "bare.parquet: held-out pairs need the column image" in error(capsys)
