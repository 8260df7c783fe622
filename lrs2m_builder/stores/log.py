"""A log of JSON objects, a line each, that survives a killed process and notices a damaged line.

A line is the CRC-32 of its JSON in eight hexadecimal digits, a blank, and the JSON. It is handed to the system at once,
which a killed process survives; it is forced to the disk every few seconds and when the log is closed, which bounds
what a power cut costs. A line that does not fit its CRC is dropped.
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
    """A file of lines, held open for appending.

    Attributes:
        entries: what the lines said when the log was opened; an empty object for a damaged one.
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
                self._file.truncate(whole)  # the last line was torn when its writer died: it never counted
            self.entries = list(parse_lines(content[:whole]))
        self._size = self._file.seek(0, os.SEEK_END)
        self._synced = time.monotonic()

    def append(self, entry: Mapping[str, Any]) -> None:
        """Keep an object.

        Raises:
            UserError: the disk is full or fails; what is half written is ignored by the next reader.
        """
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
        """Close and delete the file."""
        with disk_errors(self.path):
            self._file.close()
            self.path.unlink(missing_ok=True)


def parse_lines(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield what each line holds; of a damaged one, an empty object."""
    for line in content.splitlines():
        checksum, _, text = line.partition(b" ")
        try:
            entry = json.loads(text) if checksum == b"%08x" % zlib.crc32(text) else {}
        except (ValueError, RecursionError):
            entry = {}
        yield entry if isinstance(entry, dict) else {}
