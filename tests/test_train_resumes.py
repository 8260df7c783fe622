"""A training that resumes with another number of processes or workers has the same batches and the same losses."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from lrs2m_builder.errors import UserError
from lrs2m_builder.train import checkpoint
from lrs2m_builder.train.checkpoint import RunFolder
from lrs2m_builder.train.config import changed, with_batch_size
from lrs2m_builder.train.named_configs import tiny
from tests.clip_toy import make_data
from tests.train_processes import exit_codes, losses, start

TOLERANCE = 2e-5  # of the losses, relative: sums over processes are rounded in another order
PAIRS, STEPS = 8, 9  # pairs per step; an epoch of the data has 6 steps


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_data(tmp_path_factory.mktemp("data"), 48, unreadable=(5, 30))


class NoteBatches:
    """Called in a child: notes the content ids of the images of each batch, and gets a signal in one."""

    def __init__(self, folder: Path, last: int | None) -> None:
        self._folder, self._last = folder, last

    def __call__(self) -> None:
        from lrs2m_builder.train.data import Batches

        read, path, last = Batches.__iter__, self._folder / f"{os.environ['RANK']}.jsonl", self._last

        def noted(batches: Batches) -> Iterator[Any]:
            for number, batch in enumerate(read(batches), start=1):
                with path.open("a") as file:
                    file.write(f"{json.dumps(batch.image_ids_B.tolist())}\n")
                if number == last:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

        Batches.__iter__ = noted  # type: ignore[method-assign]


def train(out: Path, data: Path, processes: int, *settings: str, last: int | None = None) -> list[list[int]]:
    """Train to the end, or stop soon after a number of batches.

    Returns:
        The ids of the images of all processes, a list per step.
    """
    before = len(losses(out))
    told = out.with_name(f"{out.name}-{before}")
    changes = (f"max_steps={STEPS}", "epochs=2", "augment_images=[crop]", *settings)
    children = start([out] * processes, data, *changes, told=told, in_child=NoteBatches(told, last))
    assert exit_codes(children) == [130 if last else 0] * processes, (told / "0.txt").read_text()
    parts = [[json.loads(line) for line in (told / f"{r}.jsonl").read_text().splitlines()] for r in range(processes)]
    steps = [list(chain(*parts_of_step)) for parts_of_step in zip(*parts, strict=False)]
    return steps[: len(losses(out)) - before]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A run of one process that is never stopped, and its batches."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, train(out, data, 1, f"batch_size={PAIRS}")


def test_stopped_with_two_processes_a_run_resumes_with_four_and_one(
    data: Path, tmp_path: Path, whole: tuple[Path, list[Any]]
) -> None:
    out = tmp_path / "out"
    resumed = train(out, data, 2, "batch_size=4", "workers=1", last=2)
    resumed += train(out, data, 4, "batch_size=2", "micro_batch=1", last=2)
    resumed += train(out, data, 1, "batch_size=4", "workers=3", "micro_batch=2")
    assert resumed == whole[1] and len({tuple(sorted(batch)) for batch in resumed}) == STEPS
    assert_same_losses(out, whole[0])


def test_a_run_of_four_processes_has_the_losses_and_batches_of_a_run_of_one(
    data: Path, tmp_path: Path, whole: tuple[Path, list[Any]]
) -> None:
    four = tmp_path / "four"
    assert train(four, data, 4, "batch_size=2", "workers=1") == whole[1]
    assert_same_losses(four, whole[0])


def assert_same_losses(one: Path, other: Path) -> None:
    assert [line[0] for line in losses(one)] == list(range(1, STEPS + 1))
    torch.testing.assert_close(torch.tensor(losses(one)), torch.tensor(losses(other)), rtol=TOLERANCE, atol=0)


def batch_size(folder: Path, monkeypatch: pytest.MonkeyPatch, processes: int, **changes: Any) -> int:
    """The pairs per process with which a run of two processes with 6 pairs each resumes."""
    config = changed(tiny(), {"batch_size": 6, "pcm_k": 3, **changes})
    if not (folder / "config.json").exists():
        monkeypatch.setattr(checkpoint, "world_size", lambda: 2)
        RunFolder(folder, config, []).write_settings("revision", [])
    monkeypatch.setattr(checkpoint, "world_size", lambda: processes)
    return RunFolder(folder, config, []).check()


def test_the_same_command_keeps_the_pairs_per_step_at_another_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [batch_size(tmp_path, monkeypatch, processes) for processes in (2, 1, 3, 6)] == [6, 12, 4, 2]
    assert batch_size(tmp_path, monkeypatch, 3, batch_size=4) == 4
    assert with_batch_size(changed(tiny(), {"micro_batch": 8}), 12).micro_batch == 4


@pytest.mark.parametrize(
    ("processes", "changes", "message"),
    [
        (5, {}, r"12 pairs per step \(2 x batch_size 6\), which 5 processes cannot share; use 4 or 6"),
        (12, {}, "which 12 processes cannot share; use 6"),
        (4, {"batch_size": 8}, r"now 32 \(4 x 8\); give batch_size=3 to resume, or a new folder"),
        (2, {"batch_size": 4}, r"now 8 \(2 x 4\); give batch_size=6 to resume"),
        (3, {"pcm": "local"}, "pcm=local depends on the batch of each process; use 2 processes"),
    ],
)
def test_what_another_number_of_processes_cannot_keep_is_refused_with_what_would_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, changes: dict[str, Any], message: str
) -> None:
    kept = {name: value for name, value in changes.items() if name == "pcm"}
    batch_size(tmp_path, monkeypatch, 2, **kept)
    with pytest.raises(UserError, match=message):
        batch_size(tmp_path, monkeypatch, processes, **changes)
