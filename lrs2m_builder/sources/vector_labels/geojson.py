"""GeoJSON: a feature is an object, its class stands in its properties.

Lines are not counted: roads and rivers are cut wherever two of them meet, so their pieces say nothing of their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.vector_labels.classes import Found
from lrs2m_builder.sources.vector_labels.files import load_json

_YES = {"yes", "true", "1"}
_NO = {"no", "false", "0"}


def find(path: Path, properties: Sequence[str], default: str, classes: Mapping[str, str | None]) -> Iterator[Found]:
    """Yield the class of each feature that has a place; one part or several, it is one object.

    Args:
        properties: those that state the class; `classes` may name a property's value as "property=value".
        default: the class of features that state none; "" leaves them out.
    """
    if not path.stat().st_size:
        return  # tools write an empty file where a tile has no object
    content = load_json(path)
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        raise UserError(f'{path}: no list "features"; is this GeoJSON?')
    for number, feature in enumerate(features):
        if not isinstance(feature, dict):
            raise UserError(f"{path}: features[{number}]: not a feature: {feature!r}")
        geometry, values = feature.get("geometry") or {}, feature.get("properties") or {}
        if not isinstance(geometry, dict) or not isinstance(values, dict):
            raise UserError(f"{path}: features[{number}]: geometry and properties must be objects")
        stated = _stated(values, properties, classes) or default
        if stated and (geometry.get("coordinates") or geometry.get("geometries")):
            yield stated, None if "LineString" in str(geometry.get("type")) else 1


def _stated(values: Mapping[str, Any], properties: Sequence[str], classes: Mapping[str, str | None]) -> str:
    for name in properties:
        value = str(values.get(name) or "")
        if value and value.lower() not in _NO:
            both = f"{name}={value}"
            return both if both in classes else name if value.lower() in _YES else value
    return ""
