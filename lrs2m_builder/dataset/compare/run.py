"""`lrs2m compare`: two data sets' texts of the same images, voted on blindly in a local web page."""

from __future__ import annotations

from collections.abc import Callable

from lrs2m_builder.dataset.compare.server import Server
from lrs2m_builder.dataset.compare.voting import Voting
from lrs2m_builder.errors import UserError


def serve_votes(voting: Voting, port: int, *, open_browser: bool, say: Callable[[str], object]) -> None:
    """Serve the page of a comparison on 127.0.0.1 until Ctrl-C.

    Raises:
        UserError: no pair has two texts, or the port is in use.
        Stopped: by Ctrl-C or another signal.
    """
    if not voting.drawn:
        raise UserError(
            f"{voting.pairs.paths[0]}, {voting.pairs.paths[1]}: all {voting.pairs.num_pairs:,} images have the same "
            "texts in both; there is nothing to vote on (--json prints the table)"
        )
    voted = sum(voting.about()["voted"])
    with Server(voting, port) as server:
        found = f"{len(voting.drawn):,} pairs to vote on, {voted:,} of them done"
        server.serve(found, say, open_browser=open_browser, kept=f"votes are in {voting.votes.path}")


def notes(voting: Voting) -> list[str]:
    """What a person should know of the rows that are compared, a line each."""
    pairs = voting.pairs
    only = f"; only in {pairs.paths[0]}: {pairs.only[0]:,}, only in {pairs.paths[1]}: {pairs.only[1]:,}"
    lines = [f"{pairs.num_pairs:,} images in both{only if any(pairs.only) else ''}"]
    if pairs.other_image:
        lines.append(f"{pairs.other_image:,} rows have the same sample_id and another image; they are left out")
    if pairs.num_same:
        lines.append(f"{pairs.num_same:,} images have the same texts in both; they are not voted on")
    if pairs.several:
        lines.append(f"{pairs.several:,} images have several long texts (captions_long); only the first is compared")
    return lines
