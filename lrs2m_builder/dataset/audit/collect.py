"""The images of a data set, each read once: identity, hash of its bytes, thumbnail and location."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from lrs2m_builder.dataset.audit.thumbnails import SIZE, Thumbnails, thumbnail
from lrs2m_builder.dataset.foreign import plain_rows, reading
from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.files import read_image as read_bytes
from lrs2m_builder.schema import ImageBytes, ImageRef, TableCell, TarMember

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")  # a foreign data set may have other values in the column
_CAPTION_NUMBER = re.compile(r"#\d+$")
BATCH_ROWS = 100  # images in memory at once, which may be large
_BLANK = np.zeros((SIZE, SIZE), np.uint8)


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """Where an image is stored: a separate file, or a row of a Parquet file (row group and row in it)."""

    path: Path
    group: int = -1
    row: int = -1


@dataclass(frozen=True, slots=True)
class AuditImage:
    """An image of a data set, shared by its rows (one per caption).

    Attributes:
        key: the sample id without the number of the caption.
        name: the file's name in its source.
        content: number of the distinct image.
    """

    key: str
    subset: str
    name: str
    content: int
    is_evaluation: bool = False


@dataclass(slots=True)
class Collection:
    """All images, with the thumbnails of distinct ones in a file (1 KB each), so that millions fit."""

    file: Any  # a temporary file
    pictures: list[AuditImage] = field(default_factory=list)
    places: list[ImageLocation] = field(default_factory=list)
    num_rows: int = 0
    without_image: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    _contents: dict[bytes, int] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def thumbnails(self) -> Thumbnails:
        """(N, 32, 32) of the distinct images, memory-mapped; black if an image could not be read."""
        self.file.flush()
        if not self.places:
            return np.zeros((0, SIZE, SIZE), np.uint8)
        return np.memmap(self.file, np.uint8, "r", shape=(len(self.places), SIZE, SIZE))

    def add_records(self, files: list[Path], *, evaluation: str = "", show_progress: bool = False) -> None:
        """Add the images of Parquet files, batch by batch; `evaluation` is their name if they are evaluation images."""
        total = sum(pq.read_metadata(file).num_rows for file in files)
        bar = tqdm(total=total, desc="images", unit="row", disable=not show_progress)
        with ThreadPoolExecutor(os.cpu_count()) as pool, bar:
            for path, group, start, rows in _row_batches(files):
                fresh = [
                    (data, ImageLocation(path, group, number))
                    for number, row in enumerate(rows, start)
                    if (data := self._enter(row, evaluation, f"{path}:{group}.{number}")) is not None
                ]
                self._look(pool, fresh)
                bar.update(len(rows))

    def add_files(self, refs: Sequence[ImageRef], evaluation: str, *, show_progress: bool = False) -> None:
        """Add evaluation images: files, or members of an archive or table (whose location is that file).

        Raises:
            SampleError: an image cannot be read.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for first in tqdm(range(0, len(refs), 256), desc="evaluation", disable=not show_progress):
                fresh: list[tuple[ImageRef, ImageLocation]] = []
                for ref in refs[first : first + 256]:
                    data = read_bytes(ref)
                    digest = hashlib.sha256(data).digest()[:16]
                    name = PurePosixPath(str(ref)).name
                    if self._add_picture(str(ref), evaluation, name, digest, True):
                        fresh.append((ref if isinstance(ref, Path) else ImageBytes(data), ImageLocation(_file_of(ref))))
                self._look(pool, fresh)

    def keep(self, folder: Path) -> None:
        """Save the collection in a folder, for `take`."""
        self.file.flush()
        shutil.copyfile(self.file.name, folder / "thumbnails")
        pictures = [(picture.key, picture.subset, picture.name, picture.content) for picture in self.pictures]
        digests = [digest.hex() for digest in self._contents]
        content = {"pictures": pictures, "digests": digests, "without_image": self.without_image}
        (folder / "images.json").write_text(json.dumps(content), encoding="utf-8")

    def take(self, folder: Path) -> None:
        """Load a collection saved by `keep`.

        Raises:
            OSError, ValueError, KeyError: it is incomplete.
        """
        content = json.loads((folder / "images.json").read_text(encoding="utf-8"))
        if (folder / "thumbnails").stat().st_size != len(content["digests"]) * SIZE * SIZE:
            raise ValueError("the number of thumbnails does not match")
        with (folder / "thumbnails").open("rb") as file:
            shutil.copyfileobj(file, self.file)
        self.pictures = [AuditImage(*values) for values in content["pictures"]]
        self._contents = {bytes.fromhex(digest): number for number, digest in enumerate(content["digests"])}
        self.places = [ImageLocation(folder)] * len(self._contents)
        self.without_image = content["without_image"]

    def restart(self) -> None:
        """Remove all images."""
        self.file.seek(0)
        self.file.truncate()
        self.pictures, self.places, self._contents, self.without_image = [], [], {}, 0

    def _enter(self, row: Mapping[str, Any], evaluation: str, place: str) -> ImageBytes | None:
        """Add a row's image; returns its bytes if they are new. Without a sample id, `place` names the row."""
        if not evaluation:
            self.num_rows += 1
        image = row.get("image") or {}
        image = {"bytes": image} if isinstance(image, bytes) else image
        key = image_key(row.get("sample_id") or place)
        if key in self._seen and not evaluation:
            return None
        data = image.get("bytes")
        if not data:
            self.without_image += not evaluation
            return None
        stated = row.get("image_sha256") or ""
        is_hash = _SHA256.fullmatch(stated) is not None
        digest = bytes.fromhex(stated)[:16] if is_hash else hashlib.sha256(data).digest()[:16]
        if not evaluation:
            self._seen.add(key)
        name = PurePosixPath(image.get("path") or key).name
        is_fresh = self._add_picture(
            key, sys.intern(evaluation or row.get("subset") or ""), name, digest, bool(evaluation)
        )
        return ImageBytes(data) if is_fresh else None

    def _add_picture(self, key: str, subset: str, name: str, digest: bytes, is_evaluation: bool) -> bool:
        """Add an image; returns whether its bytes are new."""
        is_fresh = digest not in self._contents
        content = self._contents.setdefault(digest, len(self._contents))
        self.pictures.append(AuditImage(key, subset, name, content, is_evaluation))
        return is_fresh

    def _look(self, pool: ThreadPoolExecutor, fresh: Sequence[tuple[ImageRef, ImageLocation]]) -> None:
        for (_, place), result in zip(fresh, pool.map(_try_thumbnail, (image for image, _ in fresh)), strict=True):
            if isinstance(result, SampleError):
                self.problems[result.reason] += 1
                result = _BLANK
            self.file.write(result.tobytes())
            self.places.append(place)


def _file_of(ref: ImageRef) -> Path:
    match ref:
        case TarMember():
            return ref.archive
        case TableCell():
            return ref.table
        case Path():
            return ref
    raise TypeError(f"{ref}: is not in a file")


def image_key(sample_id: str) -> str:
    """The sample id without the number of the caption, which the rows of one image share."""
    return _CAPTION_NUMBER.sub("", sample_id)


def _try_thumbnail(image: ImageRef) -> Thumbnails | SampleError:
    try:
        return thumbnail(image)
    except SampleError as error:
        return error


def _row_batches(files: list[Path]) -> Iterator[tuple[Path, int, int, list[dict[str, Any]]]]:
    """Yield (file, row group, number of the first row in it, rows)."""
    for path in files:
        with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            leaf_paths = [
                name for name in ("sample_id", "subset", "image", "image_sha256") if name in file.schema_arrow.names
            ]
            for group in range(file.num_row_groups):
                start = 0
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=leaf_paths):
                    yield path, group, start, plain_rows(batch, path)
                    start += len(batch)


def read_image(place: ImageLocation) -> bytes:
    """The stored bytes of an image."""
    if place.row < 0:
        return place.path.read_bytes()
    with pq.ParquetFile(place.path, page_checksum_verification=True) as file:
        image = file.read_row_group(place.group, columns=["image"])["image"][place.row].as_py()
        return bytes(image["bytes"])
