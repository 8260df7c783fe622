"""What the page of a comparison is told: pairs without names, which of them are voted on, and at the end the table."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from lrs2m_builder.dataset.appended import check_reviewer
from lrs2m_builder.dataset.compare.pairs import Pair, Pairs, open_pairs
from lrs2m_builder.dataset.compare.table import as_json, make_table
from lrs2m_builder.dataset.compare.votes import Votes
from lrs2m_builder.dataset.view.rows import RowReader, picture
from lrs2m_builder.dataset.view.scores import ScoreReader
from lrs2m_builder.errors import UserError

_SHOWN = ("caption_short", "caption_long", "num_tokens_short", "num_tokens_long", "attempts", "warnings")


class Voting:
    """A person votes on the pairs of two data sets; safe for several threads.

    Attributes:
        pairs: all of them.
        drawn: those that are voted on, in their order.
        votes: where the votes are.
        version: another one each time, so that no browser shows the images of another comparison.
    """

    def __init__(self, a: Path, b: Path, votes_path: Path | None, reviewer: str, *, limit: int, seed: int) -> None:
        """Open two data sets and the votes so far.

        Args:
            votes_path: by default `votes/<name of b>.jsonl` in the folder of a.
            reviewer: who votes; "" for nobody's name.
            limit: the number of pairs to vote on.
            seed: decides which, their order and their sides.

        Raises:
            UserError: as `open_pairs`, a name that cannot be one, or votes that cannot be read.
        """
        check_reviewer(reviewer)
        self.pairs: Pairs = open_pairs(a, b)
        self.reviewer = reviewer
        self.votes = Votes(votes_path or default_votes(a, b))
        self.drawn = self.pairs.draw(limit, seed)
        self.version = secrets.token_hex(4)
        index = self.pairs.indexes["records"]
        self._reader = RowReader(index)
        self._scores = ScoreReader([a, b], index)

    def about(self) -> dict[str, Any]:
        """How many pairs there are and which have a vote; nothing that names the data sets."""
        votes = self.votes.by(self.reviewer)
        return {
            "version": self.version,
            "reviewer": self.reviewer,
            "voted": [pair.key in votes for pair in self.drawn],
        }

    def pair(self, at: int) -> dict[str, Any]:
        """A pair by its place in the order: its two rows as left and right, without what names their data set.

        Raises:
            UserError: there is no such pair, or a file cannot be read.
        """
        pair = self._pair(at)
        rows = {"a": self._row(pair.a), "b": self._row(pair.b)}
        vote = self.votes.by(self.reviewer).get(pair.key)
        return {
            "number": at,
            "sample_id": pair.sample_id if pair.sample_id == pair.id_b else None,
            "left": rows[pair.left],
            "right": rows[pair.right],
            "vote": vote and {pair.left: "left", pair.right: "right"}.get(vote.choice, vote.choice),
        }

    def vote(self, at: int, choice: str) -> None:
        """Save a vote on a pair: "left", "right", "tie" or "both_bad".

        Raises:
            UserError: there is no such pair, no such vote, or it cannot be saved.
        """
        pair = self._pair(at)
        meant = {"left": pair.left, "right": pair.right, "tie": "tie", "both_bad": "both_bad"}
        self.votes.save(pair, meant.get(choice, ""), self.reviewer)

    def image(self, at: int) -> tuple[str, bytes] | None:
        """The media type and bytes of the image of a pair; None if there is none to show.

        Raises:
            UserError: there is no such pair, or a file cannot be read.
        """
        pair = self._pair(at)
        data = self._reader.image(pair.a) or self._reader.image(pair.b)
        return picture(data, small=False) if data else None

    def table(self) -> dict[str, Any]:
        """The table of all votes so far, with the names of the data sets.

        Raises:
            UserError: a table of scores is torn.
        """
        return as_json(make_table(self.pairs, self._scores, self.votes.all()))

    def _pair(self, at: int) -> Pair:
        if not 0 <= at < len(self.drawn):
            raise UserError(f"no pair {at}: there are {len(self.drawn)}")
        return self.drawn[at]

    def _row(self, number: int) -> dict[str, Any]:
        row = self._reader.row(number)
        file, _ = self.pairs.indexes["records"].place(number)
        return {name: row.get(name) for name in _SHOWN} | {"scores": self._scores.describe(file, row)["scores"]}


def default_votes(a: Path, b: Path) -> Path:
    """Where votes are kept unless the person says where: in the folder of a, under the name of b."""
    return (a if a.is_dir() else a.parent) / "votes" / f"{b.resolve().name}.jsonl"
