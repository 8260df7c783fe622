"""`lrs2m view`: a local web page to look through a data set and to say what is good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lrs2m_builder.dataset.page_server import DEFAULT_PORT
from lrs2m_builder.dataset.selection import Filters, Selection, select
from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.dataset.view.server import Server


def view(
    path: Path,
    *,
    more: Sequence[Path] = (),
    reviewer: str = "",
    data_dir: Path | None = None,
    where: str | None = None,
    port: int = DEFAULT_PORT,
    open_browser: bool = False,
    say: Callable[[str], object],
) -> None:
    """Open data sets and serve their page on 127.0.0.1 until Ctrl-C.

    Args:
        more: data sets that are looked at together with the first one.
        reviewer: a name that is written beside each verdict and corrected text.
        data_dir: the folder of the images of rejected samples, if it is not where the builds found it.
        where: show only records that meet this condition (see `selection.Filters`).
        port: 0 takes any free one.
        say: told where the page is, once it can be opened.

    Raises:
        UserError: no Parquet files, a broken one, a missing column, or the port is in use.
        Stopped: by Ctrl-C or another signal.
    """
    selection = None if where is None else _selected([path, *more], where, say)
    data = DataSet(path, selection, more=more, reviewer=reviewer, data_dir=data_dir)
    found = f"{data.num_rows('records'):,} records, {data.num_rows('rejected'):,} rejected"
    kept = f"reviews are in {', '.join(str(reviews.path) for reviews in data.desk.reviews.values())}"
    with Server(data, port) as server:
        server.serve(found, say, open_browser=open_browser, kept=kept)


def _selected(paths: Sequence[Path], where: str, say: Callable[[str], object]) -> Selection:
    """The rows of all data sets that meet a condition."""
    selections = [select(path, Filters(where=where)) for path in paths]
    for note in dict.fromkeys(note for selection in selections for note in selection.notes):
        say(note)
    rows = {file: numbers for selection in selections for file, numbers in selection.rows.items()}
    counts = sum(each.num_rows for each in selections), sum(each.of for each in selections)
    return Selection(paths[0], rows, *counts)
