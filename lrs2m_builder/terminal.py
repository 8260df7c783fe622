"""What people read on the terminal: lines on standard error, results on standard output."""

from __future__ import annotations

import sys
from contextlib import suppress

from lrs2m_builder.text import printable


def say(text: str) -> None:
    """Print a line on standard error, above the progress bar if there is one; nobody need read it."""
    from tqdm import tqdm  # late: most commands show no progress

    with suppress(BrokenPipeError):  # whoever read it went away, which is no reason to stop the work
        tqdm.write(printable(text), file=sys.stderr)
        sys.stderr.flush()


def show(text: str) -> None:
    """Print a result on standard output; text from outside cannot command the terminal."""
    print(printable(text), flush=True)


def duration(seconds: float) -> str:
    """A time for people: 3h05m, 4m10s, 7s."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"
