"""Vector labels as anchors: which object classes an image holds, and how many of each.

One folder with a label file an image (DOTA `.txt`, GeoJSON, VOC `.xml`), named after the image; or one file for all
(COCO `.json`, `.jsonl` with `{"image", "anchors": [{"class", "count"}]}`). Boxes and outlines are counted, not kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Anchor
from lrs2m_builder.sources.base import SourceRow

_YES = {"yes", "true", "1"}


def read(
    path: Path, class_properties: tuple[str, ...] | list[str] = ("class",), class_name: str = ""
) -> Iterator[SourceRow]:
    """Yield one row an image; label files of a folder in the order of their names.

    Args:
        class_properties: GeoJSON: the properties that state an object's class, the first that is set counts; one that
            only says yes (OpenStreetMap's building=yes) stands for its own name.
        class_name: GeoJSON: the class of objects that state none; "" leaves them out.

    Raises:
        UserError: a file is broken or of no known form (the file is named, and the line where it has lines).
    """
    if path.is_dir():
        for file in sorted(p for p in path.iterdir() if p.suffix in _ONE_IMAGE):
            counts = _ONE_IMAGE[file.suffix](file, tuple(class_properties), class_name)
            yield SourceRow(file.stem, anchors=_anchors(counts))
    elif path.suffix == ".jsonl":
        yield from _read_jsonl(path)
    else:
        yield from _read_coco(path)


def clean_class(name: str) -> str:
    """A class as a caption would say it: "ground-track-field" and "storage_tank" with spaces, in lower case."""
    return " ".join(name.replace("-", " ").replace("_", " ").lower().split())


def _anchors(counts: Mapping[str, int | None]) -> tuple[Anchor, ...]:
    return tuple(Anchor(name, count) for name, count in sorted(counts.items()))


def _count_dota(path: Path, _properties: tuple[str, ...], _class: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number, line in enumerate(_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields or line.startswith(("imagesource", "gsd")):
            continue
        if len(fields) < 9:
            raise UserError(f"{path}: line {number}: not eight corner coordinates and a class")
        counts[clean_class(fields[8])] += 1
    return counts


def _count_geojson(path: Path, properties: tuple[str, ...], class_name: str) -> Counter[str]:
    if not path.stat().st_size:
        return Counter()  # tools write an empty file where a tile has no object
    content = _json(path)
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        raise UserError(f'{path}: no list "features"; is this GeoJSON?')
    counts: Counter[str] = Counter()
    for feature in features:
        stated = feature.get("properties") or {} if isinstance(feature, dict) else {}
        key = next((name for name in properties if stated.get(name)), None)
        value = str(stated[key]) if key else class_name
        if value:
            counts[clean_class(key if key and value.lower() in _YES else value)] += 1
    return counts


def _count_voc(path: Path, _properties: tuple[str, ...], _class: str) -> Counter[str]:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: line {error.position[0]}: not XML: {error}") from error
    return Counter(clean_class(item.findtext("name") or "") for item in root.iter("object") if item.findtext("name"))


_ONE_IMAGE: dict[str, Callable[[Path, tuple[str, ...], str], Counter[str]]] = {
    ".txt": _count_dota,
    ".geojson": _count_geojson,
    ".xml": _count_voc,
}


def _read_coco(path: Path) -> Iterator[SourceRow]:
    content = _json(path)
    try:
        names = {category["id"]: clean_class(category["name"]) for category in content["categories"]}
        counts: dict[Any, Counter[str]] = {image["id"]: Counter() for image in content["images"]}
        for annotation in content["annotations"]:
            counts[annotation["image_id"]][names[annotation["category_id"]]] += 1
        for image in content["images"]:
            yield SourceRow(image["file_name"], anchors=_anchors(counts[image["id"]]))
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not COCO: {error!r} is missing or names nothing") from error


def _read_jsonl(path: Path) -> Iterator[SourceRow]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            counts = {clean_class(anchor["class"]): anchor.get("count") for anchor in entry["anchors"]}
            yield SourceRow(entry["image"], anchors=_anchors(counts))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f'{path}: line {number}: not {{"image", "anchors": [...]}}: {error!r}') from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: not UTF-8 text") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from error
