"""The benchmarks that need machines which are not at hand: their dry run, and replicas in virtual time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import ROOT

BENCHMARKS = ROOT / "benchmarks"


def test_the_gpu_benchmark_runs_dry_and_prints_a_table_and_json() -> None:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--dry-run", "--stages", "train B/16"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.home())
    *table, last = ended.stdout.strip().splitlines()
    (stage,) = json.loads(last)["stages"]
    assert stage["stage"] == "train B/16" and stage["ended"] == "done"
    assert stage["figures"][0]["images_per_s"] > 0
    assert table[0].startswith("train B/16") and "images_per_s" in table[1]


def test_the_real_driver_finishes_every_shard_in_virtual_time_and_pull_beats_a_static_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from _virtual_cluster import World, simulate  # type: ignore[import-not-found]

    rates, costs = [8.0] * 7 + [4.0], [2000.0] * 320
    ideal = sum(costs) / sum(rates)
    quiet, deadly = World(mean_life_s=None), World(mean_life_s=3600.0)
    alone = simulate(rates, costs, quiet, 0)
    assert alone == (pytest.approx(ideal + quiet.start_s, rel=0.1), 0)
    seconds, deaths = simulate(rates, costs, deadly, 0)
    assert deaths > 5 and alone[0] < seconds < 1.5 * ideal
    parts = [simulate([rate], costs[number::8], quiet, 0)[0] for number, rate in enumerate(rates)]
    assert max(parts) > 1.5 * alone[0]
