"""What a table of scores holds: its columns, and `score.json`, which says what decided them and what they are of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.build.settings import BUILD_JSON, settings_hash, versions
from lrs2m_builder.build.stored_rows import RECORD_SCHEMA
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.scores.places import SCORE_JSON, SCORES, ScoredFile, check_name, score_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json, write_json
from lrs2m_builder.stores.changes import differences

KEYS = ("sample_id", "text_short_sha256", "text_long_sha256")
TEXTS_IDENTITY = b"lrs2m.texts"  # of the shard whose rows a table has, in the table's footer (`identity.py`)
# Every claim has these, whatever else its maker adds; the writer fills in the id and the hash.
CLAIM_FIELDS = {
    "sample_id": pa.string(),
    "column": pa.string(),  # caption_short or caption_long
    "text_sha256": pa.string(),
    "start": pa.int32(),  # characters of the text
    "end": pa.int32(),
    "kind": pa.string(),
    "words": pa.string(),  # what was asked
    "score": pa.float32(),  # yes / (yes + no) as the model said it; null without an answer
    "p": pa.float32(),  # the same, calibrated; null without a calibration
    "is_false": pa.bool_(),  # below its threshold; null without an answer
}
_COLUMN = re.compile(r"[a-z][a-z0-9_]*")
_KINDS = {pa.float32(), pa.float64(), pa.int32(), pa.int64(), pa.bool_(), pa.string()}


@dataclass(frozen=True, slots=True)
class Scoring:
    """A kind of scores that is about to be made.

    Attributes:
        name: of the table; SQL knows its columns as `<name>_<column>`.
        kind: what makes it: "clip", "verify".
        settings: what decides the scores; a rerun must give the same.
        columns: name and type; one that begins with "short_" or "long_" judges that text, any other one all that were
            judged.
        claim_columns: the columns of claims beside CLAIM_FIELDS; None without claims.
        notes: recorded in score.json, not compared.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    columns: Mapping[str, pa.DataType]
    claim_columns: Mapping[str, pa.DataType] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises:
        UserError: the name is not one.
        """
        check_name(self.name)
        for column, kind in self.columns.items():
            assert is_column(column) and kind in _KINDS, (column, kind)

    @property
    def schema(self) -> pa.Schema:
        """Of the table of scores."""
        return pa.schema([*((key, pa.string()) for key in KEYS), *self.columns.items()])

    @property
    def claim_schema(self) -> pa.Schema:
        """Of the table of claims."""
        return pa.schema([*(CLAIM_FIELDS | dict(self.claim_columns or {})).items()])


@dataclass(frozen=True, slots=True)
class RowScores:
    """The scores of one record.

    Attributes:
        short, long: sha256 of the texts that were judged; None for one that was not.
        scores: by column; what is missing is null.
        claims: by column, in their order.
    """

    sample_id: str
    short: str | None
    long: str | None
    scores: Mapping[str, Any]
    claims: Sequence[Mapping[str, Any]] = ()


def text_sha256(text: str | None) -> str:
    """The hash by which a score knows the text it judged; no text is an empty one."""
    return hashlib.sha256((text or "").encode()).hexdigest()


def is_column(name: str) -> bool:
    """Whether a column of scores may have this name."""
    return bool(_COLUMN.fullmatch(name)) and name not in KEYS


def judged_text(column: str) -> str:
    """The text that a column judges: "short", "long", or "" for what the row says was judged."""
    first = column.split("_")[0]
    return first if first in {"short", "long"} else ""


def claim_score_json(home: Path, found: Sequence[ScoredFile], scoring: Scoring) -> str:
    """Write score.json, or check that the one there says the same; returns the hash by which its tables are known.

    Raises:
        UserError: scores of this name were made otherwise or of another data set, or one of its columns has a name
            that means another one already.
    """
    path = home / SCORES / scoring.name / SCORE_JSON
    claim = {
        "kind": scoring.kind,
        "settings": dict(scoring.settings),
        "columns": {name: str(kind) for name, kind in scoring.columns.items()},
        "data": _identity(home, found),
    }
    if path.exists():
        earlier = {key: value for key, value in read_json(path).items() if key in claim}
        if changes := list(differences(earlier, claim)):
            raise UserError(
                f"{path}: the scores {scoring.name!r} were made otherwise: {'; '.join(changes)}. "
                "Give these again, or another --name"
            )
    else:
        _check_columns(home, scoring)
        write_json(path, claim | {"notes": dict(scoring.notes), "versions": versions()})
    return settings_hash(claim)


def _identity(home: Path, found: Sequence[ScoredFile]) -> dict[str, str]:
    """What a data set is known by: the settings of its build, or else the names and lengths of its files."""
    if (home / BUILD_JSON).is_file():
        return {"build": settings_hash(read_json(home / BUILD_JSON).get("settings") or {})}
    rows = {}
    for file in found:
        with reading(file.path):
            rows[file.name] = pq.read_metadata(file.path).num_rows
    return {"files": settings_hash(rows)}


def _check_columns(home: Path, scoring: Scoring) -> None:
    taken = dict.fromkeys(RECORD_SCHEMA.names, "a column of the data")
    for name in score_names(home):
        columns = read_json(home / SCORES / name / SCORE_JSON).get("columns") or {}
        taken |= dict.fromkeys((f"{name}_{column}" for column in columns), f"a column of the scores {name!r}")
    for column in scoring.columns:
        if (full := f"{scoring.name}_{column}") in taken:
            raise UserError(f"--name {scoring.name}: {full} is {taken[full]} already; give another --name")
