"""Kills a command at each of its file operations, runs it again, and compares what is there with an undisturbed run.

This process runs with the library of shim.c and has imported all that the commands need; each run is a fork of it, so
that thousands are affordable. Files below ROOT are watched; what the command reads lies beside it, and the log of
requests too.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import select
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.crash.folder import Snapshot, differences, is_complete, lost_and_doubled, sample_ids, snapshot
from tests.crash.scenarios import Scenario
from tests.crash.shim import Operation, Watch, lose_unsynced

HANGS_AFTER_S = 120.0
ORPHANS_LEAVE_AFTER_S = 20.0
MAX_RERUNS = 3
IN_FLIGHT = 2  # what the scripted engine is asked at once: at most so many answers are lost with each kill
KILLS = ("kill", "torn", "twice", "power")  # of the rest, a disk that is full or broken


@dataclass(frozen=True, slots=True)
class Point:
    """Where a run is disturbed: a mode of shim.py, "twice" (the rerun is killed too) or "power" (a power cut)."""

    mode: str
    at: int
    again_at: int = 0


@dataclass(slots=True)
class Run:
    """How a run ended: its exit code, -9 if it was killed, None if it hung; and what it printed on standard error."""

    code: int | None
    said: str
    struck: bool
    operations: list[Operation]


@dataclass(slots=True)
class Outcome:
    """What came of a point: where it struck, and what was wrong in the end."""

    point: Point
    struck: bool = False
    where: str = ""
    faults: list[str] = field(default_factory=list)


class Lab:
    """One scenario in a folder of its own."""

    def __init__(self, scenario: Scenario, work: Path) -> None:
        self.scenario, self.work = scenario, work
        self.root, self.inputs, self._start = work / "root", work / "inputs", work / "start"
        self._log = work / "requests.log"
        self._watch = Watch(self.root)
        work.mkdir(parents=True)
        self.root.mkdir()
        self._in_child(lambda: scenario.inputs(self.inputs))
        if scenario.before:
            ended = self.run(scenario.before, script=scenario.before_script)
            assert ended.code == 0, ended.said
        if scenario.between:
            self._in_child(lambda: scenario.between(self.inputs))  # type: ignore[misc]
        shutil.copytree(self.root, self._start, symlinks=True)
        self._untouched = snapshot(self.root)
        if not scenario.slow:  # in this process, so that the forks find loaded what is loaded late
            with scenario.patched(scenario.script, self._log), _silent():
                scenario.call(self._words(scenario.command))
        gc.collect()
        gc.freeze()  # forks that collect would copy all of it
        self.reset()
        undisturbed = self.run(scenario.command)
        assert undisturbed.code == 0, undisturbed.said
        self.operations = undisturbed.operations
        self.reference: Snapshot = snapshot(self.root)
        self.ids: dict[str, Any] = self._in_child(lambda: sample_ids(self.root)) or {}
        self.num_requests = self._requests()

    def points(self, modes: Iterable[str], *, every_write: bool = False) -> list[Point]:
        """Every operation for a kill and for a torn write, every fourth of many for the other modes.

        Args:
            every_write: of many writes to one file in a row also those in the middle, which differ by its length alone.
        """
        random_ = random.Random(self.scenario.name)
        numbers = range(1, len(self.operations) + 1) if every_write else thinned(self.operations)
        found = []
        for mode in modes:
            is_every = mode in {"kill", "torn"} or len(numbers) < 12
            for number in numbers if is_every else numbers[random_.randrange(4) :: 4]:
                operation = self.operations[number - 1]
                if mode == "torn" and (operation.letter != "w" or operation.size < 2):
                    continue
                again_at = random_.randint(1, len(self.operations)) if mode == "twice" else 0
                found.append(Point(mode, number, again_at))
        return found

    def _words(self, command: tuple[str, ...]) -> list[str]:
        return [word.format(inputs=self.inputs, root=self.root) for word in command]

    def sample(self, points: list[Point], size: int) -> list[Point]:
        """So many points by chance, always the same: every other one where a name appears, changes or goes."""
        random_ = random.Random(self.scenario.name)
        names = [point for point in points if self.operations[point.at - 1].letter in "rutmd"]
        chosen = random_.sample(names, min(size // 2, len(names)))
        return chosen + random_.sample([point for point in points if point not in chosen], size - len(chosen))

    def reset(self) -> None:
        """Make the folder as it was before the command."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._start, self.root, symlinks=True)
        self._log.write_text("")

    def try_point(self, point: Point) -> Outcome:
        """Disturb one run, run the command again until it is content, and compare."""
        self.reset()
        outcome = Outcome(point)
        mode = "kill" if point.mode in KILLS and point.mode != "torn" else point.mode
        first = self.run(self.scenario.command, mode, point.at)
        outcome.struck = first.struck
        if not first.struck:
            return outcome
        outcome.where = str(first.operations[-1]) if point.mode in KILLS else str(self.operations[point.at - 1])
        kills = 1
        if point.mode in KILLS:
            if first.code != -signal.SIGKILL:
                outcome.faults.append(f"ended with {first.code} though it was killed")
        else:
            outcome.faults += _of_disk_error(first)
        if point.mode == "power":
            lose_unsynced(first.operations)
        if point.again_at:
            second = self.run(self._again(), "kill", point.again_at)
            kills += second.struck
        self._recover(outcome)
        self._compare(outcome, kills)
        return outcome

    def _again(self) -> tuple[str, ...]:
        """The same command; if it had done all it had to, without the flags that would do it once more."""
        if is_complete(snapshot(self.root), self.reference):
            return self.scenario.plain
        return self.scenario.again or self.scenario.command

    def _recover(self, outcome: Outcome) -> None:
        complete = is_complete(snapshot(self.root), self.reference)
        for number in range(MAX_RERUNS):
            ended = self.run(self._again())
            if ended.code is None:
                outcome.faults.append("hang")
            if ended.code == 0 or (complete and ended.code == 2 and "Traceback" not in ended.said):
                if number:
                    outcome.faults.append(f"needed {number + 1} reruns")
                return
        last = ended.said.strip().splitlines()[-1:] or [""]
        outcome.faults.append(f"never finishable: exit {ended.code}: {last[0]}")

    def _compare(self, outcome: Outcome, kills: int) -> None:
        found = snapshot(self.root)
        if self.scenario.again and found == self._untouched:
            return  # killed before it had begun: the other command had nothing to take up
        if different := differences(found, self.reference):
            outcome.faults += different
            lost, doubled = self._in_child(lambda: lost_and_doubled(self.root, self.ids)) or (0, 0)
            outcome.faults += [f"rows lost: {lost}"] * bool(lost) + [f"rows doubled: {doubled}"] * bool(doubled)
        asked_twice = self._requests() - self.num_requests - IN_FLIGHT * kills
        if asked_twice > 0 and outcome.point.mode != "power":
            outcome.faults.append(f"asked twice: {asked_twice}")

    def _requests(self) -> int:
        return self._log.read_text().count("\n") if self._log.exists() else 0

    def run(self, command: tuple[str, ...], mode: str = "count", at: int = 0, *, script: Any = None) -> Run:
        """Run the real command in a fork of this process."""
        said = self.work / "said.txt"
        pid = os.fork()
        if not pid:
            os.setpgid(0, 0)
            for fd in (1, 2):
                os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), fd)
            self._watch.arm(mode, at, alone=self.scenario.alone)
            with self.scenario.patched(script or self.scenario.script, self._log):
                os._exit(_run_command(self.scenario, self._words(command)))
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        code = _wait(pid, alone=self.scenario.alone)
        self._watch.disarm()
        return Run(code, said.read_text(errors="replace"), self._watch.struck, self._watch.operations())

    def _in_child(self, function: Callable[[], Any]) -> Any:
        """What a function returns, called in a fork: libraries that start threads would not survive the next fork."""
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                result = json.dumps(function(), default=str).encode()
                with os.fdopen(writing, "wb") as file:
                    file.write(result)
            except BaseException:  # noqa: BLE001 - printed, and the parent sees the exit code
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            result = file.read()
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"{self.scenario.name}: see the traceback above"
        return json.loads(result)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
    ):
        yield


def thinned(operations: list[Operation]) -> list[int]:
    """The numbers of the operations; of more than six writes to one file in a row the first and last three."""
    numbers: list[int] = []
    runs = groupby(enumerate(operations, start=1), key=lambda item: (item[1].letter, item[1].path))
    for (letter, _), group in runs:
        members = [number for number, _ in group]
        numbers += members[:3] + members[-3:] if letter == "w" and len(members) > 6 else members
    return numbers


def _of_disk_error(ended: Run) -> list[str]:
    """What is wrong with the end of a run whose disk failed: it should say so in one line, or not have needed it."""
    if ended.code is None:
        return ["hang"]
    errors = [line for line in ended.said.splitlines() if line.startswith("error:")]
    if ended.code not in {0, 2} or "Traceback" in ended.said:
        last = ended.said.strip().splitlines()[-1:] or [""]
        return [f"exit {ended.code} at a disk error: {last[0]}"]
    if ended.code == 2 and len(errors) != 1:
        return [f"{len(errors)} lines of error at a disk error"]
    return []


def _run_command(scenario: Scenario, words: list[str]) -> int:
    """The command in this process, which then ends; its exit code."""
    import atexit

    code: Any = 1
    try:
        code = scenario.call(words)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - as the interpreter would
        traceback.print_exc()
        sys.stderr.flush()
    return code if isinstance(code, int) else 1


def _wait(pid: int, *, alone: bool) -> int | None:
    """Wait for a run and for all its processes; its exit code, None if it had to be ended."""
    handle = os.pidfd_open(pid)
    ready, _, _ = select.select([handle], [], [], HANGS_AFTER_S)
    os.close(handle)
    if not ready:
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not alone:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    for _ in range(int(ORPHANS_LEAVE_AFTER_S / 0.01)):  # workers that outlive it, or are being ended
        if not any(_group(pid)):
            return os.waitstatus_to_exitcode(status) if ready else None
        select.select([], [], [], 0.01)
    os.killpg(pid, signal.SIGKILL)
    return None


def _group(group: int) -> Iterator[int]:
    """The processes of a group that are still running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[2]) == group and fields[0] not in "ZX":
                        yield int(entry.name)
