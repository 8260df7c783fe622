"""The journal of a shard in progress: one line per answer, so that no request is sent twice.

A damaged line is dropped (see `stores/log.py`), and its answer is requested again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from lrs2m_builder.files import disk_errors
from lrs2m_builder.schema import Attempt, JudgedClaim
from lrs2m_builder.stores.log import Log, parse_lines

_PASSED = "passes"  # the key of a line that marks a finished pass


class Journal:
    """The answers of one shard.

    Attributes:
        attempts: the answers present when it was opened, by sample, in order.
        num_passed: number of first passes whose models no sample needs any more.
        num_damaged: number of lines dropped because their CRC does not match.
    """

    def __init__(self, path: Path) -> None:
        self.attempts: dict[str, list[Attempt]] = {}
        self.num_passed = self.num_damaged = 0
        self._log = Log(path)
        for entry in self._log.entries:
            try:
                if _PASSED in entry:
                    self.num_passed = int(entry[_PASSED])
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
        self._log.entries.clear()

    def append(self, attempt: Attempt) -> None:
        """Store an answer.

        Raises:
            UserError: the disk is full or fails; a partial line is ignored by the next reader.
        """
        entry = asdict(attempt)
        if attempt.claims is None:
            del entry["claims"]
        self._log.append(entry)

    def finish_pass(self, num_passed: int) -> None:
        """Store that no sample of the shard needs the models of the first `num_passed` passes any more."""
        self._log.append({_PASSED: num_passed})

    def close(self) -> None:
        """Sync and close the file."""
        self._log.close()

    def remove(self) -> None:
        """Close and delete the file: its shard is finished."""
        self._log.remove()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def replayed(prior: Sequence[Attempt], journaled: Sequence[Attempt]) -> list[Attempt]:
    """The answers of earlier rounds, then those of the journal that follow them without a gap.

    A lost answer is requested again, and so are later ones, which may depend on it. The journal is a log: an answer
    replaces earlier lines for the same and for later requests. An
    answer of an earlier round may have been judged in this one.
    """
    log: list[Attempt] = []
    for attempt in journaled:
        log = [*(earlier for earlier in log if _key(earlier) < _key(attempt)), attempt]
    answers = list(prior)
    for attempt in log:
        if attempt.attempt > 1:
            before = any(_key(earlier) == (attempt.step, attempt.attempt - 1) for earlier in answers)
        else:
            before = attempt.step == 0 or any(earlier.step == attempt.step - 1 for earlier in answers)
        same = next((i for i, earlier in enumerate(answers) if _key(earlier) == _key(attempt)), None)
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


def _key(attempt: Attempt) -> tuple[int, int]:
    return attempt.step, attempt.attempt


def count_answers(folder: Path) -> tuple[int, int]:
    """Number of answers in the journals below a folder, and of their samples."""
    answers: set[tuple[str, str, str]] = set()
    for path in folder.rglob("*.jsonl"):
        with disk_errors(path):
            content = path.read_bytes()
        answers |= {
            (entry["sample_id"], str(entry.get("step")), str(entry.get("attempt")))  # one that was judged is two lines
            for entry in parse_lines(content)
            if isinstance(entry.get("sample_id"), str)
        }
    return len(answers), len({sample_id for sample_id, _, _ in answers})
