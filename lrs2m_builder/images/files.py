"""Opens an image wherever its bytes are: a file, a member of a tar, a cell of a Parquet or Arrow file.

Nothing but the image itself is read of a tar; of a table it is the row group (see `cells`). Only regular files are
opened, no more than MAX_BYTES are held at once, and whatever the disk answers is a `SampleError` of the one image.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.cells import read_cell
from lrs2m_builder.opening import open_regular, read_regular, refuse_larger
from lrs2m_builder.schema import ImageBytes, ImageRef, TarMember

IMAGE_SUFFIXES = {
    *(".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tga"),
    *(".tif", ".tiff", ".webp"),
}
RASTER_SUFFIXES = {".img", ".nitf", ".ntf"}  # read too, but such names have other meanings as well
MAX_BYTES = 2**30  # of a file, member or cell that is read whole; a column of images holds 2 GiB at most

_BLOCK = 2**20
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


def open_image(ref: ImageRef) -> BinaryIO:
    """The bytes of an image as an open file.

    Raises:
        SampleError: they are missing, cut off, too many, or cannot be read.
    """
    try:
        return open_regular(ref) if isinstance(ref, Path) else io.BytesIO(_read(ref))
    except (OSError, pa.ArrowException, LookupError) as error:  # lookup: not the file any more that was listed
        raise unusable(ref, error) from error


def read_image(ref: ImageRef) -> bytes:
    """All bytes of an image.

    Raises:
        SampleError: as `open_image`.
    """
    try:
        return _read(ref)
    except (OSError, pa.ArrowException, LookupError) as error:
        raise unusable(ref, error) from error


def hash_image(ref: ImageRef) -> str:
    """The SHA-256 of an image's bytes, of which a file is not held in memory.

    Raises:
        SampleError: as `open_image`.
    """
    digest = hashlib.sha256()
    with open_image(ref) as file:
        try:
            while block := file.read(_BLOCK):
                digest.update(block)
        except OSError as error:
            raise unusable(ref, error) from error
    return digest.hexdigest()


def unusable(ref: ImageRef, error: Exception) -> SampleError:
    """What the disk, or a container that is not what it was, means for an image in it."""
    number = error.errno if isinstance(error, OSError) else None
    reason = "image_too_large" if number == errno.EFBIG else "image_unreadable"
    if number in _NOT_THERE:
        return SampleError("image_missing", f"{ref}: {'no such file' if number == errno.ENOENT else _said(error)}")
    return SampleError(reason, f"{ref}: {_said(error)}")


def _said(error: Exception) -> object:
    return getattr(error, "strerror", None) or error


def _read(ref: ImageRef) -> bytes:
    if isinstance(ref, Path):
        return read_regular(ref, MAX_BYTES)
    if isinstance(ref, ImageBytes):
        return ref.data
    return _read_member(ref) if isinstance(ref, TarMember) else read_cell(ref, MAX_BYTES)


def _read_member(ref: TarMember) -> bytes:
    refuse_larger(ref.size, MAX_BYTES, ref)
    with open_regular(ref.archive) as file:
        if (there := os.fstat(file.fileno()).st_size - ref.offset) < ref.size:
            raise SampleError("image_truncated", f"{ref}: {max(there, 0)} of {ref.size} bytes are in the archive")
        file.seek(ref.offset)
        return file.read(ref.size)
