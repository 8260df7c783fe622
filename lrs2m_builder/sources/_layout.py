"""Chooses the layout of an archive: the one in which the most images are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.errors import UserError, storable
from lrs2m_builder.files import is_folder
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._listing import names_in
from lrs2m_builder.sources._resolve import ImageFinder

NUM_TRIED = 5000  # names on which the layouts are compared
MAX_SHOWN = 200  # characters of a name in a message
DEFAULT_LAYOUTS = (
    "{filename}",
    "*/{filename}",
    "**/{basename}",
)  # if the manifest has none


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
    names = sorted(names_in(folder))
    return f"{folder} holds {storable(', '.join(names[:3])) + (', ...' if names[3:] else '') or 'nothing'}"
