"""Vector labels as anchors: which object classes an image holds, and how many of each.

A folder with one label file per image (DOTA `.txt`, GeoJSON, VOC `.xml`, masks), named after the image; or one file
for all (COCO `.json`, `.jsonl`, GeoJSON whose features name their image). Each format has one module: it reads objects
and their outlines. These are matched to the image once it is found, to see which of them it shows (`laying.py`); then
they are counted, and of each its box is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import open_regular
from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import Anchor, ImageRef
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources.vector_labels import coco, dota, geojson, jsonl, mask, voc
from lrs2m_builder.sources.vector_labels.classes import in_words, make_anchors, stated_classes
from lrs2m_builder.sources.vector_labels.laying import EDGE_AREA, Limits, lay
from lrs2m_builder.sources.vector_labels.placing import frame_of
from lrs2m_builder.sources.vector_labels.shapes import ImageLabels, Unusable

_OneImage = Callable[[Path], ImageLabels]
_LINES = {".jsonl", ".ndjson"}


def read(
    path: Path,
    *,
    classes: Mapping[Any, str | None] | None = None,
    prefix: str = "",
    suffix: str = "",
    class_properties: Sequence[str] = ("class",),
    class_name: str = "",
    image_property: str = "image_id",
    skip_difficult: bool = False,
    min_share: float = 0.01,
    countable: Sequence[str] = (),
    min_area: int | None = None,
    min_object_share: float = 0.00001,
    min_inside: float = 0.3,
    lay_over: bool = True,
) -> Iterator[SourceRow]:
    """Yield one row per image; a folder's label files in order of name.

    Args:
        classes: the caption words of a label class; null drops the class. A class not listed keeps its
            own words. Masks: every pixel value (or colour "#rrggbb") must be named.
        prefix, suffix: use only a folder's label files whose name (without extension) begins and ends so; neither is
            part of the image's name.
        class_properties: GeoJSON: the properties with an object's class; the first that is set counts; if its value
            is only yes (OpenStreetMap's building=yes), the class is the property's name.
        class_name: GeoJSON: the class of objects without one; "" drops them.
        image_property: GeoJSON, one file for all images: the property that names an object's image.
        skip_difficult: drop objects marked as hard to see.
        min_share: masks: the share of an image's pixels that a class must cover to be an anchor.
        countable: masks: caption words of classes whose connected regions are counted as objects; the others are
            named without a number.
        min_area: pixels of the smallest object; by default 32 for a mask's regions and for outlines at the image's
            edge, 9 for other outlines.
        min_object_share: the share of an image's pixels that an outlined object must cover to be seen.
        min_inside: the share of an outlined object that must be in the image.
        lay_over: compare outlines with the image; false accepts every label, whatever the image's size and location.

    Raises:
        UserError: a file is broken or of unknown format (the message names file and line), or a class
            is not a word that a caption could use.
    """
    words = stated_classes(classes)
    statement = geojson.Statement(class_properties, class_name, words, skip_difficult)
    masks = mask.Masks(words, min_share, tuple(countable), EDGE_AREA if min_area is None else min_area)
    limits = Limits(min_area, min_object_share, min_inside)
    shares = {"min_share": min_share, "min_object_share": min_object_share, "min_inside": min_inside}
    if wrong := next((name for name, share in shares.items() if not 0 <= share <= 1), None):
        raise UserError(f"option {wrong}: a share from 0 to 1, not {shares[wrong]}")
    in_geojson = partial(geojson.find, statement=statement)
    one_image: dict[str, _OneImage] = {
        ".txt": partial(dota.find, skip_difficult=skip_difficult),
        ".geojson": in_geojson,
        ".xml": partial(voc.find, skip_difficult=skip_difficult),
    }
    as_json = dict.fromkeys((".json", ".geojsonl", *sorted(_LINES)), in_geojson)
    kinds = (one_image, as_json, dict.fromkeys(mask.SUFFIXES, masks.find))
    entries: Iterator[tuple[str, ImageLabels | Unusable]]
    if path.is_dir():
        entries = _each_file(path, kinds, prefix, suffix)
    elif path.suffix.lower() == ".json" and not geojson.is_geojson(path):
        entries = coco.read(path, skip_difficult)
    elif path.suffix.lower() in _LINES and not geojson.is_geojson(path):
        entries = jsonl.read(path)
    elif path.suffix.lower() in {".geojson", *as_json} and geojson.names_images(path, image_property):
        entries = geojson.find_by_image(path, statement, image_property)
    else:
        entries = _each_file(path.parent, kinds, only=path)
    for name, labels in entries:
        if isinstance(labels, Unusable):
            yield SourceRow(name, problem=(labels.reason, labels.detail))
        else:
            in_words = _in_words(labels, words)
            yield SourceRow(name, anchors_in=partial(_anchors, in_words, limits, lay_over))


def _in_words(labels: ImageLabels, words: Mapping[str, str | None]) -> ImageLabels:
    """The labels with their classes in caption words, without dropped classes."""
    named = ((in_words(labels.file, thing.name, words), thing) for thing in labels.things)
    things = tuple(replace(thing, name=name) for name, thing in named if name is not None)
    note = f"all of its {len(labels.things)} objects are of classes that are left out"
    return replace(labels, things=things, note=note if labels.things and not things else labels.note)


def _anchors(
    labels: ImageLabels, limits: Limits, lay_over: bool, image: ImageRef | None, part: Part
) -> tuple[Anchor, ...]:
    """The anchors of an image.

    Raises:
        SampleError: the image has no anchors or is not an image.
    """
    frame = None
    if lay_over and image is not None and (labels.size or any(thing.parts for thing in labels.things)):
        frame = frame_of(image, part, labels.on_earth)
    return make_anchors(lay(labels, frame, limits))


def _each_file(
    folder: Path, kinds: Sequence[Mapping[str, _OneImage]], prefix: str = "", suffix: str = "", only: Path | None = None
) -> Iterator[tuple[str, ImageLabels | Unusable]]:
    """Yield the labels of each file of a folder; JSON and images count as labels only without a more certain kind."""
    files = [only] if only else sorted(file for file in folder.iterdir() if file.name[0] != ".")  # macOS adds ._1.txt
    for kind in kinds:
        readable = [(file, kind[file.suffix.lower()]) for file in files if file.suffix.lower() in kind]
        if readable:
            break
    else:
        looked = ", ".join(suffix for kind in kinds for suffix in kind)
        if only is not None:
            raise UserError(f"{only}: no label file (known: {looked})")
        raise UserError(f"{folder}: no label file in it (looked for {looked}); it holds {_contents(files)}")
    chosen = [(file, find) for file, find in readable if file.stem.startswith(prefix) and file.stem.endswith(suffix)]
    if not chosen:
        example = readable[0][0].name
        raise UserError(
            f"{folder}: none of its {len(readable)} label files, such as {example}, is named {prefix}...{suffix}"
        )
    for file, find in chosen:
        name = file.stem.removeprefix(prefix).removesuffix(suffix)
        try:
            open_regular(file).close()
            labels: ImageLabels | Unusable = find(file)
        except OSError as error:  # of one image's label file
            labels = Unusable("label_unreadable", f"{file}: {error.strerror or error}")
        yield name, labels


def _contents(files: Sequence[Path]) -> str:
    """The content of a folder by extension, with an example of each."""
    first: dict[str, Path] = {}
    counts = Counter("folders" if file.is_dir() else file.suffix or "no extension" for file in files)
    for file in files:
        first.setdefault("folders" if file.is_dir() else file.suffix or "no extension", file)
    listed = (f"{count} {kind} (such as {first[kind].name})" for kind, count in counts.most_common(5))
    return ", ".join(listed) or "nothing"
