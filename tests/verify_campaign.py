"""Kills `lrs2m verify` at random moments, runs it again, and compares it with a run that was never disturbed.

The processes are real, the judge is scripted; SIGKILL and SIGTERM take turns by chance. As soon as a data set is whole,
another one begins. Slow, so no test: `make verify-campaign`, or

    python -m tests.verify_campaign [--kills 200] [--rows 30] [--seed 0]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import pyarrow.parquet as pq

from lrs2m_builder.verify.claims import claims_of
from tests.test_verify import data_set, judged, kept, run_command, tables, tree, wait_for_claims

SHARD_SIZE = 10
NUM_CLAIMS = 7  # of a row
DELAY_S = 0.005
LATER_S = 0.05  # after a claim, at most
claims_of("A plane.")  # its words are read once, before processes are forked
STOPPED = {signal.SIGKILL: (-signal.SIGKILL,), signal.SIGTERM: (130, -signal.SIGTERM)}


@dataclass(slots=True)
class Counts:
    """What was seen.

    Attributes:
        signals: runs that a signal ended, by its name.
        asked_again: claims that were kept, and asked by a later run.
        dropped: claims in flight at a SIGTERM that were not kept.
        doubled, lost: claims that are there twice, or not at all, in finished tables.
        whole: data sets that were finished; `unequal` of them have other bytes than the undisturbed run's.
        bad_exits: exit codes that no run should have.
    """

    signals: Counter[str] = field(default_factory=Counter)
    asked_again: int = 0
    dropped: int = 0
    doubled: int = 0
    lost: int = 0
    whole: int = 0
    unequal: int = 0
    bad_exits: Counter[int] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled or asked again."""
        return not (self.asked_again or self.dropped or self.doubled or self.lost or self.unequal or self.bad_exits)


def count_rows(path: Path) -> int:
    """The records of a data set."""
    return sum(pq.read_metadata(file).num_rows for file in (path / "data").rglob("*.parquet"))


def claim_rows(path: Path) -> Counter[tuple[str, str, str]]:
    """How often each claim is in the tables."""
    return Counter((claim["sample_id"], claim["column"], claim["words"]) for claim in tables(path, "claims"))


def run_quietly(path: Path, log: Path) -> None:
    """The command without its report."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        run_command(path, log, DELAY_S)


def disturb(path: Path, log: Path, kill: signal.Signals, share: float, counts: Counts) -> bool:
    """Run the command and send it a signal once a share of the claims that are left is asked; whether it ended before.

    A share above 1 lets it end.
    """
    before = log.read_text().splitlines() if log.exists() else []
    known = kept(path)
    child = get_context("forkserver").Process(target=run_quietly, args=(path, log))
    child.start()
    if share <= 1:
        number = int(share * (NUM_CLAIMS * count_rows(path) - len(known)))
        wait_for_claims(log, len(before) + number, child.is_alive)
        child.join(random.random() * LATER_S)
    else:
        child.join()
    if child.pid is not None and child.exitcode is None:
        child.kill() if kill is signal.SIGKILL else child.terminate()
    child.join()
    asked = log.read_text().splitlines()[len(before) :] if log.exists() else []
    counts.asked_again += len(known & set(asked))
    if child.exitcode == 0:
        return True
    counts.signals[kill.name] += 1
    if child.exitcode not in STOPPED[kill]:
        counts.bad_exits[child.exitcode or 0] += 1
    if child.exitcode == 130 and (now := kept(path)) != known:  # before the judge is proved nothing is kept
        counts.dropped += len(set(asked) - now)
    return False


def compare(path: Path, whole: Path, counts: Counts) -> None:
    """Count what a finished data set lacks or has twice."""
    found, right = claim_rows(path), claim_rows(whole)
    counts.whole += 1
    counts.lost += len(right - found)
    counts.doubled += len(found - right)
    counts.unequal += tree(path) != tree(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    get_context("forkserver").set_forkserver_preload(["tests.verify_campaign"])
    random_, counts = random.Random(arguments.seed), Counts()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        whole = data_set(folder / "whole", arguments.rows, SHARD_SIZE)
        judged(whole)
        killed, log = data_set(folder / "killed", arguments.rows, SHARD_SIZE), folder / "log"
        while sum(counts.signals.values()) < arguments.kills:
            kill = random_.choice((signal.SIGKILL, signal.SIGTERM))
            done = sum(counts.signals.values())
            if done % 10 == 0:
                print(f"{done} signals, {counts.whole} data sets finished", flush=True)
            if disturb(killed, log, kill, random_.random() * 1.1, counts):
                compare(killed, whole, counts)
                shutil.rmtree(killed)
                log.unlink()
                data_set(killed, arguments.rows, SHARD_SIZE)
        disturb(killed, log, signal.SIGKILL, 2, counts)
        compare(killed, whole, counts)
    print(f"{sum(counts.signals.values())} signals {dict(counts.signals)}, {counts.whole} data sets finished:")
    print(f"  claims lost {counts.lost}, doubled {counts.doubled}, kept and asked again {counts.asked_again}, ", end="")
    print(f"dropped in flight {counts.dropped}; tables unequal {counts.unequal}; bad exits {dict(counts.bad_exits)}")
    sys.exit(0 if counts.is_good else 1)


if __name__ == "__main__":
    main()
