"""Vector labels as anchors: which object classes an image holds, and how many of each.

One folder with a label file an image (DOTA `.txt`, GeoJSON, VOC `.xml`, else masks), named after the image; or one file
for all (COCO `.json`, `.jsonl`). Each form is one file here: it says which classes an image holds and how many of each;
boxes and outlines are counted, not kept, because neither prompt nor check has a use for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.opening import open_regular
from lrs2m_builder.sources.base import SourceRow
from lrs2m_builder.sources.vector_labels import coco, dota, geojson, jsonl, mask, voc
from lrs2m_builder.sources.vector_labels.classes import Found, make_anchors, stated_classes

_OneImage = Callable[[Path], Iterator[Found]]


def read(
    path: Path,
    *,
    classes: Mapping[Any, str | None] | None = None,
    prefix: str = "",
    suffix: str = "",
    class_properties: Sequence[str] = ("class",),
    class_name: str = "",
    skip_difficult: bool = False,
    min_share: float = 0.01,
    countable: Sequence[str] = (),
    min_area: int = 100,
) -> Iterator[SourceRow]:
    """Yield one row an image; label files of a folder in the order of their names.

    Args:
        classes: what a caption calls a class of the labels; null leaves it out. One that is not named here keeps its
            own words. Masks: every pixel value (or colour "#rrggbb") must be named.
        prefix, suffix: of a folder, only label files whose name (without extension) begins and ends so; neither is
            part of the image's name.
        class_properties: GeoJSON: the properties that state an object's class, the first that is set counts; one that
            only says yes (OpenStreetMap's building=yes) stands for its own name.
        class_name: GeoJSON: the class of objects that state none; "" leaves them out.
        skip_difficult: DOTA and VOC: leave out objects marked as hard to see.
        min_share: masks: of an image's pixels, what a class must cover to be an anchor.
        countable: masks: caption words of classes whose connected regions are objects, to be counted; the others are
            named without a number.
        min_area: masks: pixels of the smallest region that is an object.

    Raises:
        UserError: a file is broken or of no known form (the file is named, and the line where it has lines), or a class
            is no word that a caption could use.
    """
    words = stated_classes(classes)
    one_image: dict[str, _OneImage] = {
        ".txt": partial(dota.find, skip_difficult=skip_difficult),
        ".geojson": partial(geojson.find, properties=class_properties, default=class_name, classes=words),
        ".xml": partial(voc.find, skip_difficult=skip_difficult),
    }
    if path.is_dir():
        is_mask = mask.Masks(words, min_share, tuple(countable), min_area)
        for file, find in _label_files(path, one_image, is_mask.find):
            if file.stem.startswith(prefix) and file.stem.endswith(suffix):
                name = file.stem.removeprefix(prefix).removesuffix(suffix)
                try:
                    open_regular(file).close()
                    anchors = make_anchors(file, find(file), words)
                except OSError as error:  # of one image's label file
                    problem = ("label_unreadable", f"{file}: {error.strerror or error}")
                    yield SourceRow(name, problem=problem)
                else:
                    yield SourceRow(name, anchors=anchors)
    else:
        entries = jsonl.read(path) if path.suffix == ".jsonl" else coco.read(path)
        for name, found in entries:
            yield SourceRow(name, anchors=make_anchors(path, found, words))


def _label_files(
    folder: Path, one_image: Mapping[str, _OneImage], find_in_mask: _OneImage
) -> list[tuple[Path, _OneImage]]:
    """The label files with what reads them; pictures are masks only where no other label file is."""
    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))  # macOS leaves ._1.txt
    if found := [(file, one_image[file.suffix]) for file in files if file.suffix in one_image]:
        return found
    if found := [(file, find_in_mask) for file in files if file.suffix.lower() in mask.SUFFIXES]:
        return found
    raise UserError(f"{folder}: no label file in it (looked for {', '.join([*one_image, *mask.SUFFIXES])})")
