"""Several replicas on Ray: what one process writes, byte for byte, whoever is killed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lrs2m_builder.build import build
from lrs2m_builder.build.cluster import Cluster
from lrs2m_builder.build.replicas import Replicas
from lrs2m_builder.errors import UserError
from tests.fake_engine import FakeModule
from tests.in_process import lrs2m
from tests.toy import build_toy, file_bytes, make_source, start_cli, toy_options

pytest.importorskip("ray", reason="needs the extra 'ray'")
NUM = 240
WINDOW = 8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"), NUM)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    build_toy(source, out, FakeModule())
    return shards(out)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two raylets on this machine, one replica each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "120")  # on a busy machine
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        cluster.add_node(num_cpus=1)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def start(cluster: Any, source: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    def start(*arguments: str, delay_s: float = 0.03) -> subprocess.Popen[str]:
        words = ("--replicas", "2", "--ray-address", cluster.address, *arguments)
        return start_cli(source, tmp_path / "out", *words, log=tmp_path / "log", delay_s=delay_s)

    return start


def shards(out: Path) -> dict[str, bytes]:
    return {name: content for name, content in file_bytes(out).items() if name.startswith(("data", "rejected"))}


def replicas() -> list[psutil.Process]:
    """The processes of replicas; Ray names a process by the method that it runs."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or [""]
        if words[0].startswith("ray::Replica"):
            found.append(process)
    return found


def wait_for_answers(log: Path, number: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if log.exists() and log.read_text().count("\n") >= number:
            return
        time.sleep(0.02)
    raise AssertionError((process.poll(), process.communicate(timeout=10) if process.poll() is not None else ""))


def check(process: subprocess.Popen[str], folder: Path, whole: dict[str, bytes], deaths: int) -> str:
    """The build ended with the bytes of one process, and asked again only what was in flight; its messages."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert shards(folder / "out") == whole
    asked = Counter((folder / "log").read_text().splitlines())
    assert sum(asked.values()) - len(asked) <= deaths * 2 * WINDOW
    assert not list((folder / "out" / "journal").rglob("*.jsonl"))
    assert f"{NUM} samples" in out
    return err


def test_two_replicas_write_what_one_process_writes(start: Any, whole: dict[str, bytes], tmp_path: Path) -> None:
    check(start(delay_s=0.0), tmp_path, whole, 0)
    assert len(list((tmp_path / "out" / "telemetry").iterdir())) == 2


def test_a_killed_replica_is_replaced(start: Any, whole: dict[str, bytes], tmp_path: Path) -> None:
    process = start()
    wait_for_answers(tmp_path / "log", 40, process)
    replicas()[0].kill()
    assert "handed out again" in check(process, tmp_path, whole, 1)


def test_a_lost_machine_costs_what_was_in_flight(
    cluster: Any, start: Any, whole: dict[str, bytes], tmp_path: Path
) -> None:
    node = cluster.add_node(num_cpus=1)
    process = start("--replicas", "3", delay_s=0.1)
    wait_for_answers(tmp_path / "log", 40, process)
    cluster.remove_node(node, allow_graceful=False)
    check(process, tmp_path, whole, 1)


def test_a_killed_driver_can_be_run_again(start: Any, whole: dict[str, bytes], tmp_path: Path) -> None:
    process = start()
    wait_for_answers(tmp_path / "log", 40, process)
    process.kill()
    process.communicate()
    check(start(), tmp_path, whole, 2)


def test_a_replica_that_hangs_is_killed_and_its_late_rows_are_dropped(
    start: Any, whole: dict[str, bytes], tmp_path: Path
) -> None:
    process = start("--stall-minutes", "0.1")
    wait_for_answers(tmp_path / "log", 40, process)
    replicas()[0].suspend()
    assert "has said nothing" in check(process, tmp_path, whole, 1)


def test_a_signal_keeps_the_answers_in_flight(start: Any, whole: dict[str, bytes], tmp_path: Path) -> None:
    process = start(delay_s=0.1)
    wait_for_answers(tmp_path / "log", 40, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    check(start(delay_s=0.0), tmp_path, whole, 0)


def test_one_process_goes_on_where_replicas_stopped(
    start: Any, source: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    process = start()
    wait_for_answers(tmp_path / "log", 40, process)
    process.kill()
    process.communicate()
    alone = start_cli(source, tmp_path / "out", log=tmp_path / "log", delay_s=0.0)
    check(alone, tmp_path, whole, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--replicas", "two"), "--replicas two: give a whole number"),
        (("--replicas", "0"), "--replicas 0: give a whole number"),
        (("--replicas", "2", "--engine", "openai", "--base-url", "http://localhost:1/v1"), "an endpoint answers many"),
        (("--replicas", "2", "--recipe", "merge"), "recipe merge asks no model"),
        (("--replicas", "2", "--stall-minutes", "0"), "--stall-minutes"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(words: tuple[str, ...], message: str, source: Path, tmp_path: Path) -> None:
    settings = {"--recipe": "short_to_long", "--source": str(source), "--data-dir": str(source.parent)}
    settings |= {"--out": str(tmp_path / "out"), "--model": "m", "--engine": "vllm"}
    given = [word for name, value in settings.items() if name not in words for word in (name, value)]
    assert message in lrs2m("build", *given, *words).error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--replicas", "2", "--ray-address", "127.0.0.1:1"), "--ray-address 127.0.0.1:1: no Ray cluster"),
        (("--ray-address", "ray://head:10001"), "give HOST:PORT of the cluster's head"),
        (("--replicas", "auto"), "--replicas auto: the cluster has no GPU; give a number"),
    ],
)
def test_a_wrong_cluster_is_one_line(start: Any, words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    process = start(*words)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and message in err.splitlines()[-1], (out, err)
    assert "Traceback" not in err and not (tmp_path / "log").exists()


def test_without_ray_the_extra_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=re.escape("pip install 'lrs2m-builder[ray]'")):
        build(toy_options(source, tmp_path / "out"), Replicas(Cluster(2), FakeModule()))


def test_an_engine_that_never_answers_ends_the_build_with_its_own_words(start: Any, tmp_path: Path) -> None:
    process = start("--engine-option", "fail=the weights are gone")
    _, err = process.communicate(timeout=240)
    assert process.returncode == 2 and "the weights are gone" in err.splitlines()[-1], err
