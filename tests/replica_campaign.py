"""Builds by replicas with kills at random moments, each compared with a build by one process: `make replica-campaign`.

    python -m tests.replica_campaign [--kills 200] [--seed 0]

Killed are replicas, drivers and whole raylets; replicas are stopped until they are given up, and woken again later.
Every other build writes to an object store, in front of which requests get faults by chance (`tests.scale_campaign`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from lrs2m_builder.build.shards import iter_rows
from lrs2m_builder.stores.objects import ObjectStore
from tests.replica_builds import WINDOW, Builds, patiently, point_to_store, replicas, shards, two_raylets
from tests.scale_campaign import KEYS, server
from tests.toy import build_toy, make_source

NUM_SAMPLES, SHARD_SIZE = 240, 10
KILLS_OF_A_BUILD = 12
FAULTS = 0.03  # share of the requests to the object store


def one_build(builds: Builds, random_: random.Random) -> Counter[str]:
    """Build once, killing something every second or so; returns what was killed."""
    kills: Counter[str] = Counter()
    asleep: list[psutil.Process] = []
    while True:
        driver = builds.start("--stall-minutes", "0.2", delay_s=0.3)
        while driver.poll() is None and kills.total() < KILLS_OF_A_BUILD:
            time.sleep(random_.uniform(0.5, 5.0))
            kind = random_.choices(("replica", "driver", "raylet", "stop"), (5, 3, 1, 1))[0]
            with contextlib.suppress(psutil.Error, IndexError):
                if driver.poll() is not None:
                    break
                if kind == "replica":
                    random_.choice(replicas(builds.cluster)).kill()
                elif kind == "driver":
                    driver.kill()
                elif kind == "raylet":
                    builds.cluster.remove_node(next(iter(builds.cluster.worker_nodes)), allow_graceful=False)
                    patiently(lambda: builds.cluster.add_node(num_cpus=1))
                else:
                    asleep.append(random_.choice(replicas(builds.cluster)))
                    asleep[-1].suspend()
                kills[kind] += 1
            if random_.random() < 0.5:
                wake(asleep)
        wake(asleep)
        _, err = driver.communicate(timeout=600)
        if driver.returncode == 0:
            return kills
        assert driver.returncode in (2, -9), (driver.returncode, err)
        assert "Traceback" not in err, err


def wake(asleep: list[psutil.Process]) -> None:
    """Let stopped replicas go on; some of them were given up meanwhile."""
    while asleep:
        with contextlib.suppress(psutil.Error):
            asleep.pop().resume()


def compare(builds: Builds, whole: dict[str, bytes], kills: int, *, on_store: bool) -> int:
    """How many requests were asked again, once the build is known to be the undisturbed one."""
    found = shards(builds.out)
    assert found == whole, "other bytes"
    ids = [row["sample_id"] for content in found.values() for row in iter_rows(io.BytesIO(content), ["sample_id"])]
    assert len(ids) == len(set(ids)) == NUM_SAMPLES, "lost or doubled rows"
    twice = builds.asked_twice()
    lost = 2 * (WINDOW + (SHARD_SIZE if on_store else 0))  # of a store: what a stopped replica did not upload
    assert twice <= kills * lost, f"{twice} requests were asked again"
    return twice


def main() -> None:
    """Run the campaign; the first fault ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random_, total, again, number = random.Random(given.seed), Counter[str](), 0, 0
    with (
        tempfile.TemporaryDirectory() as name,
        server(FAULTS, given.seed) as (_, address),
        two_raylets(Path(name)) as cluster,
    ):
        root = Path(name)
        source = make_source(root / "source", NUM_SAMPLES)
        build_toy(source, root / "whole", shard_size=SHARD_SIZE)
        os.environ |= KEYS | {"AWS_ENDPOINT_URL": address}
        point_to_store(cluster, os.environ)
        ObjectStore("s3://bucket")._s3.mkdir("bucket")
        while total.total() < given.kills:
            folder, on_store = root / str(number), number % 2 == 1
            folder.mkdir()
            out, words = str(folder / "out"), tuple[str, ...]()
            if on_store:
                out, words = f"s3://bucket/{number}", ("--scratch", str(folder / "scratch"))
            builds = Builds(cluster, source, out, folder, words)
            kills = one_build(builds, random_)
            twice = compare(builds, shards(root / "whole"), kills.total(), on_store=on_store)
            total, again, number = total + kills, again + twice, number + 1
            print(f"{number} builds, {total.total()} kills {dict(total)}, {again} answers asked again", flush=True)


if __name__ == "__main__":
    main()
