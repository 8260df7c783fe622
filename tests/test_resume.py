"""A build that is killed, stopped, locked out or short of disk loses nothing and doubles nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lrs2m_builder.build.journal import Journal
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Attempt, Completion
from lrs2m_builder.files import read_json
from lrs2m_builder.stores.folder import FolderStore
from tests.fake_engine import FakeModule
from tests.toy import build_toy, file_bytes, ids, journaled, make_source, rows, start_cli

NUM_KILLS = 6
WINDOW = 8


def wait_for_requests(log: Path, more_than: int, process: subprocess.Popen[str]) -> None:
    """Wait until the log has more lines than that, or the process ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if log.exists() and log.read_text().count("\n") > more_than:
            return
        time.sleep(0.002)


def test_a_build_killed_several_times_ends_as_one_never_killed(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 240)
    whole, killed, log = tmp_path / "whole", tmp_path / "killed", tmp_path / "requests.log"
    build_toy(source, whole)
    random_ = random.Random(7)
    answered: set[str] = set()
    finished: dict[str, bytes] = {}
    for _ in range(NUM_KILLS):
        asked_before = log.read_text().splitlines() if log.exists() else []
        process = start_cli(source, killed, log=log, delay_s=0.01)
        wait_for_requests(log, len(asked_before) + random_.randint(1, 18), process)
        time.sleep(random_.random() * 0.02)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the build ended before it was killed: give it more to do"
        new = log.read_text().splitlines()[len(asked_before) :]
        assert not answered & set(new), "an answer that was journaled was asked for again"
        answered |= journaled(killed)
        for name, content in file_bytes(killed).items():
            assert finished.setdefault(name, content) == content, f"{name} changed after it was finished"
    last = start_cli(source, killed, log=log, delay_s=0.0)
    out, err = last.communicate(timeout=120)
    assert last.returncode == 0, err
    assert file_bytes(killed) == file_bytes(whole)
    found = ids(killed) + ids(killed, "rejected")
    assert sorted(found) == sorted(ids(whole) + ids(whole, "rejected"))
    assert len(set(found)) == len(found) == 240
    asked = Counter(log.read_text().splitlines())
    # What was in flight at a kill is asked once more, and nothing else.
    assert sum(asked.values()) - len(asked) <= NUM_KILLS * WINDOW
    assert not list((killed / "journal").rglob("*.jsonl"))
    assert "240 samples" in out


def test_a_build_killed_between_its_two_renames_is_mended(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 10)
    build_toy(source, tmp_path / "whole")
    out = tmp_path / "out"
    build_toy(source, out)
    next((out / "data").rglob("*.parquet")).unlink()  # as if it died after the rename of the rejected file
    build_toy(source, out)
    assert file_bytes(out) == file_bytes(tmp_path / "whole")


def test_a_retry_killed_before_its_journal_went_counts_no_answer_twice(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 10), tmp_path / "out"
    refuse = FakeModule(lambda request: Completion("Sorry.", "stop"))
    build_toy(source, out, refuse, max_attempts=1)
    build_toy(source, out, refuse, max_attempts=1, retry_rejected=True)
    with Journal(FolderStore(out), "journal/toy/train-00000") as journal:
        for row in rows(out, "rejected"):
            journal.append(Attempt(row["sample_id"], **row["attempts"][1]))
    module = FakeModule()
    build_toy(source, out, module, max_attempts=1)
    assert not module.engines, "it asked again what nobody asked it to"
    assert {tuple(a["attempt"] for a in row["attempts"]) for row in rows(out, "rejected")} == {(1, 2)}
    assert not journaled(out)


def test_a_finished_build_asks_nothing_when_run_again(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 25)
    first = build_toy(source, tmp_path / "out")
    module = FakeModule()
    again = build_toy(source, tmp_path / "out", module)
    assert not module.engines
    assert (again.samples, again.records, again.rejections) == (first.samples, first.records, first.rejections)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_exits_130(tmp_path: Path, number: signal.Signals) -> None:
    source, log = make_source(tmp_path / "source", 120), tmp_path / "requests.log"
    process = start_cli(source, tmp_path / "out", log=log, delay_s=0.3)
    wait_for_requests(log, 3, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    asked = log.read_text().splitlines()
    assert 0 < len(asked) < 120
    assert journaled(tmp_path / "out") == set(asked), "an answer in flight was dropped"
    assert "run the same command to resume" in out
    again = start_cli(source, tmp_path / "out", log=log, delay_s=0.0)
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert len(ids(tmp_path / "out")) + len(ids(tmp_path / "out", "rejected")) == 120
    assert max(Counter(log.read_text().splitlines()).values()) == 1


def test_a_second_signal_stops_without_draining(tmp_path: Path) -> None:
    source, log = make_source(tmp_path / "source", 40), tmp_path / "requests.log"
    process = start_cli(source, tmp_path / "out", log=log, delay_s=60)
    wait_for_requests(log, 3, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_second_signal_ends_a_build_whose_engine_does_not_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRS2M_FAKE_CLOSE_S", "500")
    source, log = make_source(tmp_path / "source", 40), tmp_path / "requests.log"
    process = start_cli(source, tmp_path / "out", log=log, delay_s=60)
    wait_for_requests(log, 3, process)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (130, "stopped; run the same command to resume")


def test_a_second_build_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    source, log = make_source(tmp_path / "source", 40), tmp_path / "requests.log"
    first = start_cli(source, tmp_path / "out", log=log, delay_s=5.0)
    wait_for_requests(log, 0, first)
    second = start_cli(source, tmp_path / "out", log=tmp_path / "other.log")
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert (
        err.strip().splitlines()[-1].startswith(f"error: {tmp_path}/out: another build")
        and f"process {first.pid}" in err
    )
    first.kill()
    first.communicate()
    third = start_cli(source, tmp_path / "out", log=log, delay_s=0.0)
    third.communicate(timeout=60)
    assert third.returncode == 0, "a dead process kept the lock"


def test_changed_settings_are_refused_with_the_difference(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 5)
    build_toy(source, tmp_path / "out")
    with pytest.raises(UserError, match=r"seed was 0, now 1.*--restart") as caught:
        build_toy(source, tmp_path / "out", seed=1)
    assert "\n" not in str(caught.value)


def test_another_number_in_flight_is_no_other_build(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 5)
    build_toy(source, tmp_path / "out", engine_options={"max_in_flight": 2})
    build_toy(source, tmp_path / "out", engine_options={"max_in_flight": 4})


def test_restart_sets_the_earlier_build_aside(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 5)
    build_toy(source, tmp_path / "out")
    before = file_bytes(tmp_path / "out")
    build_toy(source, tmp_path / "out", seed=1, restart=True)
    assert file_bytes(tmp_path / "out.1") == before
    assert read_json(tmp_path / "out" / "build.json")["settings"]["seed"] == 1


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 5)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        build_toy(source, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can be mounted by root alone")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("filler", [0, 3500])
def test_a_full_disk_stops_with_one_line_and_resumes_when_there_is_room(tmp_path: Path, filler: int) -> None:
    """With no filler the disk fills while shards are written; with it, while answers are journaled."""
    source, log = make_source(tmp_path / "source", 150), tmp_path / "requests.log"
    with small_disk(tmp_path / "disk", "128k" if not filler else "4m") as disk:
        out = disk / "out"
        if filler:
            (disk / "filler").write_bytes(b"x" * (filler * 1024 + 440 * 1024))
        process = start_cli(source, out, log=log, delay_s=0.001)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2, err
        assert err.count("error:") == 1 and "no space left on the disk" in err and "Traceback" not in err
        answered = journaled(out)
        (disk / "filler").unlink(missing_ok=True)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        asked_before = len(log.read_text().splitlines())
        again = start_cli(source, out, log=log, delay_s=0.0)
        _, err = again.communicate(timeout=60)
        assert again.returncode == 0, err
        assert len(set(ids(out) + ids(out, "rejected"))) == 150
        assert not answered & set(log.read_text().splitlines()[asked_before:])


def test_restart_of_a_build_behind_a_link_goes_on_behind_it(tmp_path: Path) -> None:
    source, disk, out = make_source(tmp_path / "source", 3), tmp_path / "disk" / "build", tmp_path / "out"
    disk.mkdir(parents=True)
    out.symlink_to(disk)
    build_toy(source, out)
    assert build_toy(source, out, seed=1, restart=True).samples == 3
    assert out.is_symlink() and {path.name for path in disk.parent.iterdir()} == {"build", "build.1"}


def test_a_build_killed_while_it_wrote_its_settings_begins_again(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 3), tmp_path / "out"
    out.mkdir()
    (out / ".build.json.part").write_text('{"settings')
    assert build_toy(source, out).samples == 3


def test_a_disk_that_knows_no_locks_is_said_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def lockf(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", lockf)
    monkeypatch.setattr(fcntl, "flock", lockf)
    source, out = make_source(tmp_path / "source", 3), tmp_path / "out"
    refuse = FakeModule(lambda request: Completion("Sorry.", "stop"))
    build_toy(source, out, refuse, max_attempts=1)
    build_toy(source, out, refuse, max_attempts=1, retry_rejected=True)
    assert {len(row["attempts"]) for row in rows(out, "rejected")} == {2}
    assert "knows no locks (No locks available); run one build there at a time" in capfd.readouterr().err


def test_a_build_may_run_beside_the_main_thread(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 3)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(build_toy, source, tmp_path / "out").result().samples == 3


def test_what_a_killed_build_left_half_written_is_removed_by_the_next_run(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 3), tmp_path / "out"
    build_toy(source, out)
    left = [out / ".build.json.part", out / ".report.json.part", out / "data" / "toy" / ".train-00000.parquet.part"]
    for path in left:
        path.write_text("half")
    build_toy(source, out)
    assert not [path for path in left if path.exists()]
