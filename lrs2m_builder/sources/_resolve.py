"""Finds the files of a subset below the user's data folder."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from posixpath import splitext

from lrs2m_builder.declared.manifest import Manifest, Numbering
from lrs2m_builder.errors import UserError, storable
from lrs2m_builder.images.files import IMAGE_SUFFIXES, RASTER_SUFFIXES
from lrs2m_builder.opening import is_folder, would_wait
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._names import image_stem, original_stem, relative_paths, same_letters

NUM_TRIED = 5000  # names on which the layouts are compared
MAX_SHOWN = 200  # characters of a name in a message
DEFAULT_LAYOUTS = ("{filename}", "*/{filename}", "**/{basename}")  # of rows that name files, if the manifest has none
PARTS = {".tar", ".parquet", ".arrow"}  # formats that come in many files of one source


def find_annotations(manifest: Manifest, data_dir: Path, patterns: Sequence[str]) -> tuple[Path, ...]:
    """The annotation file, or the folder of label files: the one match of the first of the globs that matches.

    A glob may match several tars, Parquet or Arrow files: they are the parts of one source, in the order of their
    names.

    Raises:
        UserError: the folder is not there, no file matches, or one glob matches several.
    """
    if not is_folder(data_dir):
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


class ImageFinder:
    """Finds images by name in one layout of a data folder. A folder is listed once, not once an image.

    A name is looked for as it is written first, then as other systems may have meant it (see `names`): a URL, a path of
    another machine, other letters for the same. Whatever the way, one file must fit, and one name of the list.

    Attributes:
        layout: a path below the data folder, its folders possibly globs, with `{filename}` (the name as the source
            has it), `{basename}`, `{stem}`, and for a numbered archive `{class_name}` and `{index}`; "" finds nothing.
    """

    def __init__(
        self,
        layout: str,
        data_dir: Path,
        numbering: Numbering | None,
        all_names: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self.layout = layout
        self._data_dir, self._numbering = data_dir, numbering
        self._is_glob = any(char in str(PurePosixPath(layout).parent) for char in "*?[")
        self._usable = bool(layout) and (numbering is not None or "{class_name}" not in layout)
        self._folders: dict[str, list[_Folder]] = {}
        self._list = _List(all_names) if all_names else None

    def find(self, name: str) -> Path | None:
        """The one file of that name: as it is written, with another extension, in other letters, or by another path."""
        return self.find_as_written(name) or self._find_loosely(name)[0]

    def find_as_written(self, name: str) -> Path | None:
        """The one file of that name in its own folder."""
        matches = self._matches(name, _BY_NAME)[0]
        return matches[0] if len(matches) == 1 else None

    def why_not(self, name: str) -> str:
        """Why an image was not found, with a path that was looked for."""
        if not self.layout:
            return "not found in the annotation files"
        matches, reason = self._matches(name, _BY_NAME)[0], self._find_loosely(name)[1]
        if len(matches) > 1:
            reason = f"{len(matches)} files could be meant: {_shown(matches, self._data_dir)}"
        return f"not found as {self.layout}: {reason or f'there is no {self.path_of(name)}'}"

    def path_of(self, name: str) -> str:
        """The path below the data folder at which a name is looked for."""
        fields = self._fields(next(iter(relative_paths(name)), name))
        return self.layout if fields is None else self.layout.format(**fields)

    def _find_loosely(self, name: str) -> tuple[Path | None, str]:
        """The one file that a name of another system means; else why none, if that can be said."""
        if self._numbering is not None or "{" not in self.layout:
            return None, ""
        for rules in (_BY_NAME, _BY_STEM):
            for path in relative_paths(name):
                matches, rule = self._matches(path, rules)
                if len(matches) > 1:
                    return None, f"{len(matches)} files could be meant: {_shown(matches, self._data_dir)}"
                if matches and self._list and (other := self._list.other(name, path, rule)):
                    return None, f"{_shown(matches, self._data_dir)} could be that of {other!r} as well"
                if matches:
                    return matches[0], ""
        return None, ""

    def _matches(self, name: str, rules: Sequence[_Rule]) -> tuple[list[Path], _Rule]:
        """The files that fit a name by the first rule by which any does."""
        folders, wanted = self._look_in(name)
        for rule in rules:
            if matches := [path for folder in folders if (path := folder.find(wanted, rule))]:
                return matches, rule
        return [], rules[0]

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
            paths = _glob(self._data_dir, name) if self._is_glob else [_folder(self._data_dir, name)]
            self._folders[name] = [_Folder(path) for path in paths if path and is_folder(path)]
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
    except (OSError, ValueError):  # a part of a name is longer than any file's, or holds a NUL
        return []


def _folder(data_dir: Path, name: str) -> Path | None:
    """The folder of a name, or the one whose parts differ in letter case or Unicode form alone."""
    if is_folder(data_dir / name):
        return data_dir / name
    path = data_dir
    for part in name.split("/"):
        if not is_folder(path / part):
            alike = [each for each in _names(path) if same_letters(each) == same_letters(part)]
            if len(alike) != 1:
                return None
            part = alike[0]
        path /= part
    return path


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:  # its images are not found
        return []


def _leads_out(name: str) -> bool:
    """Whether a name would lead out of the data folder."""
    return name.startswith("/") or (".." in name and ".." in name.split("/"))


def _shown(paths: Sequence[Path], data_dir: Path) -> str:
    return ", ".join(storable(str(path.relative_to(data_dir))) for path in paths[:2])


@dataclass(frozen=True, slots=True)
class _Rule:
    """A way in which a file's name may fit: both have the same key; None for pictures of any extension alone."""

    key: Callable[[str], str]
    is_stem: bool


_BY_NAME = (
    _Rule(str, False),
    _Rule(image_stem, True),  # the same picture re-encoded (.jpg for .tif)
    _Rule(str.lower, False),
    _Rule(same_letters, False),
    _Rule(lambda name: same_letters(image_stem(name)), True),
)
_BY_STEM = (_Rule(original_stem, True),)


class _Folder:
    """The names in a folder; the looser ways to find one are prepared when they are first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names = set(_names(path))
        self._by_rule: dict[_Rule, dict[str, str | None]] = {}

    def find(self, name: str, rule: _Rule) -> Path | None:
        """The one file that fits a name by a rule; None if two do. A .txt is no picture of another extension."""
        if rule is _BY_NAME[0]:
            return self._path / name if name in self.names else None
        if rule not in self._by_rule:
            known = IMAGE_SUFFIXES | RASTER_SUFFIXES | {""}  # without one: a folder that holds the bands of an image
            names = (each for each in self.names if not rule.is_stem or splitext(each)[1].lower() in known)
            self._by_rule[rule] = _unique((rule.key(each), each) for each in names)
        found = self._by_rule[rule].get(rule.key(name))
        return self._path / found if found else None


class _List:
    """All names of a source, to see whether a file could be the image of another one too; read when first needed."""

    def __init__(self, all_names: Callable[[], Iterable[str]]) -> None:
        self._all_names = all_names
        self._by_key: dict[_Rule, dict[str, list[tuple[str, str]]]] = {}

    def other(self, name: str, path: str, rule: _Rule) -> str | None:
        """Another name of the list whose path ends like `path` by a rule."""
        if rule not in self._by_key:
            index: dict[str, list[tuple[str, str]]] = {}
            for each in dict.fromkeys(self._all_names()):
                whole = next(iter(relative_paths(each)), "")
                index.setdefault(rule.key(whole.rpartition("/")[2]), []).append((each, _end(whole)))
            self._by_key[rule] = index
        folders, _, last = path.rpartition("/")
        end = _end(f"{folders}/") if folders else ""
        same = (other for other, whole in self._by_key[rule].get(rule.key(last), ()) if whole.endswith(end))
        return next((other for other in same if other != name), None)


def _end(path: str) -> str:
    """The folders of a path, with a mark before each."""
    return same_letters(f"/{path}").rpartition("/")[0] + "/"


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for key, name in pairs:
        found[key] = None if key in found else name
    return found


def choose_layout(
    manifest: Manifest, data_dir: Path, rows: Iterable[SourceRow], all_names: Callable[[], Iterable[str]] | None = None
) -> ImageFinder:
    """The layout in which most images are found.

    Archives of one data set come in several layouts, and a folder may hold parts of two of them; so each layout of
    the manifest is tried on the first rows, and the one that finds most is used for all. None is needed where
    the source holds the images itself.

    Raises:
        UserError: not one image was found in any layout.
    """
    layouts = manifest.files.images or DEFAULT_LAYOUTS
    finders = [ImageFinder(layout, data_dir, manifest.numbering, all_names) for layout in layouts]
    rows, num_rows, first = iter(rows), 0, None
    while tried := list(islice(rows, NUM_TRIED)):
        num_rows += len(tried)
        first = first or tried[0]
        names = [row.image_file or row.image_name for row in tried if row.image is None and row.problem is None]
        held = any(row.image is not None for row in tried)
        if held and not names:
            return ImageFinder("", data_dir, None)
        counts = [sum(map(partial(_points, finder), names)) for finder in finders]
        if held or max(counts) > 0:
            return finders[counts.index(max(counts))]
    raise UserError(_nothing_found(manifest, data_dir, finders, num_rows, first))


def _points(finder: ImageFinder, name: str) -> int:
    """What a name says for a layout: 2 if a file is called so, 1 if one could be meant."""
    return 2 if finder.find_as_written(name) else 1 if finder.find(name) else 0


def _nothing_found(
    manifest: Manifest, data_dir: Path, finders: Sequence[ImageFinder], num_rows: int, first: SourceRow | None
) -> str:
    if first is None or not (first.problem is None or first.problem[0] == "bad_name"):
        what = f"; the first: {first.problem[1]}" if first and first.problem else ""
        return f"{data_dir}: none of the {num_rows} images of {manifest.name} can be used{what}"
    name = first.image_file or first.image_name
    name = name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}..."
    looked = " or ".join(str(data_dir / finder.layout) for finder in finders)
    paths = ", ".join(dict.fromkeys(finder.path_of(name) for finder in finders))
    return (
        f"none of the {num_rows} images of {manifest.name} was found (looked for {looked}); for the first, {name!r}, "
        f"that is {paths} in {data_dir}; {_there(data_dir, finders[0].layout)}"
    )


def _there(data_dir: Path, layout: str) -> str:
    """What is in the folder where a layout would have its images, for a message."""
    folder = data_dir / layout.rpartition("/")[0]
    while any(char in str(folder.relative_to(data_dir)) for char in "*?[{") or not is_folder(folder):
        folder = folder.parent
    names = sorted(_names(folder))
    return f"{folder} holds {storable(', '.join(names[:3])) + (', ...' if names[3:] else '') or 'nothing'}"
