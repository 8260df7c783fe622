"""What a machine with a GPU does, in ten minutes: training steps, data loading, and a build against raw AsyncLLM.

Stages, each in a process of its own with a limit of time; one that fails or takes too long loses only what it had not
told yet:

    machine      the device, and its rate on large bf16 matrices
    train B/16   steps of `lrs2m train` in bf16 on random pairs, eager and compiled: images/s, memory, MFU
    train L/14   the same
    loading      images/s from Parquet to batches, by the number of workers
    build 7B     `lrs2m build` against raw AsyncLLM, Qwen2-VL's 7B shape with dummy weights

Prints a table, and as its last line everything as JSON. Needs no data and no network:

    make setup LOCK=requirements/gpu.txt
    .venv/bin/python benchmarks/gpu.py [--stages "train B/16" loading] [--dry-run]

`--dry-run` runs every stage on a CPU with tiny shapes. MFU is by the arithmetic of the towers (three times the forward
pass) over the dense bf16 rate of the data sheet.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOTAL_S = 590.0
LIMITS_S = {"machine": 40, "train B/16": 110, "train L/14": 120, "loading": 50, "build 7B": 260}


def run_stage(name: str, limit_s: float, dry_run: bool) -> dict[str, Any]:
    """Run a stage in a process group of its own; returns its figures, how it ended and how long it took."""
    command = [sys.executable, __file__, "--only", name, *(["--dry-run"] if dry_run else [])]
    # The engine's processes import the package, from wherever they are started.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )
    try:
        out, err = process.communicate(timeout=limit_s)
        ended = "done" if process.returncode == 0 else f"failed: {_last_line(err)}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        ended = f"stopped after {limit_s:.0f} s"
    figures = [json.loads(line) for line in out.splitlines() if line.startswith('{"')]
    return {"stage": name, "ended": ended, "seconds": round(time.monotonic() - started, 1), "figures": figures}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"


def show(result: dict[str, Any]) -> None:
    """Print the lines of a stage."""
    print(f"{result['stage']:<12} {result['ended']}, {result['seconds']} s", flush=True)
    for figures in result["figures"]:
        case = figures.get("case", "")
        rest = ", ".join(f"{name} {value}" for name, value in figures.items() if name != "case")
        print(f"  {case:<24} {rest}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=list(LIMITS_S), default=list(LIMITS_S))
    parser.add_argument("--dry-run", action="store_true", help="Tiny shapes on a CPU.")
    parser.add_argument("--only", choices=list(LIMITS_S), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        from _gpu_stages import STAGES

        STAGES[arguments.only](arguments.dry_run, _tell)
        return
    started, results = time.monotonic(), []
    for name in arguments.stages:
        left = TOTAL_S - (time.monotonic() - started)
        limit = 400.0 if arguments.dry_run else min(LIMITS_S[name], left)
        if limit > 5:
            results.append(run_stage(name, limit, arguments.dry_run))
            show(results[-1])
    print(json.dumps({"dry_run": arguments.dry_run, "stages": results}))
    if any(result["ended"] != "done" for result in results):
        raise SystemExit(1)


def _tell(figures: dict[str, Any]) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
