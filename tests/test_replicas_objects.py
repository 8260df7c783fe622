"""Replicas on Ray that build parts, and that write to an object store: what one process writes, whoever is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build.journal import PIECE, count_answers
from lrs2m_builder.stores import open_store
from lrs2m_builder.stores.objects import ObjectStore
from tests.object_server import Faults
from tests.replica_builds import Builds, point_to_store, replicas, shards
from tests.toy import build_toy, make_source

pytest.importorskip("ray", reason="needs the extra 'ray'")


@pytest.fixture
def start(ray_cluster: Any, faults: Faults, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Builds]:
    """Builds of a toy source to a bucket, whose server is in this process."""

    def start(num_samples: int, shard_size: int = 10) -> Builds:
        source = make_source(tmp_path / "source", num_samples)
        build_toy(source, tmp_path / "whole", shard_size=shard_size)
        out = f"s3://bucket/{request.node.name}"
        words = ("--scratch", str(tmp_path / "scratch"), "--shard-size", str(shard_size))
        return Builds(ray_cluster, source, out, tmp_path, words)

    store = ObjectStore("s3://bucket")
    store._call(lambda: store._s3.call_s3("create_bucket", Bucket="bucket"), "")  # perhaps once more
    point_to_store(ray_cluster, os.environ)
    return start


def test_replicas_on_an_object_store_write_what_one_process_writes(start: Any, tmp_path: Path) -> None:
    """A replica is killed, then the driver; of what was answered only what was in flight is asked again."""
    builds = start(240)
    process = builds.start()
    builds.wait_for_answers(40, process)
    replicas(builds.cluster)[0].kill()
    builds.wait_for_answers(120, process)
    process.kill()
    process.communicate()
    builds.check(builds.start(delay_s=0.0), shards(tmp_path / "whole"), deaths=3)
    assert not list((tmp_path / "scratch").rglob("*.jsonl"))


def test_a_lost_scratch_folder_costs_what_was_not_uploaded(start: Any, tmp_path: Path) -> None:
    builds = start(600, shard_size=600)
    process = builds.start()
    store = open_store(builds.out)
    builds.wait(lambda: bool(list(store.files("journal"))), process)
    (replica,) = replicas(builds.cluster)
    replica.suspend()
    shutil.rmtree(tmp_path / "scratch")
    replica.kill()
    num_asked, (num_kept, _) = builds.num_asked(), count_answers(store, "journal")
    assert num_kept >= PIECE
    builds.check(process, shards(tmp_path / "whole"), deaths=num_asked)
    assert builds.asked_twice() == num_asked - num_kept


def test_parts_with_replicas_make_the_whole(start: Any, tmp_path: Path) -> None:
    builds = start(240)
    parts = [builds.start("--part", part, number=1) for part in ("1/2", "2/2")]
    for process in parts:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert "120 samples" in out
    num_asked = builds.num_asked()
    builds.check(builds.start(), shards(tmp_path / "whole"), deaths=0)
    assert builds.num_asked() == num_asked
