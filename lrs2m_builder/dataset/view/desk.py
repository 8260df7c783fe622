"""The reviewer's desk: verdicts and corrected texts of the records of one or more data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lrs2m_builder.dataset.appended import check_reviewer
from lrs2m_builder.dataset.corrected import corrected_row, warnings_of
from lrs2m_builder.dataset.reviews import COLUMNS, Correction, Review, Reviews
from lrs2m_builder.dataset.selection import REVIEWS
from lrs2m_builder.dataset.view.index import Index
from lrs2m_builder.dataset.view.rows import RowReader
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import CaptionColumn


class Desk:
    """The reviews of each data set, in its own folder; safe for several threads.

    Attributes:
        reviews: by the folder of the data set.
        reviewer: who reviews; "" for nobody's name.
    """

    def __init__(self, paths: Sequence[Path], index: Index, reader: RowReader, reviewer: str) -> None:
        """Read the reviews.

        Raises:
            UserError: they cannot be read, or the name cannot be one.
        """
        check_reviewer(reviewer)
        self.reviewer = reviewer
        self.reviews = {path: Reviews(path / REVIEWS) for path in map(_folder, paths)}
        self._index, self._reader = index, reader

    def about(self) -> dict[str, Any]:
        """Who reviews, who did, and where that is kept."""
        names = {name for reviews in self.reviews.values() for name in reviews.reviewers()}
        return {
            "reviews": self.counts(),
            "reviews_path": ", ".join(str(reviews.path) for reviews in self.reviews.values()),
            "reviewer": self.reviewer,
            "reviewers": sorted(names),
        }

    def counts(self) -> dict[str, int]:
        """How many samples have each verdict, and how many a corrected text."""
        counts = {"accept": 0, "flag": 0, "corrected": 0}
        for reviews in self.reviews.values():
            for verdict, ids in reviews.by_verdict().items():
                counts[verdict] += len(ids)
            counts["corrected"] += len(reviews.corrected())
        return counts

    def numbers(self, verdict: str, reviewer: str) -> np.ndarray:
        """Numbers of the records with a verdict ("" for any) of a reviewer ("" for any)."""
        found = [np.empty(0, np.int32)]
        for root, reviews in self.reviews.items():
            files = {file for file in self._index.files if self.root(file) == root}
            found.append(self._index.numbers_of(_ids(reviews, verdict, reviewer), files))
        return np.concatenate(found)

    def of_file(self, file: str) -> Reviews:
        """The reviews of the data set that holds a file."""
        return self.reviews[self.root(file)]

    def root(self, file: str) -> Path:
        """The folder of the data set that holds a file."""
        if len(self.reviews) == 1:
            return next(iter(self.reviews))
        return next(root for root in self.reviews if root.resolve() in Path(file).resolve().parents)

    def review(self, number: int, verdict: str, note: str) -> Review:
        """Save a verdict on a record.

        Raises:
            UserError: no such row, not a verdict, or it cannot be saved.
        """
        row, reviews = self._stored(number)
        return reviews.save(str(row["sample_id"]), verdict, note, self.reviewer)

    def correct(self, number: int, column: CaptionColumn, before: str, after: str) -> Correction:
        """Save a corrected text of a record, with what the checks find in it.

        Args:
            before: the text that the person saw.

        Raises:
            ConflictError: the text is not `before` any more.
            UserError: no such row, no text, or it cannot be saved.
        """
        warnings = self.check(number, column, after)
        row, reviews = self._stored(number)
        return reviews.correct(
            str(row["sample_id"]),
            column,
            str(row.get(column) or ""),
            before=before,
            after=" ".join(after.split()),
            warnings=warnings,
            reviewer=self.reviewer,
        )

    def check(self, number: int, column: CaptionColumn, text: str) -> list[str]:
        """What the checks find in a record's texts if one of them is this.

        Raises:
            UserError: no such row, or no such column.
        """
        if column not in COLUMNS:
            raise UserError(f"no text {column!r}; known: {', '.join(COLUMNS)}")
        row, reviews = self._stored(number)
        current = corrected_row(row, reviews) or row
        texts = {name: str(current.get(name) or "") for name in COLUMNS}
        return warnings_of({"subset": "", **row}, texts | {column: " ".join(text.split())})

    def _stored(self, number: int) -> tuple[dict[str, Any], Reviews]:
        """A record as it is stored, and the reviews of its data set."""
        return self._reader.row(number), self.of_file(self._index.place(number)[0])


def history(reviews: Reviews, sample_id: str) -> list[dict[str, Any]]:
    """What was said of a sample, the oldest first, as the page shows it."""
    return [
        {"kind": "verdict" if isinstance(entry, Review) else "correction", **asdict(entry)}
        for entry in reviews.history(sample_id)
    ]


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _ids(reviews: Reviews, verdict: str, reviewer: str) -> set[str]:
    by_verdict = reviews.by_verdict()
    if verdict == "corrected":
        ids = set(reviews.corrected())
    elif verdict == "disputed":
        ids = set(reviews.disputed())
    elif verdict:
        ids = set(by_verdict[verdict])
    else:
        ids = {each for some in by_verdict.values() for each in some} | set(reviews.corrected())
    return ids & set(reviews.reviewed_by(reviewer)) if reviewer else ids
