"""WebDataset tars, read as a stream: adjacent members with the same key are one sample.

    000017.caption  000017.img_content  000017.img_name     the key is the name up to its first dot

Only the members' headers are read; `TarMember` records where their content is. A whole archive is never in
memory.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import open_regular
from lrs2m_builder.schema import TarMember

MAX_PADDING = 2**20  # zeros at the end; tar writers pad up to 10 KiB


def read_groups(path: Path) -> Iterator[tuple[str, dict[str, TarMember]]]:
    """Yield each key with its members by extension, in the order of the archive.

    If an archive ends inside a member (an incomplete download), the member is still yielded; reading it reports the
    error.

    Raises:
        UserError: it is not an uncompressed tar, or is damaged after some byte.
    """
    members = ((*_split(name), member) for name, member in read_members(path))
    for key, group in groupby(members, key=itemgetter(0)):
        yield key, {extension: member for _, extension, member in group if extension}


def _split(name: str) -> tuple[str, str]:
    """Key and extension; without pathlib, which caches every part of every path."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension


def read_members(path: Path) -> Iterator[tuple[str, TarMember]]:
    """Yield the name and position of each file in the archive, without those that macOS adds (`._1.jpg`).

    Raises:
        UserError: as `read_groups`.
    """
    try:
        with open_regular(path) as regular, tarfile.open(fileobj=regular, mode="r:") as tar:
            while (info := _next(tar)) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # kept for access by name, a kilobyte each
                if info.isreg() and not info.issparse() and not info.name.rpartition("/")[2].startswith("._"):
                    yield info.name, TarMember(path, info.name, info.offset_data, info.size)
            end = tar.offset
        # tarfile mistakes a damaged header for the end, as it does the unfilled rest of an incomplete download.
        rest = path.stat().st_size - end
        with path.open("rb") as file:
            file.seek(end)
            if any(file.read(tarfile.BLOCKSIZE)) or rest > MAX_PADDING:
                raise UserError(
                    f"{path}: truncated or damaged after byte {end} ({rest} bytes unreadable); download it again"
                )
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{path}: not a readable tar without compression: {error}") from error


def _next(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    """The next header; None at the end, also if the archive ends inside the previous member."""
    try:
        return tar.next()
    except tarfile.ReadError as error:
        if tar.offset and "unexpected end" in str(error):
            return None
        raise
