"""A log of JSON objects, one per line, that survives a killed process and detects damaged lines.

A line is the CRC-32 of its JSON in eight hexadecimal digits, a blank, and the JSON. It is passed to the system at once,
so that it survives a killed process; the file is synced every few seconds and on closing, which limits
the loss in a power cut. A line whose CRC does not match is dropped.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lrs2m_builder.files import disk_errors, sync_folder

SYNC_EVERY_S = 2.0


class Log:
    """A file of lines, open for appending.

    Attributes:
        entries: the objects in the log when it was opened; an empty object for a damaged line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+", buffering=0)
            self._file.seek(0)
            content = self._file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                self._file.truncate(whole)  # a partial last line of a killed writer
            self.entries = list(parse_lines(content[:whole]))
        self._size = self._file.seek(0, os.SEEK_END)
        self._synced = time.monotonic()

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append an object.

        Raises:
            UserError: the disk is full or fails; a partial line is ignored by the next reader.
        """
        text = json.dumps(entry, ensure_ascii=False).encode()
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        with disk_errors(self.path):
            try:
                written = 0
                while written < len(line):
                    written += self._file.write(line[written:])
            except OSError:
                self._file.truncate(self._size)  # a partial line would damage the next one
                raise
            self._size += len(line)
            if time.monotonic() - self._synced > SYNC_EVERY_S:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()

    def close(self) -> None:
        """Sync and close the file."""
        if not self._file.closed:
            with disk_errors(self.path):
                os.fsync(self._file.fileno())
                self._file.close()
                sync_folder(self.path.parent)

    def remove(self) -> None:
        """Close and delete the file."""
        with disk_errors(self.path):
            self._file.close()
            self.path.unlink(missing_ok=True)


def parse_lines(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield the object of each line; an empty object for a damaged line."""
    for line in content.splitlines():
        checksum, _, text = line.partition(b" ")
        try:
            entry = json.loads(text) if checksum == b"%08x" % zlib.crc32(text) else {}
        except (ValueError, RecursionError):
            entry = {}
        yield entry if isinstance(entry, dict) else {}
