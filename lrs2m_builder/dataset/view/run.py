"""`lrs2m view`: a local web page to look through a data set and to say what is good."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from pathlib import Path

from lrs2m_builder.dataset.selection import Filters, select
from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.dataset.view.server import Server
from lrs2m_builder.errors import Stopped

DEFAULT_PORT = 8642


def view(
    path: Path,
    *,
    where: str | None = None,
    port: int = DEFAULT_PORT,
    open_browser: bool = False,
    say: Callable[[str], object],
) -> None:
    """Open a data set and serve its page on 127.0.0.1 until Ctrl-C.

    Args:
        where: show only records that meet this condition (see `selection.Filters`).
        port: 0 takes any free one.
        say: told where the page is, once it can be opened.

    Raises:
        UserError: no Parquet files, a broken one, a missing column, or the port is in use.
        Stopped: by Ctrl-C or another signal.
    """
    selection = None if where is None else select(path, Filters(where=where))
    for note in selection.notes if selection else ():
        say(note)
    data = DataSet(path, selection)
    with Server(data, port) as server:
        try:
            say(f"{data.num_rows('records'):,} records, {data.num_rows('rejected'):,} rejected: {server.address}")
            if open_browser:
                webbrowser.open(server.address)
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt as interrupt:
            raise Stopped(f"stopped; reviews are in {data.reviews.path}") from interrupt
