"""Finds the files of a subset below the user's data folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from lrs2m_builder.errors import UserError
from lrs2m_builder.manifest import Manifest, Numbering


def find_annotations(manifest: Manifest, data_dir: Path) -> Path:
    """The annotation file: the one match of the first glob that matches.

    Raises:
        UserError: the folder is not there, no file matches, or one glob matches several.
    """
    if not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir}: no such folder; {manifest.get}")
    for pattern in manifest.files.annotations:
        matches = sorted(path for path in data_dir.glob(pattern) if path.is_file())
        if len(matches) > 1:
            found = ", ".join(str(path.relative_to(data_dir)) for path in matches)
            raise UserError(f"{data_dir}: more than one annotation file of {manifest.name}: {found}; keep one of them")
        if matches:
            return matches[0]
    looked = ", ".join(manifest.files.annotations)
    raise UserError(f"{data_dir}: no annotation file of {manifest.name} (looked for {looked}). {manifest.get}")


def resolve_images(manifest: Manifest, data_dir: Path, names: Sequence[str]) -> tuple[str, dict[str, Path]]:
    """Find the image files.

    Archives of one data set come in several layouts, and a folder may hold parts of two of them; so each
    layout of the manifest is tried on all names and the one that finds most is used for all.

    Returns:
        The layout, and the file of every name that has one.
    """
    best: tuple[str, dict[str, Path]] = (manifest.files.images[0], {})
    for layout in manifest.files.images:
        find = _finder(layout, data_dir, manifest.numbering)
        found = {name: path for name in names if (path := find(name))}
        if len(found) > len(best[1]):
            best = (layout, found)
        if len(found) == len(names):
            break
    return best


def _finder(layout: str, data_dir: Path, numbering: Numbering | None) -> Callable[[str], Path | None]:
    """A function from an image's name to its file in one layout. Folders are listed once, not once an image."""
    listed: dict[str, dict[str, list[Path]]] = {}
    is_glob = any(char in str(PurePosixPath(layout).parent) for char in "*?[")

    def folder_files(folder: str) -> dict[str, list[Path]]:
        if folder not in listed:
            files: dict[str, list[Path]] = {}
            folders = sorted(data_dir.glob(folder)) if is_glob else [data_dir / folder]
            for path in (path for each in folders if each.is_dir() for path in sorted(each.iterdir())):
                files.setdefault(path.name, []).append(path)
                files.setdefault(path.stem + ".*", []).append(path)
            listed[folder] = files
        return listed[folder]

    def find(name: str) -> Path | None:
        fields = _fields(name, numbering)
        if fields is None or (numbering is None and "{class_name}" in layout):
            return None
        wanted = PurePosixPath(layout.format(**fields))
        files = folder_files(str(wanted.parent))
        # The same picture re-encoded (.jpg for .tif) is accepted where the named file is not there.
        matches = files.get(wanted.name) or files.get(wanted.stem + ".*") or []
        return matches[0] if len(matches) == 1 else None

    return find


def _fields(name: str, numbering: Numbering | None) -> dict[str, str | int] | None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return None  # a name may not lead out of the data folder
    fields: dict[str, str | int] = {"filename": name, "stem": path.stem}
    if numbering is not None:
        number = int(path.stem) - 1 if path.stem.isdecimal() else -1
        if not 0 <= number < numbering.per_class * len(numbering.classes):
            return None
        fields["class_name"] = numbering.classes[number // numbering.per_class]
        fields["index"] = number % numbering.per_class
    return fields
