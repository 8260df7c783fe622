"""`python -m tests.crash`: kill every command at every file operation; prints a table, and exits with 1 at any fault.

The first process compiles the library and starts one process a core with it; each takes its share of the points.
"""

from __future__ import annotations

import argparse
import fnmatch
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.crash.shim import CONTROL, compile_shim, compiler, environment

FAULTS = ("never finishable", "rows lost", "rows doubled", "asked twice", "left over", "missing", "differs", "hang")


def main() -> int:
    """Run as told by the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--only", action="append", help="scenarios by name, with * and ?; repeatable")
    parser.add_argument("--mode", action="append", help="kill, torn, twice, power, full or broken; repeatable")
    parser.add_argument("--sample", type=int, help="take N points of each scenario by chance, always the same")
    parser.add_argument("--every-write", action="store_true", help="also in the middle of many writes to one file")
    parser.add_argument("--fast", action="store_true", help="leave out training and worker processes")
    parser.add_argument("--planted", action="store_true", help="in their place, commands that have a fault on purpose")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", type=Path, help="write every outcome there")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        work_part(options)
        sys.stderr.flush()
        os._exit(0)  # not by way of the libraries, which have much to say of a process that was forked
    if compiler() is None:
        print("no C compiler (cc or gcc): the crash laboratory cannot watch files", file=sys.stderr)
        return 2
    outcomes = run_parts(options)
    if options.json:
        options.json.write_text(json.dumps(outcomes, indent=1))
    print(table(outcomes))
    bad = [outcome for outcome in outcomes if outcome["faults"]]
    for outcome in bad:
        print(f"{outcome['scenario']}: {outcome['mode']} at {outcome['at']} ({outcome['where']}): {outcome['faults']}")
    return int(bool(bad))


def run_parts(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Let each process do its part; all outcomes."""
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        work = Path(folder).resolve()
        library = compile_shim(work)
        processes = []
        for part in range(options.jobs):
            command = [sys.executable, "-m", "tests.crash", *sys.argv[1:], "--part", f"{part}/{options.jobs}:{work}"]
            watched = environment(library, work / f"control-{part}")
            processes.append(subprocess.Popen(command, env=watched))
        codes = [process.wait() for process in processes]
        if any(codes):
            raise SystemExit(f"a process of the laboratory ended with {codes}")
        return [json.loads(line) for path in sorted(work.glob("part-*.jsonl")) for line in path.open()]


def work_part(options: argparse.Namespace) -> None:
    """Try this process' share of the points, and write a line for each."""
    numbers, _, folder = options.part.partition(":")
    part, parts = map(int, numbers.split("/"))
    assert os.environ[CONTROL]
    import_all(fast=options.fast or options.planted)
    from tests.crash.lab import Lab
    from tests.crash.planted import planted
    from tests.crash.scenarios import scenarios

    found = planted() if options.planted else scenarios()
    with (Path(folder) / f"part-{part}.jsonl").open("w") as file:
        for number, scenario in enumerate(found.values()):
            chosen = not options.only or any(fnmatch.fnmatch(scenario.name, only) for only in options.only)
            # A sample is small: whole commands to each process. Of all points, every process takes its share.
            if not chosen or (options.fast and scenario.slow) or (options.sample and number % parts != part):
                continue
            lab = Lab(scenario, Path(folder) / f"work-{part}" / f"{number:03d}")
            points = lab.points(options.mode or scenario.modes, every_write=options.every_write)
            points = lab.sample(points, options.sample) if options.sample else points[part::parts]
            started = time.monotonic()
            bad = 0
            for point in points:
                outcome = lab.try_point(point)
                bad += bool(outcome.faults)
                line = {"scenario": scenario.name, "operations": len(lab.operations), "mode": point.mode}
                line |= {"at": point.at, "where": outcome.where, "struck": outcome.struck, "faults": outcome.faults}
                file.write(json.dumps(line) + "\n")
                file.flush()
            took = time.monotonic() - started
            print(f"{scenario.name}: {len(points)} points, {bad} bad, {took:.0f} s", file=sys.stderr, flush=True)


def import_all(*, fast: bool) -> None:
    """Import what the commands import late, once for all forks."""
    import duckdb  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import rasterio  # noqa: F401

    if not fast:
        import torch

        torch.set_num_threads(1)
    gc.collect()
    gc.freeze()


def table(outcomes: list[dict[str, Any]]) -> str:
    """A line for each scenario: operations, kills, disk errors, and faults by kind."""
    names = list(dict.fromkeys(outcome["scenario"] for outcome in outcomes))
    width = max(map(len, ["all", *names]))
    heads = ["operations", "killed", "disk errors", *FAULTS, "other"]
    lines = [f"{'command':<{width}}  " + "  ".join(heads)]
    sums: Counter[str] = Counter()
    for name in names:
        mine = [outcome for outcome in outcomes if outcome["scenario"] == name and outcome["struck"]]
        counts = Counter[str](operations=max((outcome["operations"] for outcome in mine), default=0))
        for outcome in mine:
            counts["disk errors" if outcome["mode"] in {"full", "broken"} else "killed"] += 1
            kinds = {next((kind for kind in FAULTS if kind in fault), "other") for fault in outcome["faults"]}
            counts.update(kinds)
        sums += counts
        lines.append(f"{name:<{width}}  " + "  ".join(f"{counts[head]:>{len(head)}}" for head in heads))
    lines.append(f"{'all':<{width}}  " + "  ".join(f"{sums[head]:>{len(head)}}" for head in heads))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
