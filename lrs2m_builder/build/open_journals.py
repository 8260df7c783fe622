"""The journals of the shards in progress, and what they are told if the engine stops or dies."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from lrs2m_builder.build.journal import Journal
from lrs2m_builder.engines._base import ENDPOINT_FAILED
from lrs2m_builder.exchange import Attempt


class OpenJournals:
    """The journals of the shards that a pass answers."""

    def __init__(self, max_refused: int) -> None:
        """Begin without a journal.

        Args:
            max_refused: number of refusals in a row that may be taken back.
        """
        self._journals: set[Journal] = set()
        # Refused since the last answer: if the engine stops, nobody knows whether they were at fault.
        self._refused: deque[tuple[Journal, Attempt]] = deque(maxlen=max_refused)
        self._died_on: set[Journal] = set()  # of shards that the engine was answering when it died

    def add(self, journal: Journal) -> None:
        """Take the journal of a shard in progress."""
        self._journals.add(journal)

    def discard(self, journal: Journal) -> None:
        """Leave the journal of a shard that is written."""
        self._journals.discard(journal)

    def append(self, journal: Journal, attempt: Attempt) -> None:
        """Keep the outcome of a request."""
        journal.append(attempt)
        if attempt.problem:
            self._refused.append((journal, attempt))
        else:
            self._refused.clear()

    def take_back_refusals(self) -> None:
        """Have what was refused just before the engine stopped asked again, as far as its shard is not written."""
        for journal, attempt in self._refused:
            if journal in self._journals:
                journal.append(replace(attempt, problem=ENDPOINT_FAILED))

    def engine_died_on(self, journal: Journal) -> None:
        """Remember that the engine died while it answered a shard."""
        self._died_on.add(journal)

    @property
    def has_engine_died(self) -> bool:
        """Whether it died on a shard."""
        return bool(self._died_on)

    def note_deaths(self) -> None:
        """Have the journals know that the engine died on their shards."""
        for journal in self._died_on & self._journals:
            journal.note_death()

    def due(self) -> list[Journal]:
        """Those whose answers wait for long to be published."""
        return [journal for journal in self._journals if journal.is_due]

    def close(self) -> None:
        """Close all files."""
        for journal in self._journals:
            journal.close()
