"""Finds the files of a subset below the user's data folder."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from lrs2m_builder.declared.manifest import Manifest, Numbering
from lrs2m_builder.errors import UserError, storable
from lrs2m_builder.files import is_folder, would_wait
from lrs2m_builder.sources._listing import BY_NAME, BY_STEM, Folder, NameList, Rule, names_in
from lrs2m_builder.sources._names import image_stem, relative_paths, same_letters
from lrs2m_builder.sources._state import below, changed_at

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
        self._folders: dict[str, list[Folder]] = {}
        self._list = NameList(all_names) if all_names else None
        self.listed: dict[str, int] = {}

    def find(self, name: str) -> Path | None:
        """The only file of that name: as it is written, with another extension or Unicode form, or by another path."""
        return self.find_as_written(name) or self._find_loosely(name)[0]

    def find_as_written(self, name: str) -> Path | None:
        """The only file of that name in its own folder."""
        matches = self._matches(name, BY_NAME)[0]
        return matches[0] if len(matches) == 1 else None

    def why_not(self, name: str) -> str:
        """Why an image was not found, with a path that was tried."""
        if not self.layout:
            return "not found in the annotation files"
        matches, reason = self._matches(name, BY_NAME)[0], self._find_loosely(name)[1]
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
        for rules in (BY_NAME, BY_STEM):
            for path in relative_paths(name):
                matches, rule = self._matches(path, rules)
                if len(matches) > 1:
                    return None, f"{len(matches)} files could be meant: {_shown(matches, self._data_dir)}"
                if matches and self._list and (other := self._list.other(name, path, rule)):
                    return None, f"{_shown(matches, self._data_dir)} could also be the file of {other!r}"
                if matches:
                    return matches[0], ""
        return None, ""

    def _matches(self, name: str, rules: Sequence[Rule]) -> tuple[list[Path], Rule]:
        """The files that match a name by the first rule that gives a match."""
        folders, file_name = self._look_in(name)
        for rule in rules:
            if matches := [path for folder in folders if (path := folder.find(file_name, rule))]:
                return matches, rule
        return [], rules[0]

    def _look_in(self, name: str) -> tuple[list[Folder], str]:
        """The folders in which an image may be, and its file name there."""
        fields = self._fields(name)
        if fields is None:
            return [], ""
        parent, _, file_name = self.layout.format(**fields).rpartition("/")
        if self._is_glob:  # "[" or "*" inside a name is literal
            escaped = {key: glob.escape(value) if isinstance(value, str) else value for key, value in fields.items()}
            parent = self.layout.format(**escaped).rpartition("/")[0]
        return self._listed(parent), file_name

    def _listed(self, name: str) -> list[Folder]:
        if name not in self._folders:
            self._note(self._data_dir / name)
            paths = _glob(self._data_dir, name) if self._is_glob else [_folder(self._data_dir, name)]
            folders = [path for path in paths if path and is_folder(path)]
            for path in folders:
                self._note(path)
            self._folders[name] = [Folder(path) for path in folders]
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
            alike = [name for name in names_in(path) if same_letters(name) == same_letters(part)]
            if len(alike) != 1:
                return None
            part = alike[0]
        path /= part
    return path


def _leads_out(name: str) -> bool:
    """Whether a name would lead out of the data folder."""
    return name.startswith("/") or (".." in name and ".." in name.split("/"))


def _shown(paths: Sequence[Path], data_dir: Path) -> str:
    return ", ".join(storable(str(path.relative_to(data_dir))) for path in paths[:2])
