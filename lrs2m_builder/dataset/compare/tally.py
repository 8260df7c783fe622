"""Votes counted: a pair counts once, and the share of wins has an interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt

from lrs2m_builder.dataset.compare.votes import Vote

Z = 1.959964  # of the normal distribution: 95 % lie within Z standard deviations


@dataclass(frozen=True, slots=True)
class Tally:
    """The outcomes of pairs.

    Attributes:
        a, b: pairs that a won, and b.
    """

    a: int
    b: int
    tie: int
    both_bad: int

    @property
    def decided(self) -> int:
        """Pairs with a winner."""
        return self.a + self.b

    @property
    def votes(self) -> int:
        """Pairs with any outcome."""
        return self.decided + self.tie + self.both_bad

    @property
    def share_b(self) -> float | None:
        """The share of the decided pairs that b won; None without any."""
        return self.b / self.decided if self.decided else None

    @property
    def interval_b(self) -> tuple[float, float] | None:
        """The 95 % interval of that share; None without any decided pair."""
        return wilson(self.b, self.decided) if self.decided else None

    @property
    def better(self) -> str | None:
        """ "a" or "b" if the interval leaves out one half; None if the votes do not tell."""
        if not self.interval_b:
            return None
        low, high = self.interval_b
        return "b" if low > 0.5 else "a" if high < 0.5 else None


def wilson(wins: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927); it stays within 0 and 1 for few trials too."""
    share, square = wins / trials, Z * Z / trials
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * sqrt(share * (1 - share) / trials + square / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def tally(outcomes: Iterable[str]) -> Tally:
    """Count outcomes, each one of CHOICES."""
    counts = Counter(outcomes)
    return Tally(counts["a"], counts["b"], counts["tie"], counts["both_bad"])


def outcome(votes: Mapping[str, Vote]) -> str:
    """What all reviewers' votes on a pair come to: the side with more of them, else what more of the others say."""
    counts = tally(vote.choice for vote in votes.values())
    if counts.a != counts.b:
        return "a" if counts.a > counts.b else "b"
    return "both_bad" if counts.both_bad > max(counts.tie, counts.a) else "tie"
