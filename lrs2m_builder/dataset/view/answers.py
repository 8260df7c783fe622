"""What the page is told: the data set in figures, a selection of rows, a page of it, one image."""

from __future__ import annotations

import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lrs2m_builder.dataset import selection as selecting
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.reviews import Review, Reviews
from lrs2m_builder.dataset.view.index import Index, open_indexes
from lrs2m_builder.dataset.view.marks import mark, named
from lrs2m_builder.dataset.view.places import COLUMNS, PlaceReader
from lrs2m_builder.dataset.view.rows import RowReader, picture
from lrs2m_builder.dataset.view.scores import ScoreReader
from lrs2m_builder.dataset.view.select import Filters, Selection, select
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import CaptionColumn

MAX_PAGE = 100
MAX_SELECTIONS = 16
_CAPTIONS: tuple[CaptionColumn, ...] = ("caption_short", "caption_long")


class DataSet:
    """A data set that is looked through; safe for several threads.

    Attributes:
        reviews: what was said of its records.
        version: another one each time a data set is opened, so that no browser shows another one's images.
    """

    def __init__(self, path: Path, selection: selecting.Selection | None = None) -> None:
        """Open a data set.

        Args:
            selection: the records that may be looked at; by default all.

        Raises:
            UserError: no Parquet files, a broken one, a missing column, or reviews that cannot be read.
        """
        self.path = path
        self.version = secrets.token_hex(4)
        self.reviews = Reviews((path if path.is_dir() else path.parent) / "reviews.jsonl")
        self._indexes = open_indexes(path, selection)
        self._scores = ScoreReader(path, self._indexes["records"])
        self._places = PlaceReader(path, self._indexes["records"])
        self._readers = {name: RowReader(index) for name, index in self._indexes.items()}
        self._selections: OrderedDict[str, Selection] = OrderedDict()
        self._lock = threading.Lock()

    def num_rows(self, kind: str) -> int:
        """How many records or rejected samples there are."""
        return self._index(kind).num_shown

    def about(self) -> dict[str, Any]:
        """The data set in figures, and the values that may be asked for."""
        kinds = {
            name: {"rows": index.num_shown, "facets": index.facets, "largest": index.largest}
            for name, index in self._indexes.items()
        }
        return {
            "path": str(self.path),
            "version": self.version,
            "kinds": kinds,
            "reviews": self.counts(),
            "reviews_path": str(self.reviews.path),
            "scores": self._scores.numbers,
            "places": self._places.num_rows,
        }

    def counts(self) -> dict[str, int]:
        """How many samples have each verdict."""
        return {verdict: len(ids) for verdict, ids in self.reviews.by_verdict().items()}

    def select(self, kind: str, values: Mapping[str, str]) -> dict[str, Any]:
        """Find rows and keep their numbers for `rows`: pages stay as they are while rows are reviewed.

        Raises:
            UserError: an unknown filter or a value that it cannot have, or a file that broke.
        """
        selection = self._select(kind, values)
        name = secrets.token_hex(8)
        with self._lock:
            self._selections[name] = selection
            if len(self._selections) > MAX_SELECTIONS:
                self._selections.popitem(last=False)
        return {
            "selection": name,
            "total": len(selection.numbers),
            "seconds": round(selection.seconds, 3),
            "searched": round(selection.searched, 4),
        }

    def points(self, values: Mapping[str, str]) -> bytes:
        """Longitudes and latitudes of the records that filters select, whatever the rectangle among them.

        Raises:
            UserError: as `select`.
        """
        asked = {name: value for name, value in values.items() if name not in {"box", "order", "descending"}}
        return self._places.points(self._select("records", asked).numbers)

    def _select(self, kind: str, values: Mapping[str, str]) -> Selection:
        with reading(self.path):
            filters = Filters.parse(values, self._scores.numbers)
            return select(self._index(kind), filters, self.reviews.by_verdict(), self._column)

    def _column(self, name: str) -> np.ndarray:
        """A column that rows are filtered and sorted by, beside those of the index."""
        return self._places.values(name) if name in COLUMNS else self._scores.values(name)

    def rows(self, name: str, start: int, count: int) -> dict[str, Any] | None:
        """A page of a selection; None where it is not kept any more and must be asked for again.

        Raises:
            UserError: a file cannot be read.
        """
        with self._lock:
            selection = self._selections.get(name)
            if selection is None:
                return None
            self._selections.move_to_end(name)
        numbers = selection.numbers[start : start + min(count, MAX_PAGE)]
        kind = selection.index.kind.name
        return {"start": start, "rows": [self._row(kind, int(number)) for number in numbers]}

    def image(self, number: int, *, small: bool) -> tuple[str, bytes] | None:
        """The media type and bytes of a record's image, or of a thumbnail; None if there is none to show.

        Raises:
            UserError: there is no such row, or its file cannot be read.
        """
        data = self._readers["records"].image(number)
        return picture(data, small=small) if data else None

    def review(self, number: int, verdict: str, note: str) -> Review:
        """Save a verdict on a record.

        Raises:
            UserError: no such row, not a verdict, or it cannot be saved.
        """
        return self.reviews.save(str(self._readers["records"].row(number)["sample_id"]), verdict, note)

    def _index(self, kind: str) -> Index:
        if kind not in self._indexes:
            raise UserError(f"no kind of rows {kind!r}; known: {', '.join(self._indexes)}")
        return self._indexes[kind]

    def _row(self, kind: str, number: int) -> dict[str, Any]:
        """A row as the page draws it: its texts in marked pieces, the other columns as they are."""
        row = self._readers[kind].row(number)
        file, at = self._indexes[kind].place(number)
        row["place"] = f"{os.path.relpath(file, self.path if self.path.is_dir() else self.path.parent)}, row {at + 1}"
        if kind == "rejected":
            return {"number": number, **row}
        anchors = row.pop("anchors", None) or []
        classes = [str(anchor.get("class")) for anchor in anchors]
        texts = {name: str(row.pop(name, None) or "") for name in _CAPTIONS}
        covered = {name: named(text, classes) for name, text in texts.items()}
        review = self.reviews.get(row["sample_id"])
        scores = self._scores.describe(file, row | texts)
        return {
            "number": number,
            **row,
            **{name: mark(text, classes) for name, text in texts.items()},
            "anchors": [
                {"class": name, "count": anchors[i].get("count"), **{text: covered[text][i] for text in _CAPTIONS}}
                for i, name in enumerate(classes)
            ],
            "review": asdict(review) if review else None,
            **scores,
        }
