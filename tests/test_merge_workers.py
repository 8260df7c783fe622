"""A recipe that asks no model is built by worker processes, a shard at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from lrs2m_builder.build import Report, build
from lrs2m_builder.build.options import BuildOptions
from tests.fake_engine import FakeModule
from tests.test_merge import millionaid
from tests.toy import ROOT, file_bytes, ids, rows


def merge(folder: Path, out: Path, **changes: Any) -> Report:
    options = BuildOptions(recipe="merge", source="millionaid", data_dir=folder, out_dir=out, **changes)
    return build(options, FakeModule())


def test_workers_write_the_same_shards_as_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = millionaid(tmp_path, 40)
    for name, min_shards in (("one", 1000), ("many", 1)):
        monkeypatch.setattr("lrs2m_builder.build.workers.MIN_SHARDS", min_shards)
        assert merge(folder, tmp_path / name, shard_size=5).records == 40
    assert file_bytes(tmp_path / "one") == file_bytes(tmp_path / "many")


def test_images_by_reference_are_named_and_never_opened(tmp_path: Path) -> None:
    folder = millionaid(tmp_path, 4)
    for image in folder.rglob("*.jpg"):
        image.write_bytes(b"no image at all")
    assert merge(folder, tmp_path / "embedded").rejections == {"image_unreadable": 4}
    assert merge(folder, tmp_path / "out", images="reference").records == 4
    found = rows(tmp_path / "out")
    assert {row["image"]["bytes"] for row in found} == {row["image_sha256"] for row in found} == {None}
    assert [row["image"]["path"] for row in found] == [f"MillionAID/P{n:07}.jpg" for n in range(4)]


def test_a_published_text_over_the_context_is_kept_with_a_warning(tmp_path: Path) -> None:
    folder = millionaid(tmp_path, 2)
    path = folder / "list_pretrain.json"
    entries = json.loads(path.read_text())
    entries[0]["conversations"][1]["value"] = " ".join(f"Tree number {n} is green." for n in range(80))
    path.write_text(json.dumps(entries))
    merge(folder, tmp_path / "out")
    assert [[w.partition(":")[0] for w in row["warnings"]] for row in rows(tmp_path / "out")] == [["clip_budget"], []]


def started(folder: Path, out: Path, images: str = "embed") -> psutil.Popen:
    """A merge in a process group of its own, its first shard written."""
    command = [sys.executable, "-m", "lrs2m_builder.cli", "build", "--recipe", "merge", "--source", "millionaid"]
    command += ["--data-dir", str(folder), "--out", str(out), "--images", images, "--shard-size", "20"]
    process = psutil.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(out.rglob("data/*/train-*.parquet")):
        assert process.poll() is None
        time.sleep(0.005)
    return process


@pytest.mark.parametrize("images", ["embed", "reference"])
def test_a_signal_finishes_the_shards_that_were_begun_and_the_next_run_the_rest(tmp_path: Path, images: str) -> None:
    folder, out = millionaid(tmp_path, 2000), tmp_path / "out"
    process = started(folder, out, images)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "finishing the shards that were begun" in said
    assert 0 < len(ids(out)) < 2000
    assert merge(folder, out, images=images, shard_size=20).records == 2000
    assert len(set(ids(out))) == 2000


def test_a_killed_build_leaves_no_worker_and_the_next_run_ends_it(tmp_path: Path) -> None:
    folder, out = millionaid(tmp_path, 2000), tmp_path / "out"
    process = started(folder, out)
    workers = process.children(recursive=True)
    assert workers
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    assert merge(folder, out, shard_size=20).records == 2000
    assert len(set(ids(out))) == 2000


def test_a_signal_to_all_processes_at_once_stops_as_one_to_the_first(tmp_path: Path) -> None:
    """As a batch system ends a job."""
    folder, out = millionaid(tmp_path, 2000), tmp_path / "out"
    process = started(folder, out)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (130, False), said
    assert 0 < len(ids(out)) < 2000


def test_a_worker_that_is_killed_is_said_in_one_line(tmp_path: Path) -> None:
    folder, out = millionaid(tmp_path, 2000), tmp_path / "out"
    process = started(folder, out)
    workers = [child for child in process.children() if "resource_tracker" not in " ".join(child.cmdline())]
    workers[0].kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and "a worker process was killed" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_no_journal_is_left_where_no_model_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = millionaid(tmp_path, 10)
    for name, min_shards in (("one", 1000), ("many", 1)):
        monkeypatch.setattr("lrs2m_builder.build.workers.MIN_SHARDS", min_shards)
        merge(folder, tmp_path / name, shard_size=5)
        assert list((tmp_path / name / "journal").rglob("*.jsonl")) == []
