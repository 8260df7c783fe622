"""Reviews of a data set: verdicts and corrected texts, each a line of `reviews.jsonl`, synced before it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.dataset.appended import AppendedFile, now
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import CaptionColumn

VERDICTS = ("accept", "flag")
COLUMNS: tuple[CaptionColumn, ...] = ("caption_short", "caption_long")
MAX_NOTE = 4000  # characters
MAX_TEXT = 16000  # characters
PERSON = "person"  # the source of a text that a person corrected


@dataclass(frozen=True, slots=True)
class Review:
    """A person's verdict on a sample: "accept" or "flag"; `time` is UTC in ISO 8601."""

    sample_id: str
    verdict: str
    note: str
    time: str
    reviewer: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """A text that a person corrected.

    Attributes:
        before, after: the text that was corrected, and the new one.
        warnings: what the checks find in the texts of the row since, as in "hedge: ...".
        time: UTC in ISO 8601.
    """

    sample_id: str
    column: CaptionColumn
    before: str
    after: str
    warnings: tuple[str, ...]
    time: str
    reviewer: str = ""


Entry = Review | Correction


class ConflictError(UserError):
    """A text that is to be corrected is not what it was when it was read: somebody else corrected it meanwhile."""


class Reviews(AppendedFile[Entry]):
    """The reviews of a data set; safe for several threads, and for several programs that write the same file."""

    def __init__(self, path: Path) -> None:
        """Read the existing reviews.

        Raises:
            UserError: the file cannot be read.
        """
        self._history: dict[str, list[Entry]] = {}
        super().__init__(path)

    def get(self, sample_id: str) -> Review | None:
        """The last review of a sample."""
        return _last(self.history(sample_id))

    def history(self, sample_id: str) -> list[Entry]:
        """Everything that was said of a sample, the oldest first."""
        self._read_new()
        return list(self._history.get(sample_id, ()))

    def by_verdict(self) -> dict[str, list[str]]:
        """Ids of samples by their last verdict."""
        last = {sample_id: _last(entries) for sample_id, entries in self._all()}
        return {
            verdict: [key for key, review in last.items() if review and review.verdict == verdict]
            for verdict in VERDICTS
        }

    def disputed(self) -> list[str]:
        """Ids of samples of which the last verdicts of two reviewers differ."""
        return [key for key, entries in self._all() if len(set(_by_reviewer(entries).values())) > 1]

    def reviewed_by(self, reviewer: str) -> list[str]:
        """Ids of samples of which a reviewer said or corrected something."""
        return [key for key, entries in self._all() if any(entry.reviewer == reviewer for entry in entries)]

    def reviewers(self) -> list[str]:
        """Names of the reviewers; "" for those who gave none."""
        return sorted({entry.reviewer for _, entries in self._all() for entry in entries})

    def corrected(self) -> list[str]:
        """Ids of samples with a corrected text."""
        return [key for key, _ in self._all() if self.has_correction(key)]

    def has_correction(self, sample_id: str) -> bool:
        """Whether a text of a sample was ever corrected, by what was read of the file so far."""
        return any(isinstance(entry, Correction) for entry in self._history.get(sample_id, ()))

    def correction(self, sample_id: str, column: CaptionColumn, stored: str) -> Correction | None:
        """The last correction of a text; None if there is none, or it was of another text than the stored one."""
        return _correction(self.history(sample_id), column, stored)

    def save(self, sample_id: str, verdict: str, note: str, reviewer: str = "") -> Review:
        """Append a review; it is on the disk when this returns.

        Raises:
            UserError: not a verdict, too long a note, or the disk fails.
        """
        if verdict not in VERDICTS:
            raise UserError(f"a verdict is one of {', '.join(VERDICTS)}")
        if len(note) > MAX_NOTE:
            raise UserError(f"a note has at most {MAX_NOTE} characters")
        review = Review(sample_id, verdict, note, now(), reviewer)
        self._append(asdict(review))
        return review

    def correct(
        self,
        sample_id: str,
        column: CaptionColumn,
        stored: str,
        *,
        before: str,
        after: str,
        warnings: Iterable[str] = (),
        reviewer: str = "",
    ) -> Correction:
        """Append a corrected text; it is on the disk when this returns.

        Args:
            stored: the text of the data set.
            before: the text that the person saw.

        Raises:
            ConflictError: the text is not `before` any more.
            UserError: no text, too long a text, or the disk fails.
        """
        if not after or len(after) > MAX_TEXT:
            raise UserError(f"a corrected text has 1 to {MAX_TEXT:,} characters")
        correction = Correction(sample_id, column, before, after, tuple(warnings), now(), reviewer)
        self._append(asdict(correction), lambda: self._refuse_conflict(correction, stored))
        return correction

    def _all(self) -> list[tuple[str, list[Entry]]]:
        self._read_new()
        with self.lock:
            return list(self._history.items())

    def _parse(self, line: bytes) -> Entry | None:
        return _parse(line)

    def _keep(self, entry: Entry) -> None:
        self._history.setdefault(entry.sample_id, []).append(entry)

    def _forget(self) -> None:
        self._history = {}

    def _refuse_conflict(self, entry: Correction, stored: str) -> None:
        last = _correction(self._history.get(entry.sample_id, ()), entry.column, stored)
        if entry.before != (last.after if last else stored):
            by = f" by {last.reviewer}" if last and last.reviewer else ""
            raise ConflictError(f"not saved: the text was corrected meanwhile{by}; correct the new one")


def corrected_texts(reviews: Reviews, row: Mapping[str, Any]) -> dict[CaptionColumn, Correction]:
    """The corrections of a stored row's texts, by column."""
    history = reviews.history(row["sample_id"])
    found = {column: _correction(history, column, str(row.get(column) or "")) for column in COLUMNS}
    return {column: correction for column, correction in found.items() if correction}


def _correction(entries: Iterable[Entry], column: CaptionColumn, stored: str) -> Correction | None:
    """The end of the chain of corrections that begins at the stored text."""
    text, last = stored, None
    for entry in entries:
        if isinstance(entry, Correction) and entry.column == column and entry.before == text:
            text, last = entry.after, entry
    return last if text != stored else None


def _last(entries: Iterable[Entry]) -> Review | None:
    return next((entry for entry in reversed(list(entries)) if isinstance(entry, Review)), None)


def _by_reviewer(entries: Iterable[Entry]) -> dict[str, str]:
    return {entry.reviewer: entry.verdict for entry in entries if isinstance(entry, Review)}


def _parse(line: bytes) -> Entry | None:
    """A line as what it says; None for a partial line of a killed process, or another line."""
    try:
        entry = json.loads(line)
        sample_id, time, reviewer = entry["sample_id"], str(entry.get("time", "")), str(entry.get("reviewer") or "")
        if not isinstance(sample_id, str):
            return None
        if entry.get("column") in COLUMNS:
            texts = (str(entry["before"]), str(entry["after"]))
            warnings = tuple(map(str, entry.get("warnings") or ()))
            return Correction(sample_id, entry["column"], *texts, warnings, time, reviewer)
        review = Review(sample_id, entry["verdict"], str(entry.get("note") or ""), time, reviewer)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return review if review.verdict in VERDICTS else None
