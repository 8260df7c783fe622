"""The charts: how many rows have each value of a column, and how many of them are selected; a bar is a filter."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lrs2m_builder.dataset.view.index import Index
from lrs2m_builder.dataset.view.scores import ScoreReader

MAX_BINS = 24
MAX_VALUES = 12
_RANGES = {"long": "num_tokens_long", "short": "num_tokens_short"}
_FACETS = {"warnings": "warning", "reason": "reason", "recipe": "recipe", "subset": "subset", "model": "model"}
_ALWAYS = {"warnings", "reason"}  # charts of one value; of the others it would say nothing


class ChartMaker:
    """Counts the rows of an index for charts; what it counts is read once. Safe for several threads."""

    def __init__(self, index: Index, scores: ScoreReader | None = None) -> None:
        self._index, self._scores = index, scores
        self._lock = threading.Lock()
        self._columns: dict[str, np.ndarray] = {}

    def charts(self, numbers: np.ndarray) -> list[dict[str, Any]]:
        """The charts of a selection of rows: their names are those of filters.

        Raises:
            UserError: a table of scores is torn.
        """
        with self._lock:
            if not self._columns:
                self._columns = self._read()
        made = []
        for name, column in _RANGES.items():
            if self._index.largest.get(column):
                made.append(_histogram(name, self._columns[column], self._columns["number"], numbers, whole=True))
        for column, name in _FACETS.items():
            counts = self._index.facets.get(column, {})
            if len([value for value in counts if value]) > (column not in _ALWAYS):
                made.append({"name": name, "values": self._values(column, counts, numbers)})
        for score in self._scores.numbers if self._scores else ():
            values = self._scores.values(score)  # type: ignore[union-attr]
            made.append({**_histogram("score", values, self._columns["number"], numbers, whole=False), "score": score})
        return [chart for chart in made if chart.get("bins") or chart.get("values")]

    def _read(self) -> dict[str, np.ndarray]:
        """The columns by number of the row, and the numbers of the rows that are shown."""
        kind, facets = self._index.kind, [name for name in self._index.facets if name in _FACETS]
        wanted = [*kind.numbers, *(f"enum_code({name})::INTEGER AS {name}" for name in facets)]
        query = f"SELECT {', '.join(['number', *wanted])} FROM {kind.name}_index ORDER BY number"
        if not self._index.num_rows:
            return {name: np.empty(0, np.int32) for name in ("number", *kind.numbers, *facets)}
        found = self._index.connection.cursor().execute(query).fetchnumpy()
        number = np.asarray(found["number"], np.int32)
        columns = {"number": number}
        for name in (*kind.numbers, *facets):
            columns[name] = np.zeros(self._index.num_rows, np.int32)
            columns[name][number] = np.asarray(found[name], np.int32)
        return columns

    def _values(self, column: str, counts: Mapping[str, int], numbers: np.ndarray) -> list[dict[str, Any]]:
        """The most frequent values of a column; a row with two warnings counts for both."""
        by_code = np.bincount(self._columns[column][numbers])
        names = self._index.combinations if column == "warnings" else tuple(counts)
        kept: dict[str, int] = {}
        for value, count in zip(names, by_code.tolist(), strict=False):
            for each in value.split() if column == "warnings" else (value,):
                kept[each] = kept.get(each, 0) + count
        shown = [value for value in counts if value][:MAX_VALUES]
        return [{"value": value, "all": counts[value], "kept": kept.get(value, 0)} for value in shown]


def _histogram(name: str, values: np.ndarray, shown: np.ndarray, kept: np.ndarray, *, whole: bool) -> dict[str, Any]:
    """Bins of equal width over all values, with the number of rows that are shown and of those that are kept."""
    found = values[shown]
    found = found[np.isfinite(found)]
    if not len(found):
        return {"name": name, "bins": []}
    edges = _edges(float(found.min()), float(found.max()), whole=whole)
    selected = values[kept]
    counts = [np.histogram(each, edges)[0].tolist() for each in (found, selected[np.isfinite(selected)])]
    highs = [edge - whole for edge in edges[1:]]
    bins = [
        {"min": start, "max": end, "all": every, "kept": some}
        for start, end, every, some in zip(edges, highs, *counts, strict=False)
    ]
    return {"name": name, "bins": bins}


def _edges(least: float, most: float, *, whole: bool) -> Sequence[float]:
    if whole:
        num_values = max(1, math.ceil((most - least + 1) / MAX_BINS))
        return list(range(int(least), int(most) + num_values + 1, num_values))
    if least == most:
        return [least, most]
    # Few digits, as a person reads them, and as float32 has them; outwards at both ends.
    step: float = 10.0 ** math.floor(math.log10((most - least) / MAX_BINS))
    width = next(step * times for times in (1, 2, 2.5, 5, 10) if step * times * MAX_BINS >= most - least)
    first, last = math.floor(least / width), math.ceil(most / width)
    return [round(number * width, 9) for number in range(first, last + 1)]
