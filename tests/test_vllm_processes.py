"""What vLLM's processes write does not bury the lines of a build; when they fail, one line says why."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from lrs2m_builder.engines import _vllm_processes as processes
from lrs2m_builder.engines._vllm_processes import EngineLog, children_apart

CORE = """(EngineCore pid=7) ERROR 11-30 06:26:50 [core.py:935] EngineCore failed to start.
(EngineCore pid=7) Traceback (most recent call last):
(EngineCore pid=7)   File "core.py", line 9, in run
(EngineCore pid=7) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.
Traceback (most recent call last):
RuntimeError: Engine core initialization failed. See root cause above.
"""


def chatter() -> None:
    print("a line on standard output", flush=True)
    os.write(2, b"[W utils.cpp:68] Warning: a line from C++\n")
    assert os.getpgrp() == os.getpid()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineLog:
    monkeypatch.setattr(processes.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(processes, "_IS_READ", False)
    return EngineLog()


def run_child(log: EngineLog) -> None:
    with children_apart(log):
        child = multiprocessing.get_context("spawn").Process(target=chatter)
        child.start()
        child.join()
    assert child.exitcode == 0
    assert multiprocessing.spawn.get_executable() == sys.executable.encode()


def test_what_its_processes_write_is_in_a_file_that_goes_with_them(
    log: EngineLog, capfd: pytest.CaptureFixture[str]
) -> None:
    run_child(log)
    assert log.path is not None
    assert log.path.read_text().splitlines() == [
        "a line on standard output",
        "[W utils.cpp:68] Warning: a line from C++",
    ]
    assert capfd.readouterr() == ("", "")
    log.remove()
    assert not log.path.exists()


def test_a_user_who_sets_the_level_reads_along(
    log: EngineLog, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "_IS_READ", True)
    run_child(log)
    assert log.path is None
    assert "a line from C++" in capfd.readouterr().err
    assert log.reason(ValueError("no room")) == "no room; its own message stands above"


def test_the_reason_of_a_failure_is_the_last_exception_and_the_file_is_kept(log: EngineLog) -> None:
    log.open()
    assert log.path is not None
    log.path.write_text(CORE)
    said = log.reason(RuntimeError("Engine core initialization failed. See root cause above."))
    assert said.startswith("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.; all it wrote is in ")
    log.remove()
    assert str(log.path) in said and log.path.exists()


def test_without_an_exception_in_the_file_the_reason_is_the_error(log: EngineLog) -> None:
    log.open()
    assert log.reason(ValueError("unknown\nquantization")).startswith("unknown quantization; all it wrote is in ")
