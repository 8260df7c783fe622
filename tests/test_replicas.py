"""Several replicas on Ray: what one process writes, byte for byte, whoever is killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_engine import FakeModule
from tests.toy import build_toy, file_bytes, make_source, start_cli

ray = pytest.importorskip("ray", reason="needs the extra 'ray'")
NUM = 240
WINDOW = 8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"), NUM)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out"
    build_toy(source, out, FakeModule())
    return file_bytes(out)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        cluster.add_node(num_cpus=1)
        yield cluster
        cluster.shutdown()


def test_two_replicas_write_what_one_process_writes(cluster: Any, source: Path, whole: Any, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    process = start_cli(source, out, "--replicas", "2", "--ray-address", cluster.address, log=log)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert file_bytes(out) == whole
    assert max(Counter(log.read_text().splitlines()).values()) == 1
