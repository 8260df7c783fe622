"""Output for people: progress lines on standard error, results on standard output."""

from __future__ import annotations

import sys
from contextlib import suppress

from lrs2m_builder.text import printable


def say(text: str) -> None:
    """Print a line on standard error, above any progress bar; a closed reader is ignored."""
    from tqdm import tqdm  # late: most commands show no progress

    with suppress(BrokenPipeError):  # a reader that has gone is no reason to stop
        tqdm.write(printable(text), file=sys.stderr)
        sys.stderr.flush()


def show(text: str) -> None:
    """Print a result on standard output, with terminal control sequences escaped."""
    print(printable(text), flush=True)


def duration(seconds: float) -> str:
    """A duration for people: 3h05m, 4m10s, 7s."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"
