"""The processes of a run: on which device each is, and when they are asked to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from lrs2m_builder.errors import UserError


@contextmanager
def join_processes(wanted: str) -> Iterator[torch.device]:
    """The device of this process; under torchrun, the processes are joined.

    Args:
        wanted: "auto" (a GPU where there is one), "cpu", "cuda" or another of torch's.

    Raises:
        UserError: there is no such device.
    """
    gpus = torch.cuda.is_available() and wanted in {"auto", "cuda"}
    local = int(os.environ.get("LOCAL_RANK", "0"))
    try:
        device = torch.device(f"cuda:{local}" if gpus else "cpu" if wanted == "auto" else wanted)
    except RuntimeError as error:
        raise UserError(f"device {wanted!r}: {str(error).splitlines()[0]}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: torch sees no GPU; take device=cpu, or install a torch for this machine's driver")
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
    joins = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if joins:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        if joins:
            dist.destroy_process_group()


@dataclass
class Stop:
    """Whether a signal asked for the end of the run."""

    wanted: bool = False


@contextmanager
def stop_flag() -> Iterator[Stop]:
    """Raises a flag at Ctrl-C or SIGTERM, so that the step is finished; a second signal does not wait."""
    stop = Stop()
    under_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: Any) -> None:
        stop.wanted = True
        if not under_torchrun:  # which passes on a Ctrl-C that the process had from the terminal already
            signal.signal(number, before[signal.Signals(number)])

    if threading.current_thread() is not threading.main_thread():  # Python gives signals to no other
        before = {}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
