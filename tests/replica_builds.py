"""What tests of replicas share: a cluster on this machine, builds in processes of their own, and what they wrote."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from lrs2m_builder.stores import open_store
from tests.toy import start_cli

WINDOW = 8  # requests in flight of a replica


@contextmanager
def two_raylets(folder: Path) -> Iterator[Any]:
    """A cluster of two raylets on this machine, with room for one replica each.

    Args:
        folder: its file `aws` says where replicas find the object store (see `point_to_store`).
    """
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("AWS_CONFIG_FILE", str(folder / "aws"))
        cluster: Any = patiently(lambda: Cluster(initialize_head=True, head_node_args={"num_cpus": 1}))
        patiently(lambda: cluster.add_node(num_cpus=1))
        cluster.aws = folder / "aws"
        yield cluster
        cluster.shutdown()


def patiently(start: Callable[[], Any]) -> Any:
    """What is started; Ray itself waits 30 seconds for a raylet, which a busy machine may exceed."""
    for _ in range(3):
        with suppress(Exception):
            return start()
    return start()


def point_to_store(cluster: Any, environment: Mapping[str, str]) -> None:
    """Let the replicas of a running cluster use the object store of these variables."""
    keys = ("aws_access_key_id", "aws_secret_access_key", "region", "endpoint_url")
    names = [key.upper() if key.startswith("aws") else f"AWS_{key.upper()}" for key in keys]
    lines = [f"{key} = {environment[name]}" for key, name in zip(keys, names, strict=True)]
    cluster.aws.write_text("\n".join(["[default]", *lines]) + "\n")


class Builds:
    """Builds of one output by the command line.

    Attributes:
        log: a line for each request that a replica asked.
    """

    def __init__(self, cluster: Any, source: Path, out: str, folder: Path, words: Sequence[str] = ()) -> None:
        """Args:
        folder: for the log.
        words: more arguments of every build.
        """
        self.cluster, self.source, self.out, self.log, self._words = cluster, source, out, folder / "log", words

    def start(self, *arguments: str, delay_s: float = 0.03, number: int = 2) -> subprocess.Popen[str]:
        """Start a build with replicas; none for one process."""
        words = ("--replicas", str(number), "--ray-address", self.cluster.address) if number else ()
        return start_cli(self.source, self.out, *words, *self._words, *arguments, log=self.log, delay_s=delay_s)

    def wait_for_answers(self, number: int, process: subprocess.Popen[str]) -> None:
        """Wait until so many requests were asked."""
        self.wait(lambda: self.num_asked() >= number, process)

    def wait(self, is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        """Wait for something that a running build does."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if is_so():
                return
            time.sleep(0.02)
        raise AssertionError((process.poll(), process.communicate(timeout=10) if process.poll() is not None else ""))

    def num_asked(self) -> int:
        """How many requests were asked."""
        return self.log.read_text().count("\n") if self.log.exists() else 0

    def asked_twice(self) -> int:
        """How many requests were asked again."""
        asked = Counter(self.log.read_text().splitlines())
        return asked.total() - len(asked)

    def check(self, process: subprocess.Popen[str], whole: dict[str, bytes], deaths: int) -> str:
        """The build ended with the bytes of one process, and asked again only what was in flight; its messages."""
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert shards(self.out) == whole
        assert self.asked_twice() <= deaths * 2 * WINDOW
        assert not list(open_store(self.out).files("journal"))
        return err


def shards(out: Path | str) -> dict[str, bytes]:
    """The finished files of a build, by name."""
    store = open_store(str(out))
    return {file.name: store.read(file.name) or b"" for kind in ("data", "rejected") for file in store.files(kind)}


def replicas(cluster: Any) -> list[psutil.Process]:
    """The processes of replicas; Ray names a process by the method that it runs, and its parent is a raylet."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):
            words, parent = process.info["cmdline"] or [""], process.parent()
            if parent is None or not words[0].startswith("ray::Replica"):
                continue
            if f"--gcs-address={cluster.address}" in parent.cmdline():
                found.append(process)
    return found
