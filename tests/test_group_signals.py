"""A signal to all processes of a command ends it with one line and 130, and leaves no process and no half thing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.export_data import row, write_rows
from tests.toy import ROOT

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def started(*arguments: object, nohup: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A command as the leader of a session of its own; what is left of it is killed."""

    def reset() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell in the background has it ignored
        signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-m", "lrs2m_builder.cli", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=reset,  # noqa: PLW1509
    )
    try:
        yield process
    finally:
        for member in members(process):
            os.kill(member, signal.SIGKILL)
        process.communicate()


def members(process: subprocess.Popen[str]) -> list[int]:
    """The processes of its session that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(session) == process.pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(what: object, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not what():  # type: ignore[operator]
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def stopped(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Signal the group, the first process twice as `timeout` does; the one line it says."""
    os.kill(process.pid, number)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    end = time.monotonic() + 20  # a worker ends a moment after its parent
    while members(process):
        assert time.monotonic() < end, "a process of the command lives on"
        time.sleep(0.05)
    assert len(err.splitlines()) == 1, err
    line = err.strip()
    assert line.startswith("stopped")
    return line


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than one span of rows to check, each image another."""
    folder = tmp_path_factory.mktemp("data")
    texts = {"caption_long": "A field and a road. " * 8, "caption_short": "A field and a road."}
    for number in range(3):
        rows = [row(number * 1000 + each, **texts) for each in range(1000)]
        write_rows(folder / "data" / f"{number}.parquet", rows)
    return folder


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_the_group_ends_an_export_and_nothing_has_its_name(
    tmp_path: Path, data: Path, number: signal.Signals
) -> None:
    with started("export", data, tmp_path / "out", "--to", "json") as process:
        wait_for(lambda: list(tmp_path.rglob("*.png")), process)
        stopped(process, number)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_the_group_ends_an_audit_and_its_workers(
    tmp_path: Path, data: Path, number: signal.Signals
) -> None:
    with started("audit", data, "--out", tmp_path / "found") as process:
        wait_for(lambda: len(members(process)) > 2, process)
        stopped(process, number)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".")]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_the_group_ends_a_publication(tmp_path: Path, data: Path, number: signal.Signals) -> None:
    arguments = ("--repo-id", "me/it", "--dry-run", "--dest", tmp_path / "tree", "--with-images")
    with started("publish", data, *arguments) as process:
        wait_for(lambda: list(tmp_path.iterdir()), process)
        stopped(process, number)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_the_group_ends_the_page_and_says_where_the_reviews_are(data: Path, number: signal.Signals) -> None:
    with started("view", data, "--port", "0") as process:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        assert stopped(process, number) == f"stopped; reviews are in {data / 'reviews.jsonl'}"


def test_under_nohup_the_end_of_the_terminal_stops_nothing(data: Path) -> None:
    with started("view", data, "--port", "0", nohup=True) as process:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        os.killpg(process.pid, signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None
        stopped(process, signal.SIGTERM)


def test_the_worker_of_an_audit_that_is_killed_ends_with_it(tmp_path: Path, data: Path) -> None:
    with started("audit", data, "--out", tmp_path / "found") as process:
        wait_for(lambda: len(members(process)) > 2, process)
        process.kill()
        process.wait()
        end = time.monotonic() + 240
        while members(process):
            assert time.monotonic() < end
            time.sleep(0.05)
