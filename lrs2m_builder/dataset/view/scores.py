"""The scores of the rows that are looked at, and the claims over their texts."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.scores.columns import ScoreColumn, score_columns
from lrs2m_builder.dataset.scores.join import by_home, join_scores
from lrs2m_builder.dataset.scores.places import scored_files
from lrs2m_builder.dataset.scores.table import judged_text, text_sha256
from lrs2m_builder.dataset.view.index import Index
from lrs2m_builder.dataset.view.marks import Piece

_TEXTS = ("short", "long")


class ScoreReader:
    """Reads the scores of a data set; safe for several threads.

    Attributes:
        numbers: names of the columns that rows are filtered and sorted by.
    """

    def __init__(self, paths: Sequence[Path], index: Index) -> None:
        """Find what scores data sets have; none is read yet.

        Raises:
            UserError: a score.json that cannot be read.
        """
        self._path, self._index = paths[0], index
        self._files = {str(file.path): file for path in paths for file in scored_files(path)}
        self._columns = score_columns(self._files.values())
        self.numbers = [name for name, column in self._columns.items() if column.is_number]
        self._values: dict[str, np.ndarray] = {}
        self._lock = threading.Lock()

    def values(self, name: str) -> np.ndarray:
        """A column of numbers by number of the row; not-a-number without a score. All of its table are kept.

        Raises:
            UserError: a table of scores is torn.
        """
        with self._lock:
            if name not in self._values:
                table = self._columns[name].table
                self._read_table([self._columns[each] for each in self.numbers if self._columns[each].table == table])
            return self._values[name]

    def _read_table(self, columns: Sequence[ScoreColumn]) -> None:
        cursor = self._index.connection.cursor()
        join_scores(cursor, "records", by_home(list(self._files.values())), columns)
        names = ", ".join(f"{column.name}::FLOAT AS {column.name}" for column in columns)
        query = f"""SELECT (first + row)::INTEGER AS number, {names} FROM scored
            JOIN records_files AS place ON place.file = scored.file::records_file"""
        with reading(self._path):
            found = cast("dict[str, Any]", cursor.execute(query).fetchnumpy())
        for column in columns:
            self._values[column.name] = np.full(self._index.num_rows, np.nan, np.float32)
            values: Any = found[column.name]
            self._values[column.name][found["number"]] = np.ma.filled(values.astype(np.float32), np.nan)

    def describe(self, file: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """The scores of a row and its claims, with its texts in pieces of them.

        Raises:
            UserError: a table of scores is torn.
        """
        place = self._files[file]
        hashes = {text: text_sha256(row.get(f"caption_{text}")) for text in _TEXTS}
        scores: list[dict[str, Any]] = []
        claims: list[dict[str, Any]] = []
        for table in dict.fromkeys(column.table for column in self._columns.values()):
            for found in _read(place.scores(table), row["sample_id"]):
                columns = [column for column in self._columns.values() if column.table == table]
                scores += _shown(found, columns, hashes)
            claims = claims or _read(place.claims(table), row["sample_id"])
        claims = claims or [_of_build(claim, row) for claim in row.get("claims") or ()]
        texts = {f"caption_{text}": str(row.get(f"caption_{text}") or "") for text in _TEXTS}
        return {
            "scores": scores,
            "claims": {
                name: claimed(text, current)
                for name, text in texts.items()
                if (current := [c for c in claims if c["column"] == name and c["text_sha256"] == text_sha256(text)])
            },
        }


def _read(path: Path, sample_id: str) -> list[dict[str, Any]]:
    """The rows of a table that are of a record."""
    if not path.is_file():
        return []
    with reading(path):
        of_record = pc.field("sample_id") == pa.scalar(sample_id)
        rows: list[dict[str, Any]] = pq.read_table(path, filters=of_record).to_pylist()
    return rows


def _of_build(claim: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """A claim that the build itself asked about (column `claims`), as a table of scores holds it."""
    text = row.get(str(claim["column"]))
    return {**claim, "score": claim["p"], "is_false": None, "text_sha256": text_sha256(text)}


def _shown(found: Mapping[str, Any], columns: Sequence[ScoreColumn], hashes: Mapping[str, str]) -> list[dict[str, Any]]:
    """The scores of a row that has some; one of another text says so and has no value."""
    shown = []
    for column in columns:
        texts = [judged_text(column.column)] if judged_text(column.column) else list(_TEXTS)
        judged = {text: found[f"text_{text}_sha256"] for text in texts if found.get(f"text_{text}_sha256")}
        if judged and found.get(column.column) is not None:
            is_older = any(hashes[text] != sha256 for text, sha256 in judged.items())
            shown.append(
                {"name": column.name, "value": None if is_older else found[column.column], "is_older": is_older}
            )
    return shown


def claimed(text: str, claims: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A text in pieces, each with the number of its claim, and the claims with how sure the model is of each.

    Where several claims say the same words, the one that is least sure has them.
    """
    sure = [claim["score"] if claim["p"] is None else claim["p"] for claim in claims]
    owner: list[int | None] = [None] * len(text)
    for number in sorted(range(len(claims)), key=lambda n: 2.0 if sure[n] is None else sure[n], reverse=True):
        start, end = max(0, claims[number]["start"] or 0), min(len(text), claims[number]["end"] or 0)
        owner[start:end] = [number] * max(0, end - start)
    pieces: list[Piece] = []
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or owner[end] != owner[start]:
            pieces.append((text[start:end], owner[start]))
            start = end
    return {
        "pieces": pieces,
        "claims": [
            {"kind": claim["kind"], "words": claim["words"], "p": p, "is_false": claim["is_false"]}
            for claim, p in zip(claims, sure, strict=True)
        ],
    }
