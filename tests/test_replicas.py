"""Several replicas on Ray: what one process writes, byte for byte, whoever is killed."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build import build
from lrs2m_builder.build.cluster import Cluster
from lrs2m_builder.build.replicas import Replicas
from lrs2m_builder.errors import UserError
from tests.fake_engine import FakeModule
from tests.in_process import lrs2m
from tests.replica_builds import Builds, patiently, replicas, shards
from tests.toy import build_toy, ids, make_source, rows, toy_options

pytest.importorskip("ray", reason="needs the extra 'ray'")
NUM = 240


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"), NUM)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    build_toy(source, out, FakeModule())
    return shards(out)


@pytest.fixture
def builds(ray_cluster: Any, source: Path, tmp_path: Path) -> Builds:
    return Builds(ray_cluster, source, str(tmp_path / "out"), tmp_path)


def test_two_replicas_write_what_one_process_writes(builds: Builds, whole: dict[str, bytes], tmp_path: Path) -> None:
    builds.check(builds.start(delay_s=0.0), whole, deaths=0)
    assert len(list((tmp_path / "out" / "telemetry").iterdir())) == 2


def test_a_killed_replica_is_replaced(builds: Builds, whole: dict[str, bytes]) -> None:
    process = builds.start()
    builds.wait_for_answers(40, process)
    replicas(builds.cluster)[0].kill()
    assert "handed out again" in builds.check(process, whole, deaths=1)


def test_a_lost_machine_costs_what_was_in_flight(builds: Builds, whole: dict[str, bytes]) -> None:
    node = patiently(lambda: builds.cluster.add_node(num_cpus=1))
    process = builds.start(number=3, delay_s=0.1)
    builds.wait_for_answers(40, process)
    builds.cluster.remove_node(node, allow_graceful=False)
    builds.check(process, whole, deaths=1)


def test_a_killed_driver_can_be_run_again(builds: Builds, whole: dict[str, bytes]) -> None:
    process = builds.start()
    builds.wait_for_answers(40, process)
    process.kill()
    process.communicate()
    builds.check(builds.start(), whole, deaths=2)


def test_a_replica_that_hangs_is_killed_and_its_shards_are_handed_out_again(
    builds: Builds, whole: dict[str, bytes], tmp_path: Path
) -> None:
    process = builds.start("--stall-minutes", "0.1", delay_s=0.2)
    builds.wait(lambda: len(list((tmp_path / "out").glob("telemetry/*"))) == 2, process)  # both engines have started
    replicas(builds.cluster)[0].suspend()
    assert "has said nothing" in builds.check(process, whole, deaths=1)


def test_a_signal_keeps_the_answers_in_flight(builds: Builds, whole: dict[str, bytes]) -> None:
    process = builds.start(delay_s=0.1)
    builds.wait_for_answers(40, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    builds.check(builds.start(delay_s=0.0), whole, deaths=0)


def test_one_process_goes_on_where_replicas_stopped(builds: Builds, whole: dict[str, bytes]) -> None:
    process = builds.start()
    builds.wait_for_answers(40, process)
    process.kill()
    process.communicate()
    builds.check(builds.start(delay_s=0.0, number=0), whole, deaths=2)


def test_a_sample_that_kills_its_replicas_costs_one_row(
    builds: Builds, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = "toy/37.jpg#0"
    monkeypatch.setenv("LRS2M_FAKE_KILLERS", killer)
    _, err = builds.start(delay_s=0.01).communicate(timeout=240)
    rejected = {row["sample_id"]: row["reason"] for row in rows(tmp_path / "out", "rejected")}
    assert rejected[killer] == "engine_killed" and list(rejected.values()).count("engine_killed") == 1, err
    assert len(ids(tmp_path / "out")) + len(rejected) == NUM
    others = {name: content for name, content in whole.items() if "00003" not in name}
    assert {name: content for name, content in shards(builds.out).items() if "00003" not in name} == others


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
def test_a_wrong_cluster_is_one_line(builds: Builds, words: tuple[str, ...], message: str) -> None:
    process = builds.start(*words)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and message in err.splitlines()[-1], (out, err)
    assert "Traceback" not in err and not builds.num_asked()


def test_without_ray_the_extra_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=re.escape("pip install 'lrs2m-builder[ray]'")):
        build(toy_options(source, tmp_path / "out"), Replicas(Cluster(2), FakeModule()))


def test_an_engine_that_never_answers_ends_the_build_with_its_own_words(builds: Builds) -> None:
    process = builds.start("--engine-option", "fail=the weights are gone")
    _, err = process.communicate(timeout=240)
    assert process.returncode == 2 and "the weights are gone" in err.splitlines()[-1], err
