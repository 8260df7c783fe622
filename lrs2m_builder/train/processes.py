"""The processes of a run: their devices, what they do together, and stop requests."""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from lrs2m_builder.errors import UserError
from lrs2m_builder.stopping import STOP_SIGNALS
from lrs2m_builder.train.loss import rank, world_size

T = TypeVar("T")
SEEN_WITHIN_S = 20.0  # a network disk may show another machine's files late
# Messages of gloo and NCCL when another process is gone.
_PEER_LOST = ("closed by peer", "reset by peer", "Broken pipe", "remote process exited", "Socket Timeout", "timed out")


@contextmanager
def join_processes(name: str) -> Iterator[torch.device]:
    """Yield the device of this process; under torchrun, join the process group.

    Args:
        name: "auto" (a GPU if available), "cpu", "cuda" or another of torch's devices.

    Raises:
        UserError: no such device.
    """
    gpus = torch.cuda.is_available() and name in {"auto", "cuda"}
    local = int(os.environ.get("LOCAL_RANK", "0"))
    try:
        device = torch.device(f"cuda:{local}" if gpus else "cpu" if name == "auto" else name)
    except RuntimeError as error:
        raise UserError(f"device {name!r}: {str(error).splitlines()[0]}; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: torch sees no GPU; use device=cpu, or install a torch for this machine's driver")
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
    joins = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if joins:
        die_with_parent()  # if torchrun is killed, its processes must not keep writing into the run's folder
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        if joins:
            # Gloo's threads may still need the GIL to release the last tensors, while destroying the group holds it.
            time.sleep(0.2)
            dist.destroy_process_group()


def peak_memory(device: torch.device) -> int:
    """The most memory that this process had at once, in bytes: the GPU's, or without one its own."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def die_with_parent() -> None:
    """Have the system kill this process when its parent dies (Linux only)."""
    if sys.platform == "linux":
        set_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def die_with(pid: int) -> None:
    """End this process when another one ends, which need not be its parent: a fork server may be between them.

    Linux only. It ends within a moment, but not while it runs C code that holds the GIL.
    """
    if not hasattr(os, "pidfd_open"):
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        os._exit(1)

    def wait() -> None:
        select.select([descriptor], [], [])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def first_process(work: Callable[[], T]) -> T:
    """Run a function only in the first process; all processes return its result.

    Raises:
        UserError: raised by the function, in the first process.
        SystemExit: in the other processes if the function raised a UserError, which is reported once.
    """
    if world_size() == 1:
        return work()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = work()
        except UserError as error:
            outcome[1] = str(error)
    dist.broadcast_object_list(outcome, src=0)
    dist.barrier()
    _end_if(outcome[1])
    return outcome[0]  # type: ignore[no-any-return]


def refuse_together(problem: str | None) -> None:
    """End all processes if one of them has a problem, which is reported once.

    Raises:
        UserError: a process has a problem (in the first process).
        SystemExit: a process has a problem (in the other processes).
    """
    problems: list[str | None] = [problem]
    if world_size() > 1:
        problems = [None] * world_size()
        dist.all_gather_object(problems, problem)
    _end_if(next(filter(None, problems), None))


def refuse_unless_seen(path: Path, is_seen: Callable[[], bool]) -> None:
    """End all processes if one of them does not see a file of the first one, also after SEEN_WITHIN_S.

    Raises:
        UserError, SystemExit: as `refuse_together`.
    """
    deadline = time.monotonic() + SEEN_WITHIN_S
    while not (seen := is_seen()) and time.monotonic() < deadline:
        time.sleep(1.0)
    elsewhere = (
        f"{path}: written by the first process, but missing on {socket.gethostname()}; give an --out on a "
        "disk that all machines of the run share"
    )
    refuse_together(None if seen else elsewhere)


def _end_if(problem: str | None) -> None:
    if problem is not None:
        raise UserError(problem) if rank() == 0 else SystemExit(2)


def is_peer_lost(error: RuntimeError) -> bool:
    """Whether an error means that another process of the run is gone."""
    return world_size() > 1 and (
        isinstance(error, dist.DistError) or any(message in str(error) for message in _PEER_LOST)
    )


@dataclass
class Stop:
    """A stop request by a signal.

    Attributes:
        is_noted: signals are only noted, so that the step is finished; otherwise they interrupt the work.
    """

    requested: bool = False
    is_noted: bool = False

    @contextmanager
    def noted(self, noted: bool = True) -> Iterator[None]:
        """A block in which a signal is only noted, or interrupts the work.

        Raises:
            KeyboardInterrupt: at once, if signals interrupt and one came before.
        """
        before, self.is_noted = self.is_noted, noted
        try:
            if self.requested and not noted:
                raise KeyboardInterrupt
            yield
        finally:
            self.is_noted = before


@contextmanager
def stop_flag() -> Iterator[Stop]:
    """Yield a stop request that Ctrl-C, SIGTERM or a closed terminal sets; a second signal ends the process at once."""
    stop = Stop()
    under_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    if before[signal.SIGHUP] == signal.SIG_IGN:  # nohup
        del before[signal.SIGHUP]
    on_terminal = [stream.fileno() for stream in (sys.__stdout__, sys.__stderr__) if stream and stream.isatty()]

    def ask(number: int, frame: Any) -> None:
        is_first, stop.requested = not stop.requested, True
        if number == signal.SIGHUP:
            for descriptor in on_terminal:  # writing to a closed terminal would fail
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        if not under_torchrun:  # which forwards a Ctrl-C that the process has already received from the terminal
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        if is_first and not stop.is_noted:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        before = {}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
