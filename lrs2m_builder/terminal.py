"""Output for people: progress lines on standard error, results on standard output."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from lrs2m_builder.text import printable

_COLOURS = {"error:": "31", "warning:": "33"}  # red and yellow, of a terminal


def say(text: str) -> None:
    """Print a line on standard error, above any progress bar; a closed reader is ignored."""
    from tqdm import tqdm  # late: most commands show no progress

    with suppress(BrokenPipeError):  # a reader that has gone is no reason to stop
        tqdm.write(marked(printable(text)), file=sys.stderr)
        sys.stderr.flush()


def marked(line: str) -> str:
    """A line for standard error; on a terminal its "error:" or "warning:" is coloured, unless NO_COLOR is set."""
    word = line.partition(" ")[0]
    if word not in _COLOURS or os.environ.get("NO_COLOR") or not sys.stderr.isatty():
        return line
    return f"\x1b[{_COLOURS[word]};1m{word}\x1b[0m{line.removeprefix(word)}"


def show(text: str) -> None:
    """Print a result on standard output, with terminal control sequences escaped."""
    print(printable(text), flush=True)


def duration(seconds: float) -> str:
    """A duration for people: 3h05m, 4m10s, 7s."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"
