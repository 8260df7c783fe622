"""Votes on pairs of texts, each a line of a file that is only appended to, synced before the page shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lrs2m_builder.dataset.appended import AppendedFile, now
from lrs2m_builder.dataset.compare.pairs import Key, Pair
from lrs2m_builder.errors import UserError

CHOICES = ("a", "b", "tie", "both_bad")


@dataclass(frozen=True, slots=True)
class Vote:
    """A person's vote on a pair.

    Attributes:
        sample_id: of the row of a.
        choice: one of CHOICES.
        left: the data set whose text was on the left, "a" or "b".
        text_a, text_b: what was voted on: the beginning of the SHA-256 of both texts of each row.
        time: UTC in ISO 8601.
    """

    sample_id: str
    choice: str
    left: str
    text_a: str
    text_b: str
    time: str
    reviewer: str = ""

    @property
    def key(self) -> Key:
        """The pair that it is of."""
        return self.sample_id, self.text_a, self.text_b


class Votes(AppendedFile[Vote]):
    """The votes of a file; of several by one person on a pair, the last counts."""

    def __init__(self, path: Path) -> None:
        """Read the existing votes.

        Raises:
            UserError: the file cannot be read, or is a file of something else.
        """
        self._votes: dict[Key, dict[str, Vote]] = {}
        super().__init__(path)
        if self._read_bytes and not self._votes:
            raise UserError(f"{path}: holds no votes; give another file as --votes")

    def all(self) -> Mapping[Key, Mapping[str, Vote]]:
        """The votes by pair, then by reviewer."""
        self._read_new()
        with self.lock:
            return {key: dict(votes) for key, votes in self._votes.items()}

    def by(self, reviewer: str) -> dict[Key, Vote]:
        """The votes of one person."""
        return {key: votes[reviewer] for key, votes in self.all().items() if reviewer in votes}

    def save(self, pair: Pair, choice: str, reviewer: str) -> Vote:
        """Append a vote; it is on the disk when this returns.

        Raises:
            UserError: not a choice, or the disk fails.
        """
        if choice not in CHOICES:
            raise UserError(f"a vote is one of {', '.join(CHOICES)}")
        vote = Vote(pair.sample_id, choice, pair.left, pair.text_a, pair.text_b, now(), reviewer)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.path}: not saved: {error.strerror}") from error
        self._append(asdict(vote))
        return vote

    def _parse(self, line: bytes) -> Vote | None:
        try:
            vote = Vote(**json.loads(line))
        except (ValueError, TypeError):
            return None
        is_text = all(isinstance(value, str) for value in asdict(vote).values())
        return vote if is_text and vote.choice in CHOICES else None

    def _keep(self, entry: Vote) -> None:
        self._votes.setdefault(entry.key, {})[entry.reviewer] = entry

    def _forget(self) -> None:
        self._votes = {}
