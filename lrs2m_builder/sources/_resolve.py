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
from lrs2m_builder.sources._state import below, changed_at

NUM_TRIED = 5000  # names on which the layouts are compared
MAX_SHOWN = 200  # characters of a name in a message
DEFAULT_LAYOUTS = (
    "{filename}",
    "*/{filename}",
    "**/{basename}",
)  # for rows that name files, if the manifest has no layouts
PARTS = {".tar", ".parquet", ".arrow"}  # formats that split one source into many files


def find_annotations(manifest: Manifest, data_dir: Path, patterns: Sequence[str]) -> tuple[Path, ...]:
    """The annotation file or folder of label files: the only match of the first glob that matches.

    A glob may match several tars, Parquet or Arrow files: they are the parts of one source, ordered by
    name.

    Raises:
        UserError: the folder does not exist, no file matches, or one glob matches several.
    """
    if not is_folder(data_dir):
        raise UserError(f"--data-dir {data_dir}: no such folder; {manifest.get}")
    for pattern in patterns:
        matches = sorted(data_dir.glob(pattern))
        if len(matches) > 1 and not {path.suffix for path in matches} <= PARTS:
            listed = ", ".join(str(path.relative_to(data_dir)) for path in matches)
            raise UserError(f"{data_dir}: more than one annotation file of {manifest.name}: {listed}; keep one of them")
        if waiting := next(filter(would_wait, matches), None):
            raise UserError(f"{waiting}: a pipe, socket or device; write its content to a regular file")
        if matches:
            return tuple(matches)
    looked = ", ".join(patterns)
    raise UserError(f"{data_dir}: no annotation file of {manifest.name} (looked for {looked}). {manifest.get}")


class ImageFinder:
    """Finds images by name in one layout of a data folder. A folder is listed once, not once per image.

    A name is searched as it is written first, then as other systems may have meant it (see `_names`): a URL, a path of
    another machine, another Unicode form. In each case exactly one file must match, and exactly one name of the list.

    Attributes:
        listed: when the names of each folder that was looked into last changed (ns), as seen before it was listed, and
            those of the folders above it; a folder is named below the data folder.
        layout: a path below the data folder, whose folders may be globs, with `{filename}` (the name as the source
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
        self.listed: dict[str, int] = {}

    def find(self, name: str) -> Path | None:
        """The only file of that name: as it is written, with another extension or Unicode form, or by another path."""
        return self.find_as_written(name) or self._find_loosely(name)[0]

    def find_as_written(self, name: str) -> Path | None:
        """The only file of that name in its own folder."""
        matches = self._matches(name, _BY_NAME)[0]
        return matches[0] if len(matches) == 1 else None

    def why_not(self, name: str) -> str:
        """Why an image was not found, with a path that was tried."""
        if not self.layout:
            return "not found in the annotation files"
        matches, reason = self._matches(name, _BY_NAME)[0], self._find_loosely(name)[1]
        if len(matches) > 1:
            reason = f"{len(matches)} files could be meant: {_shown(matches, self._data_dir)}"
        return f"not found as {self.layout}: {reason or f'there is no {self.path_of(name)}'}"

    def path_of(self, name: str) -> str:
        """The path below the data folder at which a name is searched."""
        fields = self._fields(next(iter(relative_paths(name)), name))
        return self.layout if fields is None else self.layout.format(**fields)

    def _find_loosely(self, name: str) -> tuple[Path | None, str]:
        """The only file that another system's name can mean; otherwise None and the reason, "" without a candidate."""
        if self._numbering is not None or "{" not in self.layout:
            return None, ""
        for rules in (_BY_NAME, _BY_STEM):
            for path in relative_paths(name):
                matches, rule = self._matches(path, rules)
                if len(matches) > 1:
                    return None, f"{len(matches)} files could be meant: {_shown(matches, self._data_dir)}"
                if matches and self._list and (other := self._list.other(name, path, rule)):
                    return None, f"{_shown(matches, self._data_dir)} could also be the file of {other!r}"
                if matches:
                    return matches[0], ""
        return None, ""

    def _matches(self, name: str, rules: Sequence[_Rule]) -> tuple[list[Path], _Rule]:
        """The files that match a name by the first rule that gives a match."""
        folders, file_name = self._look_in(name)
        for rule in rules:
            if matches := [path for folder in folders if (path := folder.find(file_name, rule))]:
                return matches, rule
        return [], rules[0]

    def _look_in(self, name: str) -> tuple[list[_Folder], str]:
        """The folders in which an image may be, and its file name there."""
        fields = self._fields(name)
        if fields is None:
            return [], ""
        parent, _, file_name = self.layout.format(**fields).rpartition("/")
        if self._is_glob:  # "[" or "*" inside a name is literal
            escaped = {key: glob.escape(value) if isinstance(value, str) else value for key, value in fields.items()}
            parent = self.layout.format(**escaped).rpartition("/")[0]
        return self._listed(parent), file_name

    def _listed(self, name: str) -> list[_Folder]:
        if name not in self._folders:
            self._note(self._data_dir / name)
            paths = _glob(self._data_dir, name) if self._is_glob else [_folder(self._data_dir, name)]
            folders = [path for path in paths if path and is_folder(path)]
            for path in folders:
                self._note(path)
            self._folders[name] = [_Folder(path) for path in folders]
        return self._folders[name]

    def _note(self, folder: Path) -> None:
        """Take the times of a folder and of those above it, up to the data folder."""
        while (name := below(folder, self._data_dir)) not in self.listed:
            self.listed[name] = changed_at(folder)
            if name == "." or folder == folder.parent:
                break
            folder = folder.parent

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
    except (OSError, ValueError):  # a part of the name is too long for a file name, or contains a NUL
        return []


def _folder(data_dir: Path, name: str) -> Path | None:
    """The folder of a name, or the one that differs only in letter case or Unicode form."""
    if is_folder(data_dir / name):
        return data_dir / name
    path = data_dir
    for part in name.split("/"):
        if not is_folder(path / part):
            alike = [name for name in _names(path) if same_letters(name) == same_letters(part)]
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
    """A way to match names: those with equal keys match. With `is_stem`, only image extensions count."""

    key: Callable[[str], str]
    is_stem: bool


_BY_NAME = (
    _Rule(str, False),
    _Rule(image_stem, True),  # the same image re-encoded (.jpg for .tif)
    _Rule(str.lower, False),
    _Rule(same_letters, False),
    _Rule(lambda name: same_letters(image_stem(name)), True),
)
_BY_STEM = (_Rule(original_stem, True),)


class _Folder:
    """The names in a folder; the index of each looser rule is built when first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names = set(_names(path))
        self._by_rule: dict[_Rule, dict[str, str | None]] = {}

    def find(self, name: str, rule: _Rule) -> Path | None:
        """The only file that matches a name by a rule; None if two match. A .txt does not match an image's stem."""
        if rule is _BY_NAME[0]:
            return self._path / name if name in self.names else None
        if rule not in self._by_rule:
            suffixes = (
                IMAGE_SUFFIXES | RASTER_SUFFIXES | {""}
            )  # no extension: a folder that holds the bands of an image
            names = (listed for listed in self.names if not rule.is_stem or splitext(listed)[1].lower() in suffixes)
            self._by_rule[rule] = _unique((rule.key(listed), listed) for listed in names)
        match = self._by_rule[rule].get(rule.key(name))
        return self._path / match if match else None


class _List:
    """All image names of a source, to see whether a file could also be another row's image; read when first needed."""

    def __init__(self, all_names: Callable[[], Iterable[str]]) -> None:
        self._all_names = all_names
        self._by_key: dict[_Rule, dict[str, list[tuple[str, str]]]] = {}

    def other(self, name: str, path: str, rule: _Rule) -> str | None:
        """Another name of the source whose path ends like `path` by a rule."""
        if rule not in self._by_key:
            index: dict[str, list[tuple[str, str]]] = {}
            for name in dict.fromkeys(self._all_names()):
                whole = next(iter(relative_paths(name)), "")
                index.setdefault(rule.key(whole.rpartition("/")[2]), []).append((name, _end(whole)))
            self._by_key[rule] = index
        folders, _, last = path.rpartition("/")
        end = _end(f"{folders}/") if folders else ""
        same = (other for other, whole in self._by_key[rule].get(rule.key(last), ()) if whole.endswith(end))
        return next((other for other in same if other != name), None)


def _end(path: str) -> str:
    """The folders of a path, each preceded by a mark."""
    return same_letters(f"/{path}").rpartition("/")[0] + "/"


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    names: dict[str, str | None] = {}
    for key, name in pairs:
        names[key] = None if key in names else name
    return names


def choose_layout(
    manifest: Manifest, data_dir: Path, rows: Iterable[SourceRow], all_names: Callable[[], Iterable[str]] | None = None
) -> ImageFinder:
    """The layout in which the most images are found.

    Archives of one data set come in several layouts, and a folder may hold parts of two of them; so each layout of
    the manifest is tried on the first rows, and the one that finds the most is used for all. No layout is needed if
    the source holds the images.

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
    """A name's vote for a layout: 2 if a file has exactly that name, 1 if a file could be meant."""
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
    """The content of the folder where a layout expects its images, for a message."""
    folder = data_dir / layout.rpartition("/")[0]
    while any(char in str(folder.relative_to(data_dir)) for char in "*?[{") or not is_folder(folder):
        folder = folder.parent
    names = sorted(_names(folder))
    return f"{folder} holds {storable(', '.join(names[:3])) + (', ...' if names[3:] else '') or 'nothing'}"
