"""What the page is told: the data set in figures, a selection of rows, a page of it, one row, one image."""

from __future__ import annotations

import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lrs2m_builder.dataset import selection as selecting
from lrs2m_builder.dataset.corrected import corrected_row
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.reviews import COLUMNS as TEXTS
from lrs2m_builder.dataset.reviews import corrected_texts
from lrs2m_builder.dataset.view.charts import ChartMaker
from lrs2m_builder.dataset.view.desk import Desk, history
from lrs2m_builder.dataset.view.index import Index, open_indexes
from lrs2m_builder.dataset.view.marks import mark, named
from lrs2m_builder.dataset.view.places import COLUMNS, PlaceReader
from lrs2m_builder.dataset.view.rejected import SHOWN, SampleReader
from lrs2m_builder.dataset.view.rows import THUMBNAIL, RowReader, picture
from lrs2m_builder.dataset.view.scores import ScoreReader
from lrs2m_builder.dataset.view.select import Filters, Selection, select
from lrs2m_builder.dataset.view.twins import TwinReader
from lrs2m_builder.errors import UserError

MAX_PAGE = 100
MAX_SELECTIONS = 16


class DataSet:
    """One or more data sets that are looked through; safe for several threads.

    Attributes:
        desk: what was said of the records, and where it is saved.
        version: another one each time a data set is opened, so that no browser shows another one's images.
    """

    def __init__(
        self,
        path: Path,
        selection: selecting.Selection | None = None,
        *,
        more: Sequence[Path] = (),
        reviewer: str = "",
        data_dir: Path | None = None,
    ) -> None:
        """Open data sets.

        Args:
            selection: the records that may be looked at; by default all.
            more: data sets whose rows come after those of the first one.
            reviewer: who reviews; "" for nobody's name.
            data_dir: the folder of the images of rejected samples, if it is not where the builds found it.

        Raises:
            UserError: no Parquet files, a broken one, a missing column, or reviews that cannot be read.
        """
        paths = [path, *more]
        self.path, self.paths = path, paths
        self.version = secrets.token_hex(4)
        self._indexes = open_indexes(paths, selection)
        self._scores = ScoreReader(paths, self._indexes["records"])
        self._places = PlaceReader(path, self._indexes["records"])
        self._twins = TwinReader(path, self._indexes["records"])
        self._samples = SampleReader(data_dir)
        self._charts = {
            name: ChartMaker(index, self._scores if name == "records" else None)
            for name, index in self._indexes.items()
        }
        self._readers = {name: RowReader(index) for name, index in self._indexes.items()}
        self.desk = Desk(paths, self._indexes["records"], self._readers["records"], reviewer)
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
            "path": " + ".join(map(str, self.paths)),
            "version": self.version,
            "kinds": kinds,
            **self.desk.about(),
            "scores": self._scores.numbers,
            "places": self._places.num_rows,
        }

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

    def charts(self, name: str) -> list[dict[str, Any]] | None:
        """The charts of a selection; None where it is not kept any more and must be asked for again.

        Raises:
            UserError: a table of scores is torn.
        """
        selection = self._kept(name)
        return None if selection is None else self._charts[selection.index.kind.name].charts(selection.numbers)

    def rows(self, name: str, start: int, count: int, *, brief: bool = False) -> dict[str, Any] | None:
        """A page of a selection; None where it is not kept any more and must be asked for again.

        Args:
            brief: of each row what a gallery shows.

        Raises:
            UserError: a file cannot be read.
        """
        selection = self._kept(name)
        if selection is None:
            return None
        numbers = selection.numbers[start : start + min(count, MAX_PAGE)]
        kind = selection.index.kind.name
        read = self._brief if brief else self.row
        return {"start": start, "rows": [read(kind, int(number)) for number in numbers]}

    def twins(self, number: int) -> list[dict[str, Any]]:
        """The other rows with the image of a record, each with its texts.

        Raises:
            UserError: there is no such row, or a file cannot be read.
        """
        self._indexes["records"].place(number)
        return [self._brief("records", twin) for twin in self._twins.twins(number)]

    def image(self, number: int, *, small: bool, kind: str = "records") -> tuple[str, bytes] | None:
        """The media type and bytes of a row's image, or of a thumbnail; None if there is none to show.

        Raises:
            UserError: there is no such row, or its file cannot be read.
        """
        if kind == "rejected":
            row = self._readers[kind].row(number)
            file = self._indexes[kind].place(number)[0]
            return self._samples.image(file, row["sample_id"], size=THUMBNAIL if small else SHOWN)
        data = self._readers["records"].image(number)
        return picture(data, small=small) if data else None

    def row(self, kind: str, number: int) -> dict[str, Any]:
        """A row as the page draws it: its texts in marked pieces, the other columns as they are.

        Raises:
            UserError: there is no such row, or its file cannot be read.
        """
        index = self._index(kind)
        row = self._readers[kind].row(number)
        file, at = index.place(number)
        root = self.desk.root(file)
        row["place"] = f"{os.path.relpath(file, root if len(self.paths) == 1 else root.parent)}, row {at + 1}"
        if kind == "rejected":
            return {"number": number, **row, **self._samples.describe(file, row["sample_id"])}
        reviews = self.desk.reviews[root]
        corrections = corrected_texts(reviews, row)
        stored = {name: str(row.get(name) or "") for name in TEXTS}
        row = corrected_row(row, reviews) or row
        anchors = row.pop("anchors", None) or []
        classes = [str(anchor.get("class")) for anchor in anchors]
        texts = {name: str(row.pop(name, None) or "") for name in TEXTS}
        covered = {name: named(text, classes) for name, text in texts.items()}
        review = reviews.get(row["sample_id"])
        scores = self._scores.describe(file, row | texts)
        return {
            "number": number,
            **row,
            **{name: mark(text, classes) for name, text in texts.items()},
            "anchors": [
                {"class": name, "count": anchors[i].get("count"), **{text: covered[text][i] for text in TEXTS}}
                for i, name in enumerate(classes)
            ],
            "review": asdict(review) if review else None,
            "corrected": {name: asdict(each) | {"stored": stored[name]} for name, each in corrections.items()},
            "history": history(reviews, row["sample_id"]),
            **scores,
        }

    def _brief(self, kind: str, number: int) -> dict[str, Any]:
        """What a gallery shows of a row, and a list of the texts of one image."""
        row = self._readers[kind].row(number)
        if kind == "rejected":
            shown = {name: row[name] for name in ("sample_id", "reason", "detail")}
            known = self._samples.describe(self._indexes[kind].place(number)[0], row["sample_id"])
            return {"number": number, "is_brief": True, **shown, "has_image": known["has_image"]}
        reviews = self.desk.of_file(self._indexes[kind].place(number)[0])
        review = reviews.get(row["sample_id"])
        row = corrected_row(row, reviews) or row
        names = ("sample_id", "subset", "recipe", "model", *TEXTS, "num_tokens_short", "num_tokens_long")
        return {
            "number": number,
            "is_brief": True,
            **{name: row.get(name) for name in names},
            "review": asdict(review) if review else None,
        }

    def _select(self, kind: str, values: Mapping[str, str]) -> Selection:
        with reading(self.path):
            filters = Filters.parse(values, self._scores.numbers)
            return select(self._index(kind), filters, self.desk.numbers, self._column)

    def _column(self, name: str) -> np.ndarray:
        """A column that rows are filtered and sorted by, beside those of the index."""
        return self._places.values(name) if name in COLUMNS else self._scores.values(name)

    def _kept(self, name: str) -> Selection | None:
        with self._lock:
            selection = self._selections.get(name)
            if selection is not None:
                self._selections.move_to_end(name)
            return selection

    def _index(self, kind: str) -> Index:
        if kind not in self._indexes:
            raise UserError(f"no kind of rows {kind!r}; known: {', '.join(self._indexes)}")
        return self._indexes[kind]
