"""Builds by replicas with kills at random moments, each compared with a build by one process: `make replica-campaign`.

    python -m tests.replica_campaign [--kills 200] [--seed 0]

Killed are replicas, drivers and whole raylets; replicas are stopped until they are given up, and woken again later.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from tests.fake_engine import FakeModule
from tests.test_replicas import WINDOW, replicas, shards
from tests.toy import build_toy, ids, make_source, start_cli

NUM_SAMPLES = 240


def one_build(cluster: Any, nodes: list[Any], source: Path, folder: Path, random_: random.Random) -> Counter[str]:
    """Build once, killing something every second or so; returns what was killed."""
    kills: Counter[str] = Counter()
    asleep: list[psutil.Process] = []
    words = ("--replicas", "2", "--ray-address", cluster.address, "--stall-minutes", "0.1")
    while True:
        driver = start_cli(source, folder / "out", *words, log=folder / "log", delay_s=0.05)
        while driver.poll() is None:
            time.sleep(random_.uniform(0.5, 5.0))
            kind = random_.choices(("replica", "driver", "raylet", "stop"), (5, 3, 1, 1))[0]
            with contextlib.suppress(psutil.Error, IndexError):
                if driver.poll() is not None:
                    break
                if kind == "replica":
                    random_.choice(replicas()).kill()
                elif kind == "driver":
                    driver.kill()
                elif kind == "raylet":
                    cluster.remove_node(nodes.pop(), allow_graceful=False)
                    nodes.append(cluster.add_node(num_cpus=1))
                else:
                    asleep.append(random_.choice(replicas()))
                    asleep[-1].suspend()
                kills[kind] += 1
            while asleep and random_.random() < 0.5:
                with contextlib.suppress(psutil.Error):
                    asleep.pop().resume()
            if sum(kills.values()) >= 12:
                break  # let it come to its end
        _, err = driver.communicate(timeout=400)
        if driver.returncode == 0:
            return kills
        assert driver.returncode in (2, -9), (driver.returncode, err)
        assert "Traceback" not in err, err


def main() -> None:
    """Run the campaign; the first fault ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ.update(RAY_worker_niceness="0", RAY_raylet_start_wait_time_s="120", RAY_AUTH_MODE="token")
    random_, total, again, builds = random.Random(given.seed), Counter[str](), 0, 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = make_source(root / "source", NUM_SAMPLES)
        build_toy(source, root / "whole", FakeModule())
        whole = shards(root / "whole")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        nodes = [cluster.add_node(num_cpus=1)]
        while total.total() < given.kills:
            folder = root / str(builds)
            folder.mkdir()
            kills = one_build(cluster, nodes, source, folder, random_)
            assert shards(folder / "out") == whole, f"build {builds}: other bytes"
            found = ids(folder / "out") + ids(folder / "out", "rejected")
            assert len(found) == len(set(found)) == NUM_SAMPLES, f"build {builds}: lost or doubled rows"
            asked = Counter((folder / "log").read_text().splitlines())
            twice = asked.total() - len(asked)
            assert twice <= kills.total() * 2 * WINDOW, f"build {builds}: {twice} answers were asked again"
            total, again, builds = total + kills, again + twice, builds + 1
            print(f"{builds} builds, {total.total()} kills {dict(total)}, {again} answers asked again", flush=True)
        cluster.shutdown()


if __name__ == "__main__":
    main()
