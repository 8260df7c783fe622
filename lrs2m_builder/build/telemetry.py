"""The progress of a build: counters, a progress display, and telemetry.jsonl."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from tqdm import tqdm

from lrs2m_builder.files import disk_errors, would_wait
from lrs2m_builder.stores._base import Store
from lrs2m_builder.terminal import duration, say
from lrs2m_builder.text import printable

LINE_EVERY_S = 15.0  # between lines without a terminal
RECORD_EVERY_S = 5.0  # between lines of telemetry.jsonl
MIN_REPEATS = 15  # samples that must share an answer, and their share of the last samples, for the warning
REPEATED_SHARE = 0.3
REPEATS_WINDOW = 500

Bound = Literal["engine", "images", "source"]


@dataclass(slots=True)
class Meter:
    """Counters of one run.

    Attributes:
        passed: samples that have finished the current pass.
        thoughts: answers from which a model's thought was removed.
        claims: statements sent to a judge.
        max_in_flight: requests that the engine accepts at once.
        start_s: seconds in which engines started; the clock of the passes does not run meanwhile.
        bound_s: seconds in which the engine was full, waited for images, or waited for the source.
    """

    passed: int = 0
    requests: int = 0
    records: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    tokens: int = 0
    thoughts: int = 0
    claims: int = 0
    max_in_flight: int = 1
    start_s: float = 0.0
    bound_s: dict[Bound, float] = field(default_factory=lambda: dict.fromkeys(get_args(Bound), 0.0))
    started: float | None = None
    seconds_before: float = 0.0

    def start(self) -> None:
        """Start the clock of a pass: the engine is ready."""
        self.started = time.monotonic()
        self.passed = 0

    def stop(self) -> None:
        """Stop the clock: what follows, such as the engine's shutdown, is not counted."""
        if self.started is not None:
            self.seconds_before += time.monotonic() - self.started
            self.started = None

    @property
    def seconds(self) -> float:
        """Time spent in passes so far; never zero."""
        running = time.monotonic() - self.started if self.started is not None else 0.0
        return max(self.seconds_before + running, 1e-9)

    def add(self, other: Meter) -> None:
        """Add what another process counted; the clock stays."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.rejections = self.rejections + other.rejections
        self.max_in_flight = max(self.max_in_flight, other.max_in_flight)
        self.bound_s = {bound: seconds + other.bound_s[bound] for bound, seconds in self.bound_s.items()}

    def become(self, before: Meter, others: Meter) -> None:
        """Count what was counted before, and what the others count; the clock and the pass are this meter's own."""
        total = replace(
            before, passed=0, started=self.started, seconds_before=self.seconds_before, start_s=self.start_s
        )
        total.add(others)
        for each in fields(self):
            setattr(self, each.name, getattr(total, each.name))

    @property
    def done(self) -> int:
        """Samples finished in this run."""
        return self.records + self.rejections.total()

    def snapshot(self) -> dict[str, Any]:
        """The counts and rates so far."""
        seconds = self.seconds
        return {
            "seconds": round(seconds, 3),
            "start_s": round(self.start_s, 1),
            "samples": self.done,
            "records": self.records,
            "rejections": dict(sorted(self.rejections.items())),
            "requests": self.requests,
            "thoughts": self.thoughts,
            "claims": self.claims,
            "captions_per_s": round(self.requests / seconds, 3),
            "prompt_tokens_per_s": round(self.prompt_tokens / seconds, 1),
            "tokens_per_s": round(self.tokens / seconds, 1),
            "bound_by": self.bound_shares(),
        }

    def bound_shares(self) -> dict[str, float]:
        """Shares of the time in which the engine, the images and the source bound the speed."""
        total = sum(self.bound_s.values())
        ranked = sorted(self.bound_s.items(), key=lambda item: -item[1])
        return {name: round(seconds / total, 3) for name, seconds in ranked} if total else {}


_COUNTS = [each.name for each in fields(Meter) if each.type == "int" and each.name != "max_in_flight"]


class Progress(Protocol):
    """Who is told how far a pass is."""

    def update(self, meter: Meter) -> bool:
        """Take the counts so far; whether the pass should stop."""
        ...

    def finished(self, index: int) -> None:
        """A shard has come to the end of the pass."""
        ...


class Display:
    """A progress bar on a terminal, otherwise a line every LINE_EVERY_S; always on standard error."""

    def __init__(self, total: int, done: int, label: str) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._total, self._before, self._label = total, done, label
        self._last_line = time.monotonic()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=printable(label, one_line=True),
            unit="sample",
            disable=not self._is_terminal,
            file=sys.stderr,
            dynamic_ncols=True,
        )

    def finished(self, index: int) -> None:
        """Shards are not shown."""

    def update(self, meter: Meter) -> bool:
        """Show the state of the run, which goes on."""
        self._bar.n = self._before + meter.passed
        self._bar.set_postfix_str(f"{self._rate(meter)}, {meter.rejections.total()} rejected")
        if not self._is_terminal and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            say(self._sentence(meter))
        return False

    def close(self) -> None:
        """Show the final state."""
        self._bar.refresh()
        self._bar.close()

    def _rate(self, meter: Meter) -> str:
        """The rate of captions by a model, or of samples without a model."""
        if meter.requests:
            return f"{meter.requests / meter.seconds:.1f} captions/s"
        return f"{meter.passed / meter.seconds:,.0f} samples/s"

    def _sentence(self, meter: Meter) -> str:
        done = self._before + meter.passed
        per_s = meter.passed / meter.seconds
        time_left = f"{duration((self._total - done) / per_s)} left" if per_s else "time left unknown"
        return (
            f"{self._label}: {done} of {self._total} samples, {self._rate(meter)}, "
            f"{meter.rejections.total()} rejected, {time_left}"
        )


@contextmanager
def measured(meter: Meter, label: str, num_samples: int, num_left: int) -> Iterator[Display]:
    """Let the clock of a pass run and show its progress until the block ends."""
    meter.start()
    display = Display(num_samples, num_samples - num_left, label)
    try:
        yield display
    finally:
        meter.stop()
        display.close()


@contextmanager
def kept_telemetry(store: Store, name: str) -> Iterator[Path]:
    """Yield the path for a file of rates: in the folder of the build, or in the scratch folder until the block ends."""
    path = (store.folder or store.scratch) / name
    if path.parent != store.folder:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    if store.folder is None and path.is_file():
        store.publish(name, path)
        path.unlink()


class Repetition:
    """Detects an answer that is repeated for many samples: the model does not see its images, or the prompt is bad."""

    def __init__(self) -> None:
        self._samples: set[str] = set()
        self._by_text: dict[tuple[int, str], set[str]] = {}
        self._is_said = False

    def add(self, step: int, sample_id: str, text: str) -> str | None:
        """Count an answer; returns a warning, once, when many samples have the same answer."""
        if self._is_said or not text.strip():
            return None
        if len(self._samples) >= REPEATS_WINDOW:
            self._samples.clear()
            self._by_text.clear()
        self._samples.add(sample_id)
        same = self._by_text.setdefault((step, " ".join(text.lower().split())), set())
        same.add(sample_id)
        if len(same) < max(MIN_REPEATS, REPEATED_SHARE * len(self._samples)):
            return None
        self._is_said = True
        return (
            f"warning: {len(same)} of {len(self._samples)} samples got the same answer, {text[:60]!r} ...; "
            "does the model see the images, and is the prompt clear? Check with --show-prompts"
        )


class Telemetry:
    """Appends a line to telemetry.jsonl every few seconds; a write error does not stop the build."""

    def __init__(self, path: Path, meter: Meter, gauges: Callable[[], dict[str, int]]) -> None:
        self._path, self._meter, self._gauges = path, meter, gauges
        self._last = 0.0
        self._is_failing = False

    def tick(self, *, last: bool = False) -> None:
        """Write a line if it is time, or if it is the last one."""
        if not last and time.monotonic() - self._last < RECORD_EVERY_S:
            return
        self._last = time.monotonic()
        line = {"time": round(time.time(), 3), **self._meter.snapshot(), **self._gauges()}
        try:
            if would_wait(self._path):
                raise OSError(errno.EINVAL, "not a regular file")
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            if not self._is_failing:
                say(f"{self._path}: {error.strerror}; the build continues without it")
            self._is_failing = True
