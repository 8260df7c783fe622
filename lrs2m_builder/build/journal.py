"""The journals of a shard in progress: one line per answer, so that no request is sent twice.

    journal/<subset>/train-00000/0001-<writer>.jsonl    a file for each writer, that nobody else writes

A damaged line is dropped (see `stores/log.py`), and its answer is requested again.

Journals also find the sample that kills an engine: they count the engine's deaths while it answered the shard. After
three its samples are asked one by one, each with a line before it; the sample that was asked alone when the engine
died again is asked no more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from lrs2m_builder.engines._base import EngineDiedError
from lrs2m_builder.exchange import Attempt, JudgedClaim
from lrs2m_builder.stores._base import Store, file_digest, writer_name
from lrs2m_builder.stores.log import Log, parse_lines
from lrs2m_builder.stores.scratch import abandoned

MAX_DEATHS = 3  # of an engine on a shard, before its samples are asked one by one
PIECE = 500  # answers, and
PUBLISH_EVERY_S = 30.0  # until they are published in an object store
_PASSED = "passes"  # the key of a line that marks a finished pass,
_DIED = "died"  # of one for a death of the engine,
_ALONE, _DEATHS = "alone", "deaths"  # and of one for a sample asked alone: how often the engine died, if it dies now
_IS_KILLER = 2  # deaths while a sample was asked alone; one may be the process's own, of another cause
_SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class _Alone:
    """What is known of a sample that was asked alone: how often the engine died of it, and before that on the shard."""

    deaths: int
    before: int


class Journal:
    """The answers of one shard: a file for each writer, all read together.

    The files are read in the order in which their writers began, and each writer had read those before: an answer
    replaces the same one of an earlier file. A writer's file is made with its first answer. In a folder it grows in
    place; on an object store it is published piece by piece, and what is not published waits in the scratch
    folder for the next run.

    Attributes:
        attempts: the answers present when it was opened, by sample, in order.
        num_passed: number of first passes whose models no sample needs any more.
        num_deaths: how often the engine died on the shard; of deaths whose sample was found, none is counted.
        num_damaged: number of lines dropped because their CRC does not match.
        is_empty: whether there was no file when it was opened.
    """

    def __init__(self, store: Store, folder: str) -> None:
        """Read the journals of a shard.

        Args:
            folder: their folder in the store; the journal of an earlier version is beside it.

        Raises:
            UserError: one cannot be read.
        """
        self.attempts: dict[str, list[Attempt]] = {}
        self.num_passed = self.num_damaged = self.num_deaths = 0
        self._alone: dict[str, _Alone] = {}
        self._asked_alone = ""
        self._store, self._folder = store, folder
        self._log: Log | None = None
        self._num_pending, self._num_pieces, self._begun = 0, 0, 0.0
        _publish_leftovers(store, folder)
        names = journal_files(store, folder)
        self.is_empty = not names
        for name in names:
            self._read(name)
        self.num_deaths -= max((each.before for each in self._alone.values() if each.deaths >= _IS_KILLER), default=0)
        self._writer = f"{_ordinal(names) + 1:04d}-{writer_name()}"

    def _read(self, name: str) -> None:
        content = self._store.read(name) or b""
        for entry in parse_lines(content[: content.rfind(b"\n") + 1]):  # a killed writer leaves part of a line
            try:
                if _PASSED in entry:
                    self.num_passed = max(self.num_passed, int(entry[_PASSED]))
                    continue
                if _DIED in entry:
                    self.num_deaths += int(entry[_DIED])
                    continue
                if _ALONE in entry:
                    self._alone[str(entry[_ALONE])] = _Alone(int(entry[_DEATHS]), self.num_deaths)
                    continue
                attempt = _attempt(entry)
            except (
                TypeError,
                ValueError,
                OverflowError,
            ):  # a foreign or damaged line: an empty entry
                self.num_damaged += 1
            else:
                self.attempts.setdefault(attempt.sample_id, []).append(attempt)

    def append(self, attempt: Attempt) -> None:
        """Store an answer.

        Raises:
            UserError: the disk is full or fails; a partial line is ignored by the next reader.
        """
        entry = asdict(attempt)
        if attempt.claims is None:
            del entry["claims"]
        self._append(entry)

    def finish_pass(self, num_passed: int) -> None:
        """Store that no sample of the shard needs the models of the first `num_passed` passes any more."""
        self._append({_PASSED: num_passed})

    @property
    def is_suspect(self) -> bool:
        """Whether a sample of the shard seems to kill the engine: they should be asked one by one, in `alone`."""
        return self.num_deaths >= MAX_DEATHS

    def has_killed(self, sample_id: str) -> bool:
        """Whether the engine died of this sample."""
        return sample_id in self._alone and self._alone[sample_id].deaths >= _IS_KILLER

    @contextmanager
    def alone(self, sample_id: str) -> Iterator[None]:
        """Inside the block this sample alone is asked; if the engine or this process dies in it, the next one knows."""
        before = self._alone[sample_id].deaths if sample_id in self._alone else 0
        self._append({_ALONE: sample_id, _DEATHS: before + 1})
        self._asked_alone = sample_id
        try:
            yield
        except EngineDiedError:
            raise  # see note_death
        except BaseException:
            self._answered_alone()
            raise
        self._answered_alone()

    def _answered_alone(self) -> None:
        self._append({_ALONE: self._asked_alone, _DEATHS: 0})
        self._asked_alone = ""

    def note_death(self) -> None:
        """Store that the engine died while it answered the shard."""
        if self._asked_alone:
            self._append({_ALONE: self._asked_alone, _DEATHS: _IS_KILLER})
        else:
            self._append({_DIED: 1})
            self.num_deaths += 1

    def _append(self, entry: dict[str, Any]) -> None:
        if self._log is None:
            name = f"{self._folder}/{self._writer}" + (f"-{self._num_pieces:06d}" if self.is_uploaded else "") + _SUFFIX
            self._log = Log(self._store.scratch / name)
            self._begun = time.monotonic()
            self._num_pieces += 1
        self._log.append(entry)
        self._num_pending += 1

    @property
    def is_uploaded(self) -> bool:
        """Whether answers are published piece by piece, and not written in place."""
        return self._store.folder is None

    @property
    def is_due(self) -> bool:
        """Whether answers wait to be published for long, or many."""
        if self._log is None or not self.is_uploaded:
            return False
        return self._num_pending >= PIECE or time.monotonic() - self._begun > PUBLISH_EVERY_S

    def cut(self) -> Log | None:
        """What `publish` has to publish: the answers so far. Another answer begins another piece."""
        log, self._log, self._num_pending = self._log, None, 0
        return log

    def publish(self, piece: Log | None) -> None:
        """Have a piece on the disk or in the object store; may be called in another thread.

        Raises:
            UserError: the disk fails, or the store does not answer; the answers are then in the scratch folder.
        """
        if piece is not None:
            piece.close()
            if self.is_uploaded:
                _publish(self._store, piece.path)

    def close(self) -> None:
        """Have all answers on the disk or in the object store.

        Raises:
            UserError: as `publish`.
        """
        self.publish(self.cut())

    def remove(self) -> None:
        """Delete all journals of the shard: it is finished."""
        if self._log:
            self._log.remove()
        self._log = None
        remove_journals(self._store, self._folder)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def journal_files(store: Store, folder: str) -> list[str]:
    """The journals of a shard, or of all shards below a folder, in the order in which they count."""
    before = f"{folder}{_SUFFIX}"  # of an earlier version: one file for all writers, beside the folder
    names = [before] if store.find(before) else []
    return names + [found.name for found in store.files(folder) if found.name.endswith(_SUFFIX)]


def remove_journals(store: Store, folder: str) -> None:
    """Delete the journals of a shard."""
    for name in journal_files(store, folder):
        store.delete(name)
    for path in _leftovers(store, folder):
        path.unlink(missing_ok=True)
    if store.folder:
        with suppress(OSError):  # missing, or another writer's is in it
            (store.folder / folder).rmdir()


def _ordinal(names: Sequence[str]) -> int:
    """The highest number of a writer among the names of journals."""
    numbers = (name.rpartition("/")[2].partition("-")[0] for name in names)
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def publish_abandoned(store: Store) -> None:
    """Publish the journals that replicas left in their scratch folders when they died on this machine.

    Raises:
        UserError: the store does not answer, or the disk fails.
    """
    for dead in abandoned(store):
        for path in sorted((dead.scratch / "journal").rglob(f"*{_SUFFIX}")):
            _publish(dead, path)


def _leftovers(store: Store, folder: str) -> list[Path]:
    """Journals of a shard that wait in the scratch folder of an object store."""
    return [] if store.folder else sorted((store.scratch / folder).glob(f"*{_SUFFIX}"))


def _publish_leftovers(store: Store, folder: str) -> None:
    for path in _leftovers(store, folder):
        _publish(store, path)


def _publish(store: Store, path: Path) -> None:
    """Move a file from the scratch folder to its name in the store; a zombie's other content gets another name."""
    name = path.relative_to(store.scratch).as_posix()
    if not store.publish(name, path):
        store.publish(f"{name.removesuffix(_SUFFIX)}-{file_digest(path)[:8]}{_SUFFIX}", path)
    path.unlink(missing_ok=True)


def replayed(prior: Sequence[Attempt], journaled: Sequence[Attempt]) -> list[Attempt]:
    """The answers of earlier rounds, then those of the journal that follow them without a gap.

    A lost answer is requested again, and so are later ones, which may depend on it. The journal is a log: an answer
    replaces earlier lines for the same and for later requests. An
    answer of an earlier round may have been judged in this one.
    """
    log: list[Attempt] = []
    for attempt in journaled:
        log = with_answer(log, attempt)
    answers = list(prior)
    for attempt in log:
        of_text = [earlier for earlier in answers if earlier.text_number == attempt.text_number]
        if attempt.attempt > 1:
            before = any(_key(earlier) == (attempt.step, attempt.attempt - 1) for earlier in of_text)
        else:
            before = attempt.step == 0 or any(earlier.step == attempt.step - 1 for earlier in of_text)
        same = next((i for i, earlier in enumerate(answers) if _is_same(earlier, attempt)), None)
        if same is not None:
            answers[same] = attempt if attempt.claims is not None else answers[same]
        elif before:
            answers.append(attempt)
    return answers


def _attempt(entry: dict[str, Any]) -> Attempt:
    """An answer as a line holds it."""
    if (claims := entry.get("claims")) is not None:
        entry = entry | {"claims": tuple(JudgedClaim(**claim) for claim in claims)}
    return Attempt(**entry)


def with_answer(answers: Sequence[Attempt], attempt: Attempt) -> list[Attempt]:
    """The answers with a new one, which replaces the same and later ones of its text; other texts keep theirs."""
    kept = (a for a in answers if a.text_number != attempt.text_number or _key(a) < _key(attempt))
    return [*kept, attempt]


def _is_same(one: Attempt, other: Attempt) -> bool:
    return one.text_number == other.text_number and _key(one) == _key(other)


def _key(attempt: Attempt) -> tuple[int, int]:
    return attempt.step, attempt.attempt


def count_answers(store: Store, folder: str) -> tuple[int, int]:
    """Number of answers in the journals below a folder, and of their samples."""
    answers: set[tuple[str, ...]] = set()
    for name in journal_files(store, folder):
        answers |= {
            # one that was judged is two lines
            (entry["sample_id"], *(str(entry.get(key)) for key in ("step", "attempt", "text_number")))
            for entry in parse_lines(store.read(name) or b"")
            if isinstance(entry.get("sample_id"), str)
        }
    return len(answers), len({sample_id for sample_id, *_ in answers})
