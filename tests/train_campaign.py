"""Kills a training under torchrun at random steps, starts it again, and compares it with one that was never killed.

The processes are real and gloo joins them; SIGKILL goes to all of them at once, as a machine ends, or to one process
alone. Slow, so no test: `make train-campaign`, or

    python -m tests.train_campaign [--processes 4] [--kills 5] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.clip_toy import make_data
from tests.toy import ROOT

STEPS = 30
SETTINGS = (f"max_steps={STEPS}", "epochs=20", "checkpoint_every=3", "workers=1")
WAIT_S = 1800


def start(data: Path, out: Path, processes: int) -> subprocess.Popen[bytes]:
    """The training under torchrun, in a process group of its own."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "lrs2m_builder.cli", "train", str(data), "--config", "tiny", "--out", str(out)]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)


def last_step(out: Path) -> int:
    """The last step that the metrics tell of."""
    path = out / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return int(json.loads(lines[-1])["step"]) if lines and lines[-1].endswith("}") else 0


def losses(out: Path) -> list[tuple[float, ...]]:
    """Step and losses of every line."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [tuple(line[name] for name in ("step", "loss", "loss_long", "loss_short", "logit_scale")) for line in lines]


def kill_after(step: int, training: subprocess.Popen[bytes], out: Path, alone: bool) -> int:
    """Kill all processes once a step is told of, or only the one that starts the others; returns the step it was at."""
    deadline = time.monotonic() + WAIT_S
    while last_step(out) < step and training.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    (os.kill if alone else os.killpg)(training.pid, signal.SIGKILL)
    training.wait()
    time.sleep(1.0)
    return last_step(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    steps = sorted(random.Random(arguments.seed).sample(range(1, STEPS - 1), arguments.kills))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = make_data(folder / "data", 256)
        if start(data, folder / "whole", arguments.processes).wait():
            sys.exit("the training that is not killed failed")
        for number, step in enumerate(steps):
            alone = number % 2 == 1
            at = kill_after(step, start(data, folder / "killed", arguments.processes), folder / "killed", alone)
            print(f"killed after step {at} of {STEPS} ({'torchrun alone' if alone else 'all processes'})", flush=True)
        code = start(data, folder / "killed", arguments.processes).wait()
        whole, killed = losses(folder / "whole"), losses(folder / "killed")
        weights = ["model/model.safetensors", "model/open_clip_model.safetensors"]
        same = [(folder / "whole" / name).read_bytes() == (folder / "killed" / name).read_bytes() for name in weights]
        equal = sum(one == other for one, other in zip(whole, killed, strict=False))
        print(f"{arguments.processes} processes, killed {len(steps)} times, last exit code {code}:")
        print(
            f"  {len(killed)} of {STEPS} steps told of, losses bit-equal in {equal}; saved weights equal: {all(same)}"
        )
        sys.exit(0 if code == 0 and whole == killed and all(same) else 1)


if __name__ == "__main__":
    main()
