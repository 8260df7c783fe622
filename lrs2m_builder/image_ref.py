"""Where an image's bytes are: a file, a range inside one, or memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TarMember:
    """An image inside an uncompressed tar: `size` bytes from byte `offset` on."""

    archive: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}:{self.name}"


@dataclass(frozen=True, slots=True)
class TableCell:
    """An image inside a Parquet or Arrow file: the cell of a column, rows counted from 0."""

    table: Path
    column: str
    row: int

    def __str__(self) -> str:
        return f"{self.table}:{self.column}[{self.row}]"


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """An image whose bytes are in memory, such as those of a row; the name is for messages."""

    data: bytes
    name: str = "the image"

    def __str__(self) -> str:
        return self.name


ImageRef = Path | TarMember | TableCell | ImageBytes
"""Where an image's bytes are (`images/files.py` reads them)."""
