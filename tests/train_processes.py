"""Trainings in real processes, forked from one that has imported everything: a start takes no half minute."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["lrs2m_builder.train.run", "lrs2m_builder.evals.held_out"])
WAIT_S = 400.0


def start(
    outs: Sequence[Path], data: Path, *settings: str, told: Path, in_child: Callable[[], None] | None = None
) -> list[BaseProcess]:
    """Start `lrs2m train` in as many processes as there are folders, each in a process group of its own.

    Args:
        told: folder for what each process says, a file each.
        in_child: is called in each before it trains.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told.mkdir(parents=True, exist_ok=True)
    processes: list[BaseProcess] = []
    for rank, out in enumerate(outs):
        environment = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(len(outs))}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        arguments = (environment, data, out, settings, told / f"{rank}.txt", in_child)
        processes.append(_CONTEXT.Process(target=_train, args=arguments))
        processes[-1].start()
    return processes


def _train(
    environment: dict[str, str],
    data: Path,
    out: Path,
    settings: Sequence[str],
    told: Path,
    in_child: Callable[[], None] | None,
) -> None:
    os.environ.update(environment)
    os.setpgrp()
    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    import torch

    from lrs2m_builder import cli

    torch.set_num_threads(1)
    if in_child is not None:
        in_child()
    sets = [part for setting in settings for part in ("--set", setting)]
    sys.argv = ["lrs2m", "train", str(data), "--config", "tiny", *sets, "--out", str(out)]
    try:
        cli.main()
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(ended.code or 0))


def exit_codes(processes: Sequence[BaseProcess]) -> list[int | None]:
    """Wait for the end of all."""
    for process in processes:
        process.join(WAIT_S)
    return [process.exitcode for process in processes]


def signal_groups(processes: Sequence[BaseProcess], number: signal.Signals) -> None:
    """Send a signal to each process and all that it started."""
    for process in processes:
        assert process.pid is not None
        os.killpg(process.pid, number)


def wait_for_step(out: Path, step: int, processes: Sequence[BaseProcess]) -> None:
    """Wait until the metrics tell of a step."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and all(process.is_alive() for process in processes):
        if (lines := metrics(out)) and lines[-1]["step"] >= step:
            return
        time.sleep(0.01)
    raise AssertionError(f"the training ended before step {step}")


def metrics(out: Path) -> list[dict[str, Any]]:
    """The whole lines of the metrics."""
    path = out / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def losses(out: Path) -> list[tuple[float, ...]]:
    """Step, losses and scale of every line."""
    names = ("step", "loss", "loss_long", "loss_short", "logit_scale")
    return [tuple(line[name] for name in names) for line in metrics(out)]
