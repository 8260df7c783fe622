"""Opens an image wherever its bytes are: a file, a member of a tar, a cell of a Parquet or Arrow file.

Only the image is read from a tar, and its row group from a table (see `cells`). Only regular files are
opened, at most MAX_BYTES are in memory at once, and any disk error becomes a `SampleError` of the image.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from lrs2m_builder.errors import SampleError
from lrs2m_builder.files import open_regular, read_regular, refuse_larger
from lrs2m_builder.images.cells import read_cell
from lrs2m_builder.schema import ImageBytes, ImageRef, TarMember

IMAGE_SUFFIXES = {
    *(".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tga"),
    *(".tif", ".tiff", ".webp"),
}
RASTER_SUFFIXES = {".img", ".nitf", ".ntf"}  # read too, but other programs use these extensions for other formats
MAX_BYTES = 2**30  # of a file, member or cell that is read whole; an Arrow column of images holds 2 GiB at most

_BLOCK = 2**20
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


def image_ref(image: dict[str, Any] | bytes, image_dir: Path | None = None) -> ImageRef:
    """The image reference of a row's image cell.

    Raises:
        SampleError: the row contains only the image's name, and `image_dir` is not set.
    """
    if isinstance(image, bytes):
        return ImageBytes(image)
    if image["bytes"] is not None:
        return ImageBytes(image["bytes"])
    if image_dir is None:
        raise SampleError(
            "image_missing", f"the row contains only the image's name, {image['path']}; set image_dir to its folder"
        )
    return image_dir / str(image["path"])


def open_image(ref: ImageRef) -> BinaryIO:
    """Open an image to read its bytes.

    Raises:
        SampleError: the bytes are missing, truncated, too many, or cannot be read.
    """
    try:
        return open_regular(ref) if isinstance(ref, Path) else io.BytesIO(_read(ref))
    except (OSError, pa.ArrowException, LookupError) as error:  # LookupError: the file has changed since it was listed
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
    """The SHA-256 of an image's bytes; a file is hashed as a stream.

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
    """The SampleError for a disk error, or for a container that has changed."""
    number = error.errno if isinstance(error, OSError) else None
    reason = "image_too_large" if number == errno.EFBIG else "image_unreadable"
    if number in _NOT_THERE:
        return SampleError("image_missing", f"{ref}: {'no such file' if number == errno.ENOENT else _message(error)}")
    return SampleError(reason, f"{ref}: {_message(error)}")


def _message(error: Exception) -> object:
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
        if (available := os.fstat(file.fileno()).st_size - ref.offset) < ref.size:
            raise SampleError("image_truncated", f"{ref}: {max(available, 0)} of {ref.size} bytes are in the archive")
        file.seek(ref.offset)
        return file.read(ref.size)
