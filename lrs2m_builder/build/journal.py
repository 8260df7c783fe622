"""The journal of a shard in progress: one line for each answer, so that none is asked for twice.

A line that is damaged is dropped (see `stores/log.py`), and its answer asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from lrs2m_builder.files import disk_errors
from lrs2m_builder.schema import Attempt
from lrs2m_builder.stores.log import Log, parse_lines

_PASSED = "passed"  # the key of a line that is no answer but says that a pass is done


class Journal:
    """The answers of one shard.

    Attributes:
        attempts: the answers that were there when it was opened, by sample, in the order they were given.
        num_passed: the first so many steps need no model any more, for any sample.
        num_damaged: lines that were dropped because they do not fit their CRC.
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
                attempt = Attempt(**entry)
            except (
                TypeError,
                ValueError,
                OverflowError,
            ):  # not a line of this program, or a damaged one: an empty entry
                self.num_damaged += 1
            else:
                self.attempts.setdefault(attempt.sample_id, []).append(attempt)
        self._log.entries.clear()

    def append(self, attempt: Attempt) -> None:
        """Keep an answer.

        Raises:
            UserError: the disk is full or fails; what is half written is ignored by the next reader.
        """
        self._log.append(asdict(attempt))

    def finish_pass(self, num_passed: int) -> None:
        """Keep that the first so many steps need no model any more, for any sample of the shard."""
        self._log.append({_PASSED: num_passed})

    def close(self) -> None:
        """Force what was kept to the disk and close the file."""
        self._log.close()

    def remove(self) -> None:
        """Close and delete the file: its shard is finished."""
        self._log.remove()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def replayed(prior: Sequence[Attempt], journaled: Sequence[Attempt]) -> list[Attempt]:
    """The answers of earlier rounds, then those of the journal that follow on them without a gap.

    An answer that was lost is asked for again, and so is what came after it: it may have been asked for its sake. The
    journal is a log: an answer takes back those to the same and to later requests that were written before it.
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
        if before and all(_key(earlier) != _key(attempt) for earlier in answers):
            answers.append(attempt)
    return answers


def _key(attempt: Attempt) -> tuple[int, int]:
    return attempt.step, attempt.attempt


def count_answers(folder: Path) -> tuple[int, int]:
    """How many answers the journals below a folder keep, and of how many samples."""
    answers: list[str] = []
    for path in folder.rglob("*.jsonl"):
        with disk_errors(path):
            content = path.read_bytes()
        answers += [entry["sample_id"] for entry in parse_lines(content) if isinstance(entry.get("sample_id"), str)]
    return len(answers), len(set(answers))
