"""A training of several processes, or with child processes, can be killed or stopped anywhere and goes on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
import torch

from tests.clip_toy import make_data
from tests.train_processes import exit_codes, losses, metrics, signal_groups, start, wait_for_step

LONG = ("max_steps=400", "epochs=400", "checkpoint_every=1000", "workers=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_data(tmp_path_factory.mktemp("data"), 96)


@pytest.mark.parametrize("num_processes", [2])  # four: `make train-campaign`
def test_processes_killed_several_times_have_the_losses_of_those_never_killed(
    data: Path, tmp_path: Path, num_processes: int
) -> None:
    settings = ("max_steps=9", "epochs=9", "checkpoint_every=2", "batch_size=4")
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert exit_codes(start([whole] * num_processes, data, *settings, told=tmp_path / "a")) == [0] * num_processes
    for step in (3, 6):
        processes = start([out] * num_processes, data, *settings, told=tmp_path / "b")
        wait_for_step(out, step, processes)
        signal_groups(processes, signal.SIGKILL)
        exit_codes(processes)
    assert exit_codes(start([out] * num_processes, data, *settings, told=tmp_path / "b")) == [0] * num_processes
    assert losses(out) == losses(whole) and len(losses(out)) == 9
    assert (out / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()


def test_a_process_that_does_not_see_the_runs_folder_ends_all_with_one_line(data: Path, tmp_path: Path) -> None:
    processes = start(
        [tmp_path / "here", tmp_path / "there"], data, "batch_size=4", told=tmp_path / "told", in_child=see_at_once
    )
    assert exit_codes(processes) == [2, 2]
    first, second = ((tmp_path / "told" / f"{rank}.txt").read_text() for rank in (0, 1))
    assert "give an --out on a disk that all machines of the run share" in first.splitlines()[-1]
    assert "error" not in second and "Traceback" not in first + second


def see_at_once() -> None:
    from lrs2m_builder.train import processes

    processes.SEEN_WITHIN_S = 0.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_all_processes_of_a_training_ends_it_with_a_checkpoint(
    data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    processes = start([out], data, *LONG, told=tmp_path / "told")
    wait_for_step(out, 2, processes)
    signal_groups(processes, number)
    assert exit_codes(processes) == [130]
    (saved,) = (out / "checkpoints").iterdir()
    assert saved.name == f"step-{metrics(out)[-1]['step']:06d}.pt"
    assert "Traceback" not in (tmp_path / "told" / "0.txt").read_text()


def test_two_processes_that_all_get_a_signal_stop_after_the_same_step(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    processes = start([out] * 2, data, *LONG, told=tmp_path / "told")
    wait_for_step(out, 2, processes)
    signal_groups(processes, signal.SIGTERM)
    assert exit_codes(processes) == [130, 130]
    assert (out / "checkpoints" / f"step-{metrics(out)[-1]['step']:06d}.pt").is_file()


def test_a_signal_during_an_evaluation_ends_it_and_the_next_run_makes_up_for_it(data: Path, tmp_path: Path) -> None:
    settings = ("max_steps=3", "eval_every=2", "workers=1")
    evaluates, out = tmp_path / "evaluates", tmp_path / "out"
    processes = start([out], data, *settings, told=tmp_path / "told", in_child=SlowEvaluation(evaluates, 300))
    deadline = time.monotonic() + 300
    while not evaluates.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    signal_groups(processes, signal.SIGTERM)
    assert exit_codes(processes) == [130]
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-000002.pt"]
    processes = start([out], data, *settings, told=tmp_path / "told", in_child=SlowEvaluation(evaluates, 0))
    assert exit_codes(processes) == [0]
    assert [line.get("eval_long_t2i_r1") for line in metrics(out)] == [None, 0.5, 0.5]


class SlowEvaluation:
    """Called in a child: gives its training an evaluation that takes some seconds."""

    def __init__(self, begun: Path, seconds: float) -> None:
        self._begun, self._seconds = begun, seconds

    def __call__(self) -> None:
        from lrs2m_builder.train import run as module

        original = module.train

        def measure(_: object) -> dict[str, float]:
            self._begun.touch()
            time.sleep(self._seconds)
            return {"long_t2i_r1": 0.5}

        def train(*arguments: object, **options: object) -> Path:
            return original(*arguments, **{**options, "make_evaluate": lambda _: measure})  # type: ignore[arg-type]

        module.train = train  # type: ignore[assignment]


def test_a_second_training_on_the_same_folder_is_refused_with_the_process_that_holds_it(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = start([out], data, *LONG, told=tmp_path / "first")
    wait_for_step(out, 1, first)
    assert exit_codes(start([out], data, *LONG, told=tmp_path / "second")) == [2]
    told = (tmp_path / "second" / "0.txt").read_text().splitlines()[-1]
    assert f"another training (process {first[0].pid}) is writing there" in told
    signal_groups(first, signal.SIGKILL)
    exit_codes(first)


def test_the_workers_of_a_killed_training_end_with_it(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    processes = start([out], data, *LONG, told=tmp_path / "told")
    wait_for_step(out, 1, processes)
    pid = processes[0].pid
    assert pid is not None
    workers = psutil.Process(pid).children(recursive=True)
    assert workers
    os.kill(pid, signal.SIGKILL)
    exit_codes(processes)
    deadline = time.monotonic() + 60
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process: psutil.Process) -> bool:
    """False for a zombie too: where process 1 waits for no orphans, an ended one stays in the list."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
