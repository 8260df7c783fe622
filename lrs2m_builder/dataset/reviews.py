"""A person's reviews of rows: one line each in `reviews.jsonl`, synced to the disk before the page shows them."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lrs2m_builder.errors import UserError

VERDICTS = ("accept", "flag")
MAX_NOTE = 4000  # characters


@dataclass(frozen=True, slots=True)
class Review:
    """A person's verdict on a sample: "accept" or "flag"; `time` is UTC in ISO 8601."""

    sample_id: str
    verdict: str
    note: str
    time: str


class Reviews:
    """The reviews of a data set; for each sample the last one counts."""

    def __init__(self, path: Path) -> None:
        """Read the existing reviews.

        Raises:
            UserError: the file cannot be read.
        """
        self.path = path
        self._lock = threading.Lock()
        self._by_id: dict[str, Review] = {}
        try:
            lines = path.read_bytes().split(b"\n") if path.exists() else []
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        for line in lines:
            if review := _parse(line):
                self._by_id[review.sample_id] = review

    def get(self, sample_id: str) -> Review | None:
        """The last review of a sample."""
        return self._by_id.get(sample_id)

    def by_verdict(self) -> dict[str, list[str]]:
        """Ids of samples by verdict."""
        with self._lock:
            reviews = list(self._by_id.values())
        return {verdict: [review.sample_id for review in reviews if review.verdict == verdict] for verdict in VERDICTS}

    def save(self, sample_id: str, verdict: str, note: str) -> Review:
        """Append a review; it is on the disk when this returns.

        Raises:
            UserError: not a verdict, too long a note, or the disk fails.
        """
        if verdict not in VERDICTS:
            raise UserError(f"a verdict is one of {', '.join(VERDICTS)}")
        if len(note) > MAX_NOTE:
            raise UserError(f"a note has at most {MAX_NOTE} characters")
        review = Review(sample_id, verdict, note, datetime.now(UTC).isoformat(timespec="seconds"))
        line = json.dumps(asdict(review), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with self._lock:
            try:
                _append(self.path, line)
            except OSError as error:
                raise UserError(f"{self.path}: not saved: {error.strerror}") from error
            self._by_id[sample_id] = review
        return review


def _parse(line: bytes) -> Review | None:
    """A line as a review; None for a partial line of a killed process, or another line."""
    try:
        entry = json.loads(line)
        review = Review(entry["sample_id"], entry["verdict"], str(entry.get("note") or ""), str(entry.get("time", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return review if isinstance(review.sample_id, str) and review.verdict in VERDICTS else None


def _append(path: Path, line: bytes) -> None:
    """Append a line, on a new line even after a partial one, and sync."""
    with path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        written = 0
        while written < len(line):  # a disk that becomes full writes a part, and fails at the next write
            written += file.write(line[written:])
        os.fsync(file.fileno())
