"""The journal of a shard in progress: one line for each answer, so that none is asked for twice.

A line is the CRC-32 of its JSON in eight hexadecimal digits, a blank, and the JSON. It is handed to the system as soon
as the answer is there, which a killed process survives; it is forced to the disk every few seconds and when the journal
is closed, which bounds what a power cut costs. A line that does not fit its CRC is dropped, and its answer asked for
again.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from lrs2m_builder.files import disk_errors, sync_folder
from lrs2m_builder.schema import Attempt

SYNC_EVERY_S = 2.0
_PASSED = "passed"  # the key of a line that is no answer but says that a pass is done


class Journal:
    """The answers of one shard.

    Attributes:
        attempts: the answers that were there when it was opened, by sample, in the order they were given.
        num_passed: the first so many steps need no model any more, for any sample.
        num_damaged: lines that were dropped because they do not fit their CRC.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempts: dict[str, list[Attempt]] = {}
        self.num_passed = self.num_damaged = 0
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+", buffering=0)
            self._read()
        self._size = self._file.seek(0, os.SEEK_END)
        self._synced = time.monotonic()

    def _read(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)  # the last line was torn when its writer died: that answer never counted
        for entry in _entries(content[:whole]):
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

    def append(self, attempt: Attempt) -> None:
        """Keep an answer.

        Raises:
            UserError: the disk is full or fails; what is half written is ignored by the next reader.
        """
        self._write(asdict(attempt))

    def finish_pass(self, num_passed: int) -> None:
        """Keep that the first so many steps need no model any more, for any sample of the shard."""
        self._write({_PASSED: num_passed})

    def _write(self, entry: dict[str, Any]) -> None:
        text = json.dumps(entry, ensure_ascii=False).encode()
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        with disk_errors(self.path):
            try:
                written = 0
                while written < len(line):
                    written += self._file.write(line[written:])
            except OSError:
                self._file.truncate(self._size)  # half a line would spoil the next one
                raise
            self._size += len(line)
            if time.monotonic() - self._synced > SYNC_EVERY_S:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()

    def close(self) -> None:
        """Force what was kept to the disk and close the file."""
        if not self._file.closed:
            with disk_errors(self.path):
                os.fsync(self._file.fileno())
                self._file.close()
                sync_folder(self.path.parent)

    def remove(self) -> None:
        """Close and delete the file: its shard is finished."""
        with disk_errors(self.path):
            self._file.close()
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _entries(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield what each line holds; of a damaged one, nothing."""
    for line in content.splitlines():
        checksum, _, text = line.partition(b" ")
        try:
            entry = json.loads(text) if checksum == b"%08x" % zlib.crc32(text) else {}
        except (ValueError, RecursionError):
            entry = {}
        yield entry if isinstance(entry, dict) else {}


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
        answers += [entry["sample_id"] for entry in _entries(content) if isinstance(entry.get("sample_id"), str)]
    return len(answers), len(set(answers))
