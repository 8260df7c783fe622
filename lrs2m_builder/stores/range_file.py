"""A file of an object store, read piece by piece: the end in one request, the rest in blocks."""

from __future__ import annotations

import io
from collections.abc import Callable

TAIL = 64 * 2**10  # where Parquet keeps its footer
BLOCK = 4 * 2**20


class RangeFile(io.RawIOBase):
    """A seekable file for reading, which keeps the last block that it fetched."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        """Args:
        fetch: the bytes from a start to an end.
        """
        self._size, self._fetch = size, fetch
        self._position = self._start = 0
        self._block = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._size)
        if end <= self._position:
            return 0
        if self._position < self._start or end > self._start + len(self._block):
            self._start = min(self._position, self._size - TAIL) if end > self._size - TAIL else self._position
            self._start = max(0, self._start)
            self._block = self._fetch(self._start, min(self._size, max(end, self._start + BLOCK)))
        piece = self._block[self._position - self._start : end - self._start]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
