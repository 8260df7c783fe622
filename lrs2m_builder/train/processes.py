"""The processes of a run: on which device each is, what they do as one, and when they are asked to stop."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from lrs2m_builder.errors import UserError
from lrs2m_builder.stopping import STOP_SIGNALS
from lrs2m_builder.train.loss import rank, world_size

T = TypeVar("T")
# What gloo and NCCL say when another process is gone.
_PEER_LOST = ("closed by peer", "reset by peer", "Broken pipe", "remote process exited", "Socket Timeout", "timed out")


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
        raise UserError(f"device {wanted!r}: {str(error).splitlines()[0]}; take auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: torch sees no GPU; take device=cpu, or install a torch for this machine's driver")
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
    joins = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if joins:
        die_with_parent()  # torchrun, killed hard, would leave the processes behind to write into the run's folder
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        if joins:
            # Gloo's threads may still need the GIL to let go of the last tensors, and are waited for with it held.
            time.sleep(0.2)
            dist.destroy_process_group()


def die_with_parent() -> None:
    """Have the system kill this process when the one that started it dies; Linux alone can."""
    if sys.platform == "linux":
        set_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def die_with(pid: int) -> None:
    """End this process when that one ends, which need not be its parent: between them may be a fork server.

    Linux alone can. It ends within a moment, not before what it does in C lets go.
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
    """Do something in the first process alone; what it returned is returned in all.

    Raises:
        UserError: the work did, in the first process.
        SystemExit: the work raised a UserError, in the other processes: it is told once.
    """
    if world_size() == 1:
        return work()
    told: list[Any] = [None, None]
    if rank() == 0:
        try:
            told[0] = work()
        except UserError as error:
            told[1] = str(error)
    dist.broadcast_object_list(told, src=0)
    dist.barrier()
    _end_if(told[1])
    return told[0]  # type: ignore[no-any-return]


def refuse_together(problem: str | None) -> None:
    """End all processes if one of them has a problem, which is told once.

    Raises:
        UserError: one has, in the first process.
        SystemExit: one has, in the other processes.
    """
    problems: list[str | None] = [problem]
    if world_size() > 1:
        problems = [None] * world_size()
        dist.all_gather_object(problems, problem)
    _end_if(next((each for each in problems if each), None))


def _end_if(problem: str | None) -> None:
    if problem is not None:
        raise UserError(problem) if rank() == 0 else SystemExit(2)


def is_peer_lost(error: RuntimeError) -> bool:
    """Whether a process of the run is gone, by what the others get to hear of it."""
    return world_size() > 1 and (isinstance(error, dist.DistError) or any(each in str(error) for each in _PEER_LOST))


@dataclass
class Stop:
    """Whether a signal asked for the end of the run.

    Attributes:
        is_noted: a signal is only noted, so that the step is finished; without, it interrupts what goes on.
    """

    wanted: bool = False
    is_noted: bool = False

    @contextmanager
    def noted(self, noted: bool = True) -> Iterator[None]:
        """A block in which a signal is only noted, or interrupts.

        Raises:
            KeyboardInterrupt: at once, if it interrupts and a signal came before.
        """
        before, self.is_noted = self.is_noted, noted
        try:
            if self.wanted and not noted:
                raise KeyboardInterrupt
            yield
        finally:
            self.is_noted = before


@contextmanager
def stop_flag() -> Iterator[Stop]:
    """Raises a flag at Ctrl-C, SIGTERM or the end of the terminal; a second signal does not wait."""
    stop = Stop()
    under_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    if before[signal.SIGHUP] == signal.SIG_IGN:  # nohup
        del before[signal.SIGHUP]
    on_terminal = [stream.fileno() for stream in (sys.__stdout__, sys.__stderr__) if stream and stream.isatty()]

    def ask(number: int, frame: Any) -> None:
        is_first, stop.wanted = not stop.wanted, True
        if number == signal.SIGHUP:
            for descriptor in on_terminal:  # whoever would write there now would fail
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        if not under_torchrun:  # which passes on a Ctrl-C that the process had from the terminal already
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        if is_first and not stop.is_noted:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # Python gives signals to no other
        before = {}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
