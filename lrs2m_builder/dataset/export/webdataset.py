"""WebDataset: tars for sequential reading, with a sample's files next to each other.

    DEST/train-00000.tar  <key>.jpg or .png ..., <key>.txt, <key>.json

The key is the row's number; the sample id is in the JSON. Both texts are written as `.long.txt` and
`.short.txt`; a single text as `.txt`, where open_clip expects it.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lrs2m_builder.dataset.export._base import (
    ImageChoice,
    Options,
    columns,
    image_bytes,
    image_name,
    image_suffix,
    json_text,
    texts,
)

IMAGES: tuple[ImageChoice, ...] = ("embed", "reference")
_BLOCK = tarfile.BLOCKSIZE


def write(rows: Iterator[dict[str, Any]], folder: Path, options: Options) -> None:
    """Write tars of at most `max_bytes`, with at least one sample each (see `ExportFormat.write`)."""
    with _Tars(folder, options.max_bytes) as tars:
        for number, row in enumerate(rows):
            tars.add(f"{number:09d}", _members(row, options))


def _members(row: Mapping[str, Any], options: Options) -> dict[str, bytes]:
    """The files of a sample by extension."""
    members = {}
    if options.images == "embed":
        data = image_bytes(row)
        members[image_suffix(data)] = data
    for kind, text in texts(row, options.text).items():
        members[f".{kind}.txt" if options.text == "both" else ".txt"] = text.encode()
    record = {"image": options.image_prefix + image_name(row), **columns(row, options.text)}
    members[".json"] = json_text(record).encode()
    return members


def _closed(size: int) -> int:
    """The size of a tar with members of this size: two empty blocks at the end, padded to a whole record."""
    return -(-(size + 2 * _BLOCK) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


class _Tars:
    """Writes samples into a series of tars."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._count = 0
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> _Tars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tar is not None:
            self._tar.close()

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        """Add a sample; its files are never split over two tars."""
        size = sum(_BLOCK + -(-len(data) // _BLOCK) * _BLOCK for data in members.values())
        if self._tar is None or (self._tar.offset and _closed(self._tar.offset + size) > self._max_bytes):
            self._next()
        assert self._tar is not None
        for ending, data in members.items():
            # Neither time nor user: the same rows give the same bytes.
            info = tarfile.TarInfo(key + ending)
            info.size = len(data)
            self._tar.addfile(info, io.BytesIO(data))

    def _next(self) -> None:
        if self._tar is not None:
            self._tar.close()
        path = self._folder / f"train-{self._count:05d}.tar"
        self._tar = tarfile.TarFile(path, "w", format=tarfile.USTAR_FORMAT)
        self._count += 1
