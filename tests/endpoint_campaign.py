"""Builds through an endpoint with every known fault, at the first, a middle and the last sample.

    make endpoint-campaign                                 # all
    python -m tests.endpoint_campaign --only redirect      # the faults whose names hold a word

Each run is the real command line in a process of its own, against a real server in another one. A fault meets one try
(`once`), every try of one sample (`sample`), or all that is asked from that sample on (`rest`). What must hold: no
traceback, no hang, the exit code that the kind of fault asks for, no escape code on the screen, no key there or in a
file; and the same command, against a good endpoint, goes on to as many records and rejections as there are samples.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from lrs2m_builder import cli
from lrs2m_builder.engines import openai
from tests.endpoint_faults import FAULTS, KEY, Fault
from tests.fake_endpoint import Handler, QuietServer
from tests.toy import build_toy, make_source, rows

Place = Literal["first", "middle", "last"]
Mode = Literal["once", "sample", "rest"]

NUM_SAMPLES = 20
AT = {"first": 0, "middle": 9, "last": NUM_SAMPLES - 1}
DEADLINE_S = 120.0  # of one command; the longest takes half a minute
DOWN_S = 0.7  # a killed server is started again after that


@dataclass(frozen=True, slots=True)
class Run:
    """One build with a fault, and the one that goes on after it.

    Attributes:
        trouble: what did not hold; empty where all did.
    """

    fault: str
    mode: Mode
    place: Place
    outcome: str
    trouble: str


def run_fault(fault: Fault, mode: Mode, place: Place, folder: Path, source: Path) -> Run:
    """Build with a fault, then go on with a good endpoint."""
    folder.mkdir(parents=True)
    with _server(folder, fault, mode, place) as port:
        first = _build(folder / "out", source, port, folder / "first")
    counts = _in_child(lambda: _counts(folder / "out"), folder / "counts.json")
    trouble = [f"first run: {what}" for what in _wrong(first, _expected(fault, mode, place), folder / "first")]
    outcome = str(first)
    if first not in {0, 3} or "endpoint_failed" in counts.get("rejected", {}):
        with _server(folder, None, mode, place) as port:
            second = _build(folder / "out", source, port, folder / "second")
        counts = _in_child(lambda: _counts(folder / "out"), folder / "counts.json")
        trouble += [f"second run: {what}" for what in _wrong(second, {0, 3}, folder / "second")]
        outcome += f" > {second}"
    if counts != {"samples": NUM_SAMPLES, "distinct": NUM_SAMPLES, **_ends(fault, mode, counts)}:
        trouble.append(f"ends with {counts}")
    if _holds_key(folder / "out"):
        trouble.append("the key is in a file")
    rejected = ", ".join(f"{number} {reason}" for reason, number in counts.get("rejected", {}).items())
    outcome += f" ({rejected})" if rejected else ""
    return Run(fault.name, mode, place, outcome, "; ".join(trouble))


def _expected(fault: Fault, mode: Mode, place: Place) -> set[int]:
    """The exit codes that a build with this fault may have."""
    is_many = mode == "rest" and place != "last"
    if fault.kind == "setting" or (fault.kind in {"passing", "sample"} and is_many):
        return {2}
    if fault.kind == "away" and mode == "rest":
        return {2}
    if fault.kind == "passing" and mode == "rest":
        return {0, 2}  # whether the last sample alone fails or the endpoint is away depends on what it asks in its 3 s
    return {3} if fault.kind == "text" and mode == "rest" and place != "last" else {0}


def _ends(fault: Fault, mode: Mode, counts: dict[str, Any]) -> dict[str, Any]:
    """What the rejections may be after the second run: only refusals and texts that checks refuse stay rejected."""
    rejected = counts.get("rejected", {})
    if fault.kind in {"sample", "text"}:
        return {"rejected": rejected}
    return {"rejected": {}}


def _wrong(code: int | None, expected: set[int], log: Path) -> Iterator[str]:
    """What is wrong with a command that ended."""
    said = log.read_bytes().decode("utf-8", "replace")
    if code is None:
        yield "hangs"
    elif code not in expected:
        yield f"exit {code}, not {' or '.join(map(str, sorted(expected)))}: {said.strip().splitlines()[-1:]}"
    if "Traceback" in said:
        yield "a traceback"
    if KEY in said or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said.replace("\r", "")):
        yield "a key or an escape code on the screen"
    if code == 2 and said.strip().count("error:") != 1:
        yield "not one line of error"


def _build(out: Path, source: Path, port: int, log: Path) -> int | None:
    """The command line in a child; its exit code, None where it had to be killed."""
    command = ["lrs2m", "build", "--recipe", "short_to_long", "--source", str(source), "--data-dir", str(source.parent)]
    command += ["--out", str(out), "--shard-size", "7", "--engine", "openai", "--model", "toy-model"]
    command += ["--base-url", f"http://127.0.0.1:{port}/v1", "--max-reject-rate", "0.5"]
    for option in ("max_tries=2", "timeout_s=4", "wait_s=3", "max_in_flight=4"):
        command += ["--engine-option", option]

    def child() -> None:
        openai.MAX_WAIT_S = 0.1
        os.environ["OPENAI_API_KEY"] = KEY
        sys.argv = command
        cli.main()

    return _waited(_fork(child, log), DEADLINE_S)


def _counts(out: Path) -> dict[str, Any]:
    """How many samples came to an end, and how."""
    rejected = rows(out, "rejected")
    found = [row["sample_id"] for row in [*rows(out), *rejected]]
    reasons = Counter(str(row["reason"]) for row in rejected)
    return {"samples": len(found), "distinct": len(set(found)), "rejected": dict(reasons)}


def _holds_key(folder: Path) -> bool:
    return any(KEY.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


class _server:  # noqa: N801 - a context manager
    """A server in a process group of its own, started again when it is killed."""

    def __init__(self, folder: Path, fault: Fault | None, mode: Mode, place: Place) -> None:
        self._folder, self._fault, self._mode, self._place = folder, fault, mode, place

    def __enter__(self) -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        self._pid = _fork(lambda: self._keep_up(port), self._folder / "server.log")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return port
            time.sleep(0.02)
        raise AssertionError("the server does not come up")

    def __exit__(self, *_: object) -> None:
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _keep_up(self, port: int) -> None:
        while True:
            pid = os.fork()
            if not pid:
                self._serve(port)
            os.waitpid(pid, 0)
            while self._mode == "rest":
                time.sleep(60)
            time.sleep(DOWN_S)

    def _serve(self, port: int) -> NoReturn:
        fired = self._folder / "fired"

        def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
            fault = self._fault
            is_it = f"Field number {AT[self._place]} " in json.dumps(body)
            if fault is None:
                handler.answer(body)
                return
            with handler.server.lock:
                has_fired = fired.exists()
                meets = (is_it and not has_fired) if self._mode == "once" else is_it
                meets = meets or (self._mode == "rest" and has_fired)
                if meets:
                    fired.touch()
            fault.behave(handler, body) if meets else handler.answer(body)

        QuietServer(behave, port).serve_forever()
        raise AssertionError


def _fork(work: Callable[[], object], log: Path) -> int:
    """Work in a child with a process group of its own, what it says in a file; returns the child's pid."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 1)
        os.dup2(target, 2)
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the parent looks for it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _waited(pid: int, seconds: float) -> int | None:
    """A child's exit code; None where it had to be killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _in_child(work: Callable[[], dict[str, Any]], file: Path) -> dict[str, Any]:
    """What a function returns, in a child: this process must stay without threads, so that it can fork."""
    code = _waited(_fork(lambda: file.write_text(json.dumps(work())), file.with_suffix(".log")), DEADLINE_S)
    return json.loads(file.read_text()) if code == 0 else {"code": code}


def main() -> int:
    """Run the campaign and print a table of faults, places and outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="faults whose names hold this")
    parser.add_argument("--mode", default="", help="once, sample or rest")
    parser.add_argument("--part", default="0/1", help="0/3, 1/3 and 2/3 share the faults between three processes")
    parser.add_argument("--sample", action="store_true", help="one build with every eighth fault")
    chosen = parser.parse_args()
    part, num_parts = map(int, chosen.part.split("/"))
    modes, places = get_args(Mode), get_args(Place)
    cases = [
        (fault, mode, places)
        for fault in FAULTS[part::num_parts]
        for mode in modes
        if chosen.only in fault.name and chosen.mode in {"", mode}
    ]
    if chosen.sample:
        cases = [(fault, modes[i % 3], (places[i // 3 % 3],)) for i, fault in enumerate(FAULTS[3::8])]
    runs = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = make_source(folder / "source", NUM_SAMPLES)
        build_toy(source, folder / "warm")  # so that the children find all that a build loads
        print(
            f"{'fault':24} {'kind':8} {'mode':7} first / middle / last: exit code > exit code of the same command again"
        )
        for fault, mode, at in cases:
            these = [run_fault(fault, mode, place, folder / f"{fault.name}-{mode}-{place}", source) for place in at]
            print(f"{fault.name:24} {fault.kind:8} {mode:7} " + " / ".join(run.outcome for run in these), flush=True)
            for run in these:
                if run.trouble:
                    print(f"    FAILED at the {run.place}: {run.trouble}", flush=True)
            runs += these
    failed = [run for run in runs if run.trouble]
    print(f"{len(runs)} builds: {len(failed)} not as they should be")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
