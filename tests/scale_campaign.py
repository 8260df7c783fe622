"""`python -m tests.scale_campaign`: parts of one build that are killed at random, on a folder or an object store.

Three processes build the parts of one data set at the same time; each is killed with SIGKILL at a random moment and
begun again, until there were enough kills. Then the command without parts runs. It must find nothing to ask, and the
files must be those of a build that was never disturbed, byte for byte. In front of the object store, requests get
faults by chance: 503, 409, answers that are lost after the work was done, slow ones.

Each run is a fork of a process that has imported all, so that hundreds are affordable.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrs2m_builder.build import build
from lrs2m_builder.errors import UserError
from lrs2m_builder.stores import open_store
from tests.fake_engine import FakeModule
from tests.toy import ROOT, build_toy, file_bytes, make_source, toy_options

PARTS = 3
WINDOW = 8  # requests in flight: lost with each kill
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTKEY",
    "AWS_SECRET_ACCESS_KEY": "verysecret",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(slots=True)
class Outcome:
    """What came of a campaign."""

    kills: int = 0
    runs: int = 0
    ended: Counter[int] = field(default_factory=Counter)
    asked: int = 0
    asked_twice: int = 0
    asked_by_last: int = 0
    differs: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    server: str = ""
    errors: list[str] = field(default_factory=list)  # of runs that ended with 2

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled or different, and no kept answer was asked for again."""
        faults = self.differs or self.lost or self.doubled or self.asked_by_last
        return not faults and self.asked_twice <= self.kills * WINDOW


@contextmanager
def server(share: float, seed: int) -> Iterator[Any]:
    """An S3 server in a process of its own, with faults by chance."""
    command = [sys.executable, "-m", "tests.object_server", str(share), str(seed)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def run_campaign(work: Path, out: str, *, kills: int, samples: int, seed: int, max_s: float = 1.5) -> Outcome:
    """Build `out` in parts that are killed until there were enough kills, then compare.

    Args:
        out: a folder, or s3://bucket/prefix of the server in AWS_ENDPOINT_URL.
        max_s: seconds of computing after which a run is killed in any case while kills are left: they follow its work,
            however busy the machine is.
    """
    source, log, chance, outcome = (
        make_source(work / "source", samples),
        work / "asked.log",
        random.Random(seed),
        Outcome(),
    )
    module = FakeModule()
    build_toy(source, work / "whole", module, **_settings(work, 0))
    due: dict[int, tuple[int, float]] = {}  # process by part, and the computing after which it is killed
    todo = set(range(1, PARTS + 1))
    while todo or due:
        for number in sorted(todo):
            due[number] = (_start(source, out, log, work, number), chance.random() * max_s)
            outcome.runs += 1
        todo.clear()
        for number, (pid, moment) in list(due.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done and outcome.kills < kills and _computed_s(pid) > moment:
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                done = pid
                outcome.kills += status == signal.SIGKILL
            if done:
                del due[number]
                code = os.waitstatus_to_exitcode(status)
                outcome.ended[code] += 1
                if code != 0 or outcome.kills < kills:
                    todo.add(number)
        time.sleep(0.01)
    before = _lines(log)
    outcome.asked, outcome.asked_twice = len(before), len(before) - len(set(before))
    pid = _start(source, out, log, work, 0)
    outcome.ended[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])] += 1
    outcome.asked_by_last = len(_lines(log)) - len(before)
    outcome.errors = [line for path in work.glob("said-*") for line in _lines(path) if line.startswith("error:")]
    _compare(outcome, _shards(file_bytes(work / "whole")), _shards(_found(out)))
    return outcome


def _settings(work: Path, number: int) -> dict[str, Any]:
    return {"max_attempts": 2, "shard_size": 10, "part": (number, PARTS) if number else None}


def _start(source: Path, out: str, log: Path, work: Path, number: int) -> int:
    """Build a part, or all, in a fork; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        said = os.open(work / f"said-{number}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(said, 1)
        os.dup2(said, 2)
        settings = _settings(work, number)
        if "://" in out:
            settings |= {"scratch": work / f"scratch-{number}"}
        options = toy_options(source, Path(out) if "://" not in out else out, **settings)  # type: ignore[arg-type]
        code = 130 if build(options, FakeModule(log=log, delay_s=0.02)).stopped else 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = 2
    finally:
        os._exit(code)


def _computed_s(pid: int) -> float:
    """Seconds of computing of a process so far."""
    user, system = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def _found(out: str) -> Mapping[str, bytes]:
    if "://" not in out:
        return file_bytes(Path(out))
    store = open_store(out)
    return {found.name: store.read(found.name) or b"" for found in store.files() if found.name.endswith(".parquet")}


def _shards(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.startswith("plan/")}


def _compare(outcome: Outcome, whole: Mapping[str, bytes], found: Mapping[str, bytes]) -> None:
    outcome.differs = sorted(name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name))
    expected, there = _ids(whole), _ids(found)
    outcome.lost, outcome.doubled = (expected - there).total(), (there - expected).total()


def _ids(files: Mapping[str, bytes]) -> Counter[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = (pq.read_table(pa.BufferReader(content), columns=["sample_id"]) for content in files.values())
    return Counter(name for table in tables for name in table["sample_id"].to_pylist())


def campaign(kills: int, seed: int, *, on_store: bool, samples: int = 240, share: float = 0.03) -> Outcome:
    """One campaign in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        work = Path(folder)
        if not on_store:
            return run_campaign(work, str(work / "out"), kills=kills, samples=samples, seed=seed)
        with server(share, seed) as (process, address):
            os.environ.update(KEYS | {"AWS_ENDPOINT_URL": address})
            make_bucket = "import sys, boto3; boto3.client('s3').create_bucket(Bucket='bucket')"
            subprocess.run([sys.executable, "-c", make_bucket], check=True)
            outcome = run_campaign(work, "s3://bucket/run", kills=kills, samples=samples, seed=seed)
            process.stdin.write("\n")
            process.stdin.flush()
            outcome.server = process.stdout.readline().strip()
            return outcome


def main() -> int:
    """Run as told by the command line; 1 if anything was lost, doubled or different."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale_campaign", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", action="store_true", help="on a local folder instead of the object store")
    options = parser.parse_args()
    import s3fs  # noqa: F401 - once for all forks
    import tenacity  # noqa: F401

    outcome = campaign(options.kills, options.seed, on_store=not options.folder)
    print(outcome)
    return int(not outcome.is_good)


if __name__ == "__main__":
    sys.exit(main())
