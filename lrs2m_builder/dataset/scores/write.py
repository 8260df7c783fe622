"""Makes tables of scores, a shard at a time; killed at any moment, the same command continues.

An answer is in the journal of its shard as soon as it is there. The table of a shard appears complete, by rename, after
that of its claims, and takes over what an earlier table says of texts that are still the same.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.build.commit import Say
from lrs2m_builder.dataset.foreign import plain_rows, reading
from lrs2m_builder.dataset.scores.identity import texts_identity
from lrs2m_builder.dataset.scores.places import SCORES, ScoredFile, scored_files, the_home
from lrs2m_builder.dataset.scores.table import (
    KEYS,
    TEXTS_IDENTITY,
    RowScores,
    Scoring,
    claim_score_json,
    text_sha256,
)
from lrs2m_builder.dataset.tables import open_tables
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import discard_parts, finished_file
from lrs2m_builder.stores.lock import locked
from lrs2m_builder.stores.log import Log

_SETTINGS, _SHARD, _CLAIMS = b"lrs2m.scores", b"lrs2m.shard", b"lrs2m.claims"
_CAPTIONS = ("caption_short", "caption_long")


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A table of scores that this process writes.

    Attributes:
        settings: hash of what decides the scores.
        files: the shards of the data set, in their order.
        say: takes what a person should know, a line each.
    """

    scoring: Scoring
    settings: str
    files: tuple[ScoredFile, ...]
    say: Say

    def open_shard(self, file: ScoredFile) -> ScoreShard:
        """Work on a shard.

        Raises:
            UserError: the shard or the disk fails.
        """
        return ScoreShard(self, file)


@contextmanager
def score_table(path: Path, scoring: Scoring, say: Say) -> Iterator[ScoreTable]:
    """Hold the scores of a name for this process.

    Raises:
        UserError: no data, two rows of one sample_id, scores of this name that were made otherwise or of another data
            set, another process that writes them, or a disk that cannot be written.
    """
    found = scored_files(path)
    home = the_home(found)
    _check_ids(path)
    with locked(home / SCORES / scoring.name, scoring.kind):
        yield ScoreTable(scoring, claim_score_json(home, found, scoring), tuple(found), say)


def _check_ids(path: Path) -> None:
    tables = open_tables(path, ("sample_id", *_CAPTIONS))
    query = "SELECT sample_id, count(*) FROM records GROUP BY sample_id HAVING count(*) > 1 LIMIT 1"
    with reading(path):
        twice = tables.sql(query).fetchall()
    for sample_id, count in twice:
        raise UserError(f"{path}: {count} rows have the sample_id {sample_id!r}; scores need one of each")


class ScoreShard:
    """The scores of one shard; what was kept stays in the journal until `finish`.

    Attributes:
        file: the file of its records.
    """

    def __init__(self, table: ScoreTable, file: ScoredFile) -> None:
        self.file, self._scoring, self._settings = file, table.scoring, table.settings
        self._path, self._claims_path = file.scores(table.scoring.name), file.claims(table.scoring.name)
        discard_parts(self._path, self._claims_path)
        self._identity = texts_identity(
            file.path
        )  # before they are read: of a shard that changes meanwhile it is wrong
        self._texts = _read_texts(file.path)
        self._answers: dict[str, RowScores] = {}
        self._is_new = not self._take_over(table.say)
        self._log = Log(file.journal(table.scoring.name))
        self._take(answer for entry in self._log.entries for answer in _logged(entry, table.scoring))
        self._log.entries.clear()

    @property
    def num_rows(self) -> int:
        """How many records there are."""
        return len(self._texts)

    @property
    def unknown(self) -> list[int]:
        """Numbers of the records that have no answer about their current texts."""
        return [number for number, sample_id in enumerate(self._texts) if sample_id not in self._answers]

    @property
    def num_known(self) -> int:
        """How many records have an answer about their current texts."""
        return len(self._answers)

    def is_known(self, sample_id: str) -> bool:
        """Whether a record has an answer about its current texts."""
        return sample_id in self._answers

    def keep(self, answers: Sequence[RowScores]) -> None:
        """Keep answers; all or none of them if the process is killed meanwhile.

        Raises:
            UserError: the disk is full or fails.
        """
        self._log.append({"answers": [asdict(answer) for answer in answers]})
        self._take(answers)

    def finish(self) -> None:
        """Write the tables of the shard if there is something new; a record without an answer has a row of nulls.

        Raises:
            UserError: the disk is full or fails; the answers stay in the journal.
        """
        if self._is_new:
            footer = {_SETTINGS: self._settings, _SHARD: self.file.name, TEXTS_IDENTITY: self._identity}
            if self._scoring.claim_columns is not None:
                _write(self._claims_path, self._claim_rows(), self._scoring.claim_schema, footer)
                footer |= {_CLAIMS: _sha256(self._claims_path)}
            _write(self._path, self._rows(), self._scoring.schema, footer)
            self._is_new = False
        self._log.remove()

    def close(self) -> None:
        """Close the journal."""
        self._log.close()

    def __enter__(self) -> ScoreShard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _take(self, answers: Iterable[RowScores]) -> None:
        """Remember those about current texts."""
        for answer in answers:
            judged = answer.short is not None or answer.long is not None
            short, long = self._texts.get(answer.sample_id, ("", ""))
            if judged and answer.short in {None, short} and answer.long in {None, long}:
                self._answers[answer.sample_id] = answer
                self._is_new = True

    def _take_over(self, say: Say) -> bool:
        """Remember what an earlier table says; returns whether there is one of these records."""
        if not self._path.exists():
            return False
        try:
            rows = self._read(self._path, self._scoring.schema)
            claims = defaultdict(list)
            if self._scoring.claim_columns is not None:
                if _footer(self._path).get(_CLAIMS) != _sha256(self._claims_path):
                    raise ValueError("its claims are not those it was written with")
                for claim in self._read(self._claims_path, self._scoring.claim_schema):
                    claims[claim["sample_id"]].append(claim)
        except (OSError, ValueError, pa.ArrowException) as error:
            say(f"{self._path}: cannot be used ({one_line(error)}); it is made again")
            return False
        for row in rows:
            scores = {name: row[name] for name in self._scoring.columns}
            sample_id, short, long = (row[key] for key in KEYS)
            self._take([RowScores(sample_id, short, long, scores, claims[sample_id])])
        is_of_these = _footer(self._path).get(TEXTS_IDENTITY) == self._identity
        return is_of_these and [row["sample_id"] for row in rows] == list(self._texts)

    def _read(self, path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
        footer = _footer(path)
        if (footer.get(_SETTINGS), footer.get(_SHARD)) != (self._settings, self.file.name):
            raise ValueError("it is of other scores or of another shard")
        table = pq.read_table(path, page_checksum_verification=True)
        rows: list[dict[str, Any]] = table.cast(schema).to_pylist()
        return rows

    def _rows(self) -> list[dict[str, Any]]:
        nothing = RowScores("", None, None, {})
        found = ((sample_id, self._answers.get(sample_id, nothing)) for sample_id in self._texts)
        return [
            {**answer.scores, **dict(zip(KEYS, (sample_id, answer.short, answer.long), strict=True))}
            for sample_id, answer in found
        ]

    def _claim_rows(self) -> list[dict[str, Any]]:
        hashes = {name: dict(zip(_CAPTIONS, both, strict=True)) for name, both in self._texts.items()}
        return [
            {**claim, "sample_id": sample_id, "text_sha256": hashes[sample_id][claim["column"]]}
            for sample_id in self._texts
            if sample_id in self._answers
            for claim in self._answers[sample_id].claims
        ]


def _read_texts(file: Path) -> dict[str, tuple[str, str]]:
    """The hashes of the short and of the long text by sample_id, in the order of the shard."""
    found = {}
    with reading(file), pq.ParquetFile(file, page_checksum_verification=True) as shard:
        for batch in shard.iter_batches(columns=["sample_id", *_CAPTIONS]):
            for row in plain_rows(batch, file):
                found[row["sample_id"]] = (text_sha256(row["caption_short"]), text_sha256(row["caption_long"]))
    return found


def _logged(entry: Mapping[str, Any], scoring: Scoring) -> Iterator[RowScores]:
    """The answers of a line of the journal; none of one that is damaged or holds what the tables cannot."""
    try:
        answers = [RowScores(**answer) for answer in entry.get("answers", ())]
        pa.Table.from_pylist([dict(answer.scores) for answer in answers], scoring.schema)
        pa.Table.from_pylist([dict(claim) for answer in answers for claim in answer.claims], scoring.claim_schema)
    except (TypeError, ValueError, AttributeError, OverflowError, pa.ArrowException):
        return
    yield from answers


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema, footer: Mapping[bytes, str]) -> None:
    table = pa.Table.from_pylist(rows, schema.with_metadata(footer))
    with finished_file(path) as part:
        pq.write_table(table, part, compression="zstd", write_page_checksum=True)


def _footer(path: Path) -> dict[bytes, str]:
    metadata = pq.read_metadata(path).metadata or {}
    return {
        key: value.decode() for key, value in metadata.items() if key in {_SETTINGS, _SHARD, _CLAIMS, TEXTS_IDENTITY}
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
