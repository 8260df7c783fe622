"""Evaluation images that a data set must not contain: a folder of images, a list in JSON, or Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lrs2m_builder.dataset.audit.collect import Collection
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.tables import open_tables, record_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import files_below, read_json

SUFFIXES = {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, slots=True)
class AgainstSet:
    """The evaluation images of one `--against`.

    Attributes:
        names: file names of its images, including those without a file.
        images: image files that were found; empty for Parquet.
    """

    path: Path
    names: tuple[str, ...]
    images: tuple[Path, ...] = ()
    records: tuple[Path, ...] = ()

    def add_to(self, collection: Collection, *, show_progress: bool = False) -> None:
        """Add the images to a collection."""
        if self.records:
            collection.add_records(list(self.records), evaluation=str(self.path), show_progress=show_progress)
        collection.add_files(list(self.images), str(self.path), show_progress=show_progress)


def open_evaluation(path: Path) -> AgainstSet:
    """Open the evaluation images at a path.

    Raises:
        UserError: the path holds no images, list or Parquet.
    """
    if path.suffix == ".json" and path.is_file():
        return _from_json(path)
    if path.is_dir():
        images = tuple(sorted(file for file in files_below(path, *SUFFIXES) if file.is_file()))
        if images:
            return AgainstSet(path, tuple(image.name for image in images), images)
    if (path.is_dir() and any(files_below(path, ".parquet"))) or (path.is_file() and path.suffix == ".parquet"):
        return _from_parquet(path)
    if path.is_dir():
        raise UserError(f"--against {path}: contains neither images nor Parquet files")
    raise UserError(f"--against {path}: give a folder of images, a JSON list in Karpathy's or COCO's form, or Parquet")


def _from_json(path: Path) -> AgainstSet:
    """Names from a list in Karpathy's ("filename") or COCO's ("file_name") form, and images found below its folder."""
    images = read_json(path).get("images")
    names = [_name(image) for image in images] if isinstance(images, list) else []
    if not names or not all(names):
        raise UserError(f'--against {path}: no list "images" of entries with "filename" or "file_name"')
    below: dict[str, list[Path]] = {}
    for file in sorted(files_below(path.parent, *SUFFIXES)):
        below.setdefault(file.name, []).append(file)
    images = [
        file for name in dict.fromkeys(PurePosixPath(name).name for name in names) for file in below.get(name, [])
    ]
    return AgainstSet(path, tuple(names), tuple(images))


def _name(image: Any) -> str:
    entry = image if isinstance(image, dict) else {}
    return str(entry.get("filename") or entry.get("file_name") or "")


def _from_parquet(path: Path) -> AgainstSet:
    tables = open_tables(path, ("sample_id", "image"))
    with reading(f"--against {path}"):
        rows = tables.sql("SELECT DISTINCT coalesce(nullif(image.path, ''), sample_id) FROM records").fetchall()
    return AgainstSet(path, tuple(name for (name,) in rows), records=tuple(record_files(path)))
