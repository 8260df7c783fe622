"""Sealed files, whose completeness can be verified: the last line is the SHA-256 of everything before it.

PyTorch can still read such a file.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_MARK = b"\nlrs2m-sha256 "
_LENGTH = len(_MARK) + 64
_BLOCK = 1 << 20


def seal(path: Path) -> None:
    """Append the hash of a file to it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with path.open("ab") as file:
        file.write(_MARK + digest.encode())


def stated_hash(path: Path) -> str:
    """The hash at the end of a sealed file, without reading the rest.

    Raises:
        ValueError: the hash is missing.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) < _LENGTH:
            raise ValueError("it is cut short")
        file.seek(-_LENGTH, os.SEEK_END)
        line = file.read()
    if not line.startswith(_MARK):
        raise ValueError("its checksum is missing: it is cut short, damaged, or of an earlier version")
    return line[len(_MARK) :].decode("ascii", errors="replace")


def check_seal(path: Path) -> str:
    """Verify a sealed file and return its hash.

    Raises:
        ValueError: the content does not match the hash.
        OSError: it cannot be read.
    """
    stated = stated_hash(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = file.seek(0, os.SEEK_END) - _LENGTH
        file.seek(0)
        while left and (block := file.read(min(left, _BLOCK))):
            digest.update(block)
            left -= len(block)
    if digest.hexdigest() != stated:
        raise ValueError("its checksum does not match: it is damaged")
    return stated
