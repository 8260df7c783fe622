"""Finds the files of a subset below the user's data folder."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from posixpath import splitext

from lrs2m_builder.errors import UserError
from lrs2m_builder.images.files import IMAGE_SUFFIXES, RASTER_SUFFIXES
from lrs2m_builder.manifest import Manifest, Numbering
from lrs2m_builder.opening import is_folder, would_wait
from lrs2m_builder.sources.base import SourceRow

NUM_TRIED = 5000  # names on which the layouts are compared
PARTS = {".tar", ".parquet", ".arrow"}  # formats that come in many files of one source


def find_annotations(manifest: Manifest, data_dir: Path, patterns: Sequence[str]) -> tuple[Path, ...]:
    """The annotation file, or the folder of label files: the one match of the first of the globs that matches.

    A glob may match several tars, Parquet or Arrow files: they are the parts of one source, in the order of their
    names.

    Raises:
        UserError: the folder is not there, no file matches, or one glob matches several.
    """
    if not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir}: no such folder; {manifest.get}")
    for pattern in patterns:
        matches = sorted(data_dir.glob(pattern))
        if len(matches) > 1 and not {path.suffix for path in matches} <= PARTS:
            found = ", ".join(str(path.relative_to(data_dir)) for path in matches)
            raise UserError(f"{data_dir}: more than one annotation file of {manifest.name}: {found}; keep one of them")
        if waiting := next(filter(would_wait, matches), None):
            raise UserError(f"{waiting}: a pipe, socket or device; write its content to a regular file")
        if matches:
            return tuple(matches)
    looked = ", ".join(patterns)
    raise UserError(f"{data_dir}: no annotation file of {manifest.name} (looked for {looked}). {manifest.get}")


def image_stem(name: str) -> str:
    """The last part of an image's name without its extension; `pathlib` takes ten times as long for it."""
    return splitext(name.rpartition("/")[2])[0]


class ImageFinder:
    """Finds images by name in one layout of a data folder. A folder is listed once, not once an image.

    Attributes:
        layout: a path below the data folder, its folders possibly globs, with `{filename}` (the name as the source
            has it), `{basename}`, `{stem}`, and for a numbered archive `{class_name}` and `{index}`; "" finds nothing.
    """

    def __init__(self, layout: str, data_dir: Path, numbering: Numbering | None) -> None:
        self.layout = layout
        self._data_dir, self._numbering = data_dir, numbering
        self._is_glob = any(char in str(PurePosixPath(layout).parent) for char in "*?[")
        self._usable = bool(layout) and (numbering is not None or "{class_name}" not in layout)
        self._folders: dict[str, list[_Folder]] = {}

    def __str__(self) -> str:
        return f"as {self.layout}" if self.layout else "in the annotation files"

    def find(self, name: str) -> Path | None:
        """The one file of that name: as it is written, with another extension, or in other letter case."""
        folders, wanted = self._look_in(name)
        for by in (_Folder.exactly, _Folder.any_suffix, _Folder.any_case):
            matches = [path for folder in folders if (path := by(folder, wanted))]
            if matches:
                return matches[0] if len(matches) == 1 else None
        return None

    def find_each(self, names: Sequence[str]) -> list[bool]:
        """Whether the image of each name is found; fast where images are called as their files are."""
        if "{" not in self.layout:  # one image for all
            is_there = self.find("any") is not None
            return [is_there and not _leads_out(name) for name in names]
        parent, _, last = self.layout.rpartition("/")
        if self._numbering is not None or "{" in parent or last not in {"{filename}", "{basename}"}:
            return [self.find(name) is not None for name in names]
        only: dict[str, set[str]] = {}  # by a name's own folder: the files that one folder alone has
        found = []
        for name in names:
            own, _, basename = name.rpartition("/")
            if own not in only:
                folders, _ = self._look_in(name)
                only[own] = folders[0].names if len(folders) == 1 else set()
            found.append(basename in only[own] or self.find(name) is not None)
        return found

    def _look_in(self, name: str) -> tuple[list[_Folder], str]:
        """The folders in which an image may be, and what it is called there."""
        fields = self._fields(name)
        if fields is None:
            return [], ""
        parent, _, wanted = self.layout.format(**fields).rpartition("/")
        if self._is_glob:  # what a name itself holds of "[" or "*" is meant as it stands
            escaped = {key: glob.escape(value) if isinstance(value, str) else value for key, value in fields.items()}
            parent = self.layout.format(**escaped).rpartition("/")[0]
        return self._listed(parent), wanted

    def _listed(self, name: str) -> list[_Folder]:
        if name not in self._folders:
            paths = _glob(self._data_dir, name) if self._is_glob else [self._data_dir / name]
            self._folders[name] = [_Folder(path) for path in paths if is_folder(path)]
        return self._folders[name]

    def _fields(self, name: str) -> dict[str, str | int] | None:
        if not self._usable or _leads_out(name):
            return None
        basename = name.rpartition("/")[2]
        stem = image_stem(name)
        fields: dict[str, str | int] = {"filename": name, "basename": basename, "stem": stem}
        if self._numbering is not None:
            number = int(stem) - 1 if stem.isdecimal() else -1
            if not 0 <= number < self._numbering.per_class * len(self._numbering.classes):
                return None
            fields["class_name"] = self._numbering.classes[number // self._numbering.per_class]
            fields["index"] = number % self._numbering.per_class
        return fields


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:  # a part of a name is longer than any file's
        return []


def _leads_out(name: str) -> bool:
    """Whether a name would lead out of the data folder."""
    return name.startswith("/") or (".." in name and ".." in name.split("/"))


class _Folder:
    """The names in a folder; the looser ways to find one are prepared when they are first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with os.scandir(path) as entries:
            self.names = {entry.name for entry in entries}
        self._by_stem: dict[str, str | None] | None = None
        self._by_lower: dict[str, str | None] | None = None

    def exactly(self, name: str) -> Path | None:
        return self._path / name if name in self.names else None

    def any_suffix(self, name: str) -> Path | None:
        """The same picture re-encoded (.jpg for .tif); None where two could be meant. A .txt or .tfw is none."""
        if self._by_stem is None:
            known = IMAGE_SUFFIXES | RASTER_SUFFIXES | {""}  # without one: a folder that holds the bands of an image
            pictures = (name for name in self.names if splitext(name)[1].lower() in known)
            self._by_stem = _unique((image_stem(name), name) for name in pictures)
        found = self._by_stem.get(image_stem(name))
        return self._path / found if found else None

    def any_case(self, name: str) -> Path | None:
        if self._by_lower is None:
            self._by_lower = _unique((name.lower(), name) for name in self.names)
        found = self._by_lower.get(name.lower())
        return self._path / found if found else None


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for key, name in pairs:
        found[key] = None if key in found else name
    return found


def choose_layout(manifest: Manifest, data_dir: Path, rows: Iterable[SourceRow]) -> ImageFinder:
    """The layout in which most images are found.

    Archives of one data set come in several layouts, and a folder may hold parts of two of them; so each layout of
    the manifest is tried on the first rows, and the one that finds most is used for all. None is needed where
    the source holds the images itself.

    Raises:
        UserError: not one image was found in any layout.
    """
    finders = [ImageFinder(layout, data_dir, manifest.numbering) for layout in manifest.files.images]
    rows, num_rows = iter(rows), 0
    while tried := list(islice(rows, NUM_TRIED)):
        num_rows += len(tried)
        if any(row.image is not None for row in tried):
            return ImageFinder("", data_dir, None)
        counts = [sum(finder.find(row.image_name) is not None for row in tried) for finder in finders]
        if best := max(counts, default=0):
            return finders[counts.index(best)]
    looked = " or ".join(str(data_dir / layout) for layout in manifest.files.images) or "the annotation files alone"
    raise UserError(f"none of the {num_rows} images of {manifest.name} was found (looked for {looked})")
