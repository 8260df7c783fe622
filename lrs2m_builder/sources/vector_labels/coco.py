"""COCO's `.json`: images, categories and annotations of a whole data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.vector_labels.files import load_json
from lrs2m_builder.sources.vector_labels.shapes import (
    ImageLabels,
    LabelledObject,
    Ring,
    Unusable,
    box,
    cut_share,
    flag,
    number,
    pairs,
)


def read(path: Path, skip_difficult: bool = False) -> Iterator[tuple[str, ImageLabels | Unusable]]:
    """Yield the name of each image and its labels; at the end, images named only by annotations.

    Raises:
        UserError: an entry is not of COCO's form, an id is duplicated, or a category is missing (the entry is given).
    """
    content = load_json(path)
    _check_form(path, content)
    images = _by_id(path, content, "images", "file_name")
    categories = _by_id(path, content, "categories", "name")
    things: dict[str, list[LabelledObject]] = {key: [] for key in images}
    orphans: dict[str, Unusable] = {}
    for place, annotation in enumerate(content["annotations"]):
        try:
            if not isinstance(annotation, dict):
                raise ValueError(f"not an object: {annotation!r}"[:100])
            image, category = _id(annotation, "image_id"), _id(annotation, "category_id")
            if category not in categories:
                raise ValueError(f"category_id {category} is not among the {len(categories)} categories")
            thing = _thing(annotation, str(categories[category]["name"]))
        except ValueError as error:
            raise UserError(f"{path}: annotations[{place}]: {error}") from error
        if image not in images:
            detail = f"{path}: annotations[{place}] names image {image}, which is not among the images"
            orphans.setdefault(image, Unusable("label_without_image", detail))
        elif not (skip_difficult and flag(annotation.get("difficult"))):
            things[image].append(thing)
    for key, entry in images.items():
        note = "no annotation of this image in it"
        yield entry["file_name"], ImageLabels(path, tuple(things[key]), _size(entry), note=note)
    yield from ((f"image {key}", orphan) for key, orphan in orphans.items())


def _check_form(path: Path, content: Any) -> None:
    if not isinstance(content, dict):
        raise UserError(f'{path}: not COCO: expected an object with a list "images" and others')
    annotations = content.get("annotations")
    first = annotations[0] if isinstance(annotations, list) and annotations else None
    if isinstance(first, dict) and "caption" in first and "category_id" not in first:
        raise UserError(f"{path}: these are captions, not objects; read them with format: karpathy_json")
    for key in ("images", "categories", "annotations"):
        if not isinstance(content.get(key), list):
            keys = ", ".join(map(repr, list(content)[:6])) or "nothing"
            raise UserError(f'{path}: not COCO: no list "{key}"; it holds {keys}')


def _by_id(path: Path, content: dict[str, Any], kind: str, name: str) -> dict[str, dict[str, Any]]:
    """The images or categories by id; ids are unique and every entry has a name."""
    by_id: dict[str, dict[str, Any]] = {}
    places: dict[str, int] = {}
    for place, entry in enumerate(content[kind]):
        try:
            if not isinstance(entry, dict):
                raise ValueError(f"not an object: {entry!r}"[:100])
            key = _id(entry, "id")
            if not _is_name(entry.get(name), or_number=kind == "categories"):
                raise ValueError(f"{name} is {entry.get(name)!r}"[:100] if name in entry else f"no {name}")
            if key in by_id:
                raise ValueError(f"id {key} is also the id of {kind}[{places[key]}]")
        except ValueError as error:
            raise UserError(f"{path}: {kind}[{place}]: {error}") from error
        by_id[key], places[key] = entry, place
    return by_id


def _is_name(value: Any, *, or_number: bool) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return or_number and isinstance(value, int | float) and not isinstance(value, bool)


def _id(entry: dict[str, Any], key: str) -> str:
    """An id as text: exporters write 7, "7" and 7.0 for the same image."""
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        raise ValueError(f"no {key}" if value is None else f"{key} is {value!r}"[:100])
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _thing(annotation: dict[str, Any], name: str) -> LabelledObject:
    """An object; a crowd, one outline around many objects, is not counted."""
    crowd = annotation.get("iscrowd")
    if str(crowd).strip().lower() not in {"none", "", "0", "1", "0.0", "1.0", "false", "true", "no", "yes"}:
        raise ValueError(f"iscrowd is {crowd!r}"[:100])
    truncated, inside = cut_share(annotation.get("truncated", ""))
    count = None if flag(crowd) or crowd == 1 else 1
    parts = _outlines(annotation.get("segmentation")) or _box(annotation.get("bbox"))
    area = annotation.get("area")
    is_known = isinstance(area, int | float) and not isinstance(area, bool) and area > 0 and not parts
    return LabelledObject(name, count, "area", parts, (), truncated, inside, float(area) if is_known and area else None)


def _outlines(segmentation: Any) -> tuple[Ring, ...]:
    """The outlines of a list of polygons; empty for a run-length code, whose box is used instead."""
    if not isinstance(segmentation, list):
        return ()
    polygons = segmentation if all(isinstance(polygon, list) for polygon in segmentation) else [segmentation]
    if not all(len(polygon) % 2 == 0 for polygon in polygons):
        raise ValueError("segmentation: a polygon with an odd number of coordinates")
    return tuple(pairs([number(value) for value in polygon]) for polygon in polygons if len(polygon) >= 6)


def _box(values: Any) -> tuple[Ring, ...]:
    if values is None or values == []:
        return ()
    if not isinstance(values, list) or len(values) != 4:
        raise ValueError(f"bbox is {values!r}, not x, y, width, height"[:120])
    left, top, width, height = map(number, values)
    return (box(left, top, left + width, top + height),)


def _size(image: dict[str, Any]) -> tuple[float, float] | None:
    """The image size in the file; some files state no size, or 0."""
    try:
        width, height = number(image.get("width")), number(image.get("height"))
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None
