"""GeoJSON: a feature is an object, its class is in its properties.

Lines are not counted: roads and rivers are split where two of them meet, so the number of pieces means nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.vector_labels.files import load_json, load_text
from lrs2m_builder.sources.vector_labels.shapes import (
    ImageLabels,
    LabelledObject,
    Ring,
    cut_share,
    flag,
    lower_keys,
    number,
)

_YES = {"yes", "true", "1"}
_NO = {"", "no", "false", "0"}
_GEOMETRIES = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
_TYPE = re.compile(rf'"type"\s*:\s*"(?:FeatureCollection|Feature|{"|".join(sorted(_GEOMETRIES))})"')
MAX_DEPTH = 4  # of a multi-polygon's coordinates
_START = 2000  # first characters, in which a file shows its form
_OTHERS = {  # keys by which other JSON formats are recognised
    "annotations": "this is COCO's form: name the file itself in the manifest (files, annotations)",
    "shapes": "this is Labelme's form, which is not read; export it as COCO or VOC",
    "objects": "this is TopoJSON or an unknown form; export it as GeoJSON",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """How to read a feature's class; options of the manifest.

    Attributes:
        properties: properties with the class; the first that is set counts.
        default: the class of features without one; "" drops them.
        classes: words by value, or by "property=value".
        skip_difficult: drop features marked as hard to see.
    """

    properties: Sequence[str]
    default: str
    classes: Mapping[str, str | None]
    skip_difficult: bool = False


def find(path: Path, statement: Statement) -> ImageLabels:
    """The objects of a file: each feature with a class and a geometry, in one part or several, is one object.

    Raises:
        UserError: it is not GeoJSON, or a feature is broken or has an unreadable class.
    """
    return _labels(path, *_load(path), statement)


def find_by_image(path: Path, statement: Statement, image_property: str) -> Iterator[tuple[str, ImageLabels]]:
    """Yield the labels of each image from one file for all images, whose features name their image (xView's)."""
    features, crs = _load(path)
    by_image: dict[str, list[tuple[str, Any]]] = {}
    for where, feature in features:
        properties = feature.get("properties") if isinstance(feature, dict) else None
        name = properties.get(image_property) if isinstance(properties, dict) else None
        if not isinstance(name, str) or not name:
            raise UserError(f"{path}: {where}: no property {image_property!r}, which should name its image")
        by_image.setdefault(name, []).append((where, feature))
    for name, own in by_image.items():
        yield name, _labels(path, own, crs, statement)


def is_geojson(path: Path) -> bool:
    """Whether a file with JSON's extension holds features, in one collection or one per line."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        start = file.read(_START)
    return bool(_TYPE.search(start.partition('"images"')[0]))


def names_images(path: Path, image_property: str) -> bool:
    """Whether the first feature of a file names its image."""
    features, _ = _load(path)
    first = features[0][1] if features else None
    return isinstance(first, dict) and image_property in (first.get("properties") or {})


def _load(path: Path) -> tuple[list[tuple[str, Any]], str]:
    """The features of a file, each with its position, and the file's coordinate system."""
    if not path.stat().st_size:
        return [], ""  # tools write an empty file for a tile without objects
    try:
        content = load_json(path)
    except UserError:
        lines = load_text(path).replace("\x1e", "").splitlines()  # RFC 8142 begins each record with one
        if len(lines) < 2 or not _is_json(lines[0]):
            raise
        entries = [(f"line {place}", _line(path, place, line)) for place, line in enumerate(lines, 1) if line.strip()]
        return [feature for where, entry in entries for feature in _features(path, entry, f"{where}.")], ""
    return list(_features(path, content, "")), _crs(content)


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _line(path: Path, place: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: line {place}: not JSON: {error}") from error


def _features(path: Path, content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The features of a collection or a list of collections, a single feature, or a bare geometry."""
    kind = content.get("type") if isinstance(content, dict) else None
    if isinstance(content, dict) and (kind == "FeatureCollection" or isinstance(content.get("features"), list)):
        if not isinstance(content.get("features"), list):
            raise UserError(f'{path}: no list "features"; is this GeoJSON?')
        yield from ((f"{where}features[{place}]", feature) for place, feature in enumerate(content["features"]))
    elif kind == "Feature":
        yield where.rstrip(".") or "feature", content
    elif kind in _GEOMETRIES:
        yield where.rstrip(".") or "geometry", {"geometry": content}
    elif isinstance(content, list) and where.count("[") < 2:
        for place, collection in enumerate(content):
            yield from _features(path, collection, f"{where}[{place}].")
    else:
        keys = list(content) if isinstance(content, dict) else []
        hint = next((words for key, words in _OTHERS.items() if key in keys), "is this GeoJSON?")
        holds = f"; it holds {', '.join(map(repr, keys[:6]))}" if keys else ""
        raise UserError(f'{path}: {where}no list "features"{holds}; {hint}')


def _crs(content: Any) -> str:
    """The coordinate system, which older files name."""
    if isinstance(content, list):
        return next(filter(None, map(_crs, content)), "")
    crs = content.get("crs") if isinstance(content, dict) else None
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else crs
    return name if isinstance(name, str) else ""


def _labels(path: Path, features: list[tuple[str, Any]], crs: str, statement: Statement) -> ImageLabels:
    things, num_placed, num_stated = [], 0, 0
    for where, feature in features:
        try:
            geometry, values = _parts(feature)
            stated = _stated(values, statement) or statement.default
            kind, parts, holes = _shape(geometry)
        except ValueError as error:
            raise UserError(f"{path}: {where}: {error}") from error
        num_placed += bool(parts)
        num_stated += bool(stated)
        marks = lower_keys(values)
        if stated and parts and not (statement.skip_difficult and flag(marks.get("difficult"))):
            truncated, inside = _cut(marks)
            count = None if kind == "line" else 1
            things.append(LabelledObject(stated, count, kind, parts, holes, truncated, inside))
    note = "no features in it"
    if features and not num_stated:
        asked = ", ".join(statement.properties)
        note = f"{len(features)} features, none with {asked}: set class_name or class_properties"
    elif features:
        note = f"{len(features)} features, {num_stated} of them with a class, {num_placed} with a place, none with both"
    return ImageLabels(path, tuple(things), on_earth=True, crs=crs, note=note)


def _parts(feature: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(feature, dict):
        raise ValueError(f"not a feature: {feature!r}"[:100])
    geometry, values = feature.get("geometry") or {}, feature.get("properties") or {}
    if not isinstance(geometry, dict) or not isinstance(values, dict):
        raise ValueError("geometry and properties must be objects")
    return geometry, values


def _stated(values: Mapping[str, Any], statement: Statement) -> str:
    """The class in the first property that is set; "" if no property is set.

    Raises:
        ValueError: it is not a text, yes or no, or a number with words in the option classes.
    """
    for name in statement.properties:
        value = values.get(name)
        if isinstance(value, list) and len(value) < 2:
            value = value[0] if value else None
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        if not isinstance(value, str | int | float):
            raise ValueError(f"property {name!r} is {str(value)[:60]}; a class is one text")
        text = str(value).strip()
        both = f"{name}={text}"
        if text.lower() in _NO and both not in statement.classes:
            continue
        if text.lower() in _YES:
            return both if both in statement.classes else name
        if not isinstance(value, str) and both not in statement.classes and text not in statement.classes:
            raise ValueError(f"property {name!r} is the number {text}; give {both!r} words in the option classes")
        return both if both in statement.classes else text
    return ""


def _cut(marks: Mapping[str, Any]) -> tuple[bool, float | None]:
    """Whether an object is cut off, and the share that remains (`partialDec` in SpaceNet's tiles)."""
    truncated, inside = cut_share(marks.get("truncated", ""))
    remaining = marks.get("partialdec")
    if isinstance(remaining, int | float) and not isinstance(remaining, bool) and 0 <= remaining <= 1:
        return truncated, float(remaining)
    return truncated, inside


def _shape(geometry: Mapping[str, Any]) -> tuple[Any, tuple[Ring, ...], tuple[Ring, ...]]:
    """The kind of a geometry, its outlines, lines or points, and its holes.

    Raises:
        ValueError: the type is unknown, or a coordinate is not a number.
    """
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        shapes = [_shape(part) for part in geometry.get("geometries") or () if isinstance(part, Mapping)]
        best = next(
            (name for name in ("area", "line", "point") if any(shape[0] == name and shape[1] for shape in shapes)),
            "area",
        )
        return (
            best,
            tuple(ring for shape in shapes if shape[0] == best for ring in shape[1]),
            tuple(ring for shape in shapes if shape[0] == best for ring in shape[2]),
        )
    if not geometry or not coordinates:
        return "area", (), ()
    if kind not in _GEOMETRIES:
        raise ValueError(f"geometry of type {kind!r}; known: {', '.join(sorted(_GEOMETRIES))}")
    if not isinstance(coordinates, list):
        raise ValueError(f"coordinates are {str(coordinates)[:60]}, not a list")
    if _depth(coordinates) > MAX_DEPTH:
        raise ValueError("coordinates are nested too deeply")
    if "Polygon" in kind:
        polygons = _polygons(coordinates)
        return "area", tuple(p[0] for p in polygons), tuple(hole for p in polygons for hole in p[1:])
    return ("line" if "Line" in kind else "point"), tuple(_rings(coordinates)), ()


def _polygons(coordinates: list[Any]) -> list[list[Ring]]:
    """The polygons of nested lists, each an outline and its holes."""
    if _depth(coordinates) <= 3:
        rings = [ring for ring in _rings(coordinates) if ring]
        return [rings] if rings else []
    return [polygon for nested in coordinates for polygon in _polygons(nested)]


def _rings(coordinates: list[Any]) -> Iterator[Ring]:
    depth = _depth(coordinates)
    if depth == 1:
        yield (_point(coordinates),)
    elif depth == 2:
        yield tuple(map(_point, coordinates))
    else:
        for nested in coordinates:
            yield from _rings(nested)


def _depth(coordinates: Any) -> int:
    depth = 0
    while isinstance(coordinates, list) and coordinates:
        depth, coordinates = depth + 1, coordinates[0]
    return depth


def _point(values: Any) -> tuple[float, float]:
    if not isinstance(values, list) or len(values) < 2:
        raise ValueError(f"{str(values)[:60]} is not a point")
    return number(values[0]), number(values[1])
