"""The journal of a shard in progress: one line for each answer, so that none is asked for twice.

A line is handed to the system as soon as the answer is there, which a killed process survives; it is forced to the
disk every few seconds, which bounds what a power cut costs.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.schema import Attempt

SYNC_EVERY_S = 2.0


class Journal:
    """The answers of one shard. Open it with `with`; `attempts` holds what was there before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempts: dict[str, list[Attempt]] = {}
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
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                attempt = Attempt(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise UserError(
                    f"{self.path}: line {number}: not a journal line ({error}); delete that line"
                ) from error
            self.attempts.setdefault(attempt.sample_id, []).append(attempt)

    def append(self, attempt: Attempt) -> None:
        """Keep an answer.

        Raises:
            UserError: the disk is full or fails; what is half written is ignored by the next reader.
        """
        line = json.dumps(asdict(attempt), ensure_ascii=False).encode() + b"\n"
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
        """Close the file and keep it."""
        self._file.close()

    def remove(self) -> None:
        """Close and delete the file: its shard is finished."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
