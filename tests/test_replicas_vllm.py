"""Replicas with the real engine: vLLM on a tiny random model, one in each of two raylets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from captioner_training.random_model import make_random_model
from tests.replica_builds import replicas, shards
from tests.test_vllm import command, start, wait_for_answers
from tests.toy import make_source

pytestmark = pytest.mark.vllm
NUM = 48
# One request at a time, none of it computed before: so the batch, which changes the last bits, is the same for all.
ALONE = ("--engine-option", "max_num_seqs=1", "--engine-option", "enable_prefix_caching=false")


def test_two_replicas_of_vllm_write_what_one_process_writes_though_one_is_killed(
    ray_cluster: Any, tmp_path: Path
) -> None:
    model, source = make_random_model(tmp_path / "model"), make_source(tmp_path / "source", NUM)
    words = ("--shard-size", "8", "--json", *ALONE)
    subprocess.run(command(source, source.parent, tmp_path / "whole", model, *words), check=True, capture_output=True)
    out = tmp_path / "out"
    given = ("--replicas", "2", "--ray-address", ray_cluster.address)
    process = start(command(source, source.parent, out, model, *words, *given))
    wait_for_answers(out, 3, process)
    replicas(ray_cluster)[0].kill()
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert shards(out) == shards(tmp_path / "whole")
    report = json.loads(next(line for line in output.splitlines() if line.startswith('{"out_dir"')))
    assert report["records"] == NUM
    assert report["run"]["requests"] <= NUM + 2, "only what was in flight is asked again"
