"""XML with one element per object: Pascal VOC, and its variants in DIOR, FAIR1M and HRSC2016.

    <annotation><object><name>ship</name><bndbox><xmin>1</xmin>...</bndbox><difficult>0</difficult></object></annotation>

Namespaces and letter case of the elements do not matter, and an attribute may replace an element.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import radians
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.vector_labels.shapes import (
    ImageLabels,
    LabelledObject,
    Ring,
    Vertex,
    box,
    cut_share,
    flag,
    number,
    pairs,
    rotated_box,
)

_OBJECTS = {"object", "hrsc_object"}
_ROOTS = {"annotation", "hrsc_image"}  # a file with such a root and without objects is an image without objects
_NAMES = ("name", "possibleresult/name", "class", "class_name", "classname", "label", "category", "class_id")
_SIZES = (("size/width", "size/height"), ("img_sizewidth", "img_sizeheight"))
_CORNERS = [f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"]
_SHAPES = {"bndbox", "robndbox", "box", "points", "polygon", "xmin", "box_xmin"}


def find(path: Path, skip_difficult: bool) -> ImageLabels:
    """The objects of a file.

    Raises:
        UserError: it is not XML, no element is an object, or an object has no name or an invalid coordinate.
    """
    root = _parse(path)
    things = []
    elements = [element for element in root.iter() if _tag(element) in _OBJECTS]
    if not elements:
        _check_is_empty(path, root)
    for place, element in enumerate(elements, start=1):
        values = dict(_values(element))
        name = next((values[key] for key in _NAMES if values.get(key)), "")
        if not name:
            tags = ", ".join(dict.fromkeys(key.partition("/")[0] for key in values)) or "nothing"
            raise UserError(
                f"{path}: object {place} of <{_tag(root)}> has no name (looked for {', '.join(_NAMES)}; it has {tags})"
            )
        try:
            shape = _shape(element, values)
        except ValueError as error:
            raise UserError(f"{path}: object {place} ({name}): {error}") from error
        if not (skip_difficult and flag(values.get("difficult", ""))):
            truncated, inside = cut_share(values.get("truncated", ""))
            things.append(LabelledObject(name, parts=(shape,) if shape else (), truncated=truncated, inside=inside))
    return ImageLabels(path, tuple(things), size=_size(dict(_values(root, levels=2))))


def _parse(path: Path) -> Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: line {error.position[0]}: not XML: {error}") from error
    except (ValueError, LookupError) as error:  # the declared encoding; expat supports few
        raise UserError(f"{path}: {error}; save it as UTF-8 and declare that") from error


def _check_is_empty(path: Path, root: Element) -> None:
    """Refuse a file without objects unless it is of a known form and holds no shapes: then the image has no objects."""
    tags = Counter(_tag(element) for element in root.iter() if element is not root)
    if _tag(root) in _ROOTS and _SHAPES.isdisjoint(tags):
        return
    listed = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in tags.most_common(8)) or "nothing"
    raise UserError(
        f"{path}: no object in <{_tag(root)}>, which holds {listed}; expected are elements <object> with a <name>, as "
        "in Pascal VOC, DIOR, FAIR1M and HRSC2016"
    )


def _tag(element: Element) -> str:
    """The name of an element without its namespace, in lower case."""
    return str(element.tag).rpartition("}")[2].lower()


def _values(element: Element, prefix: str = "", levels: int = 4) -> Iterator[tuple[str, str]]:
    """Yield the texts and attributes below an element with their paths, in reverse order.

    So a dictionary keeps the first of an object's several results in FAIR1M, the likeliest.
    """
    for child in reversed(element):
        if _tag(child) == "part":  # an arm of a person
            continue
        path = f"{prefix}{_tag(child)}"
        if levels > 1:
            yield from _values(child, f"{path}/", levels - 1)
        if text := (child.text or "").strip():
            yield path, text
    for key, value in element.attrib.items():
        if value.strip():
            yield f"{prefix}{key.rpartition('}')[2].lower()}", value.strip()


def _shape(element: Element, values: dict[str, str]) -> Ring:
    """The outline of an object; () without one.

    Raises:
        ValueError: a coordinate is not a finite number.
    """
    last = {key.rpartition("/")[2].removeprefix("box_").removeprefix("mbox_"): value for key, value in values.items()}
    if {"xmin", "ymin", "xmax", "ymax"} <= last.keys():
        left, top, right, bottom = (number(last[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
        return box(left, top, right, bottom)
    if last.keys() >= set(_CORNERS):
        return pairs([number(last[key]) for key in _CORNERS])
    if {"cx", "cy", "w", "h"} <= last.keys():
        angle = number(last.get("ang", last.get("angle", "0")))
        angle = radians(angle) if abs(angle) > 6.5 else angle
        return rotated_box(number(last["cx"]), number(last["cy"]), number(last["w"]), number(last["h"]), angle)
    if {f"{axis}{place}" for place in (1, 2, 3) for axis in "xy"} <= last.keys():
        places = [place for place in range(1, 1000) if f"x{place}" in last and f"y{place}" in last]
        return tuple((number(last[f"x{place}"]), number(last[f"y{place}"])) for place in places)
    return tuple(_point(corner) for corner in element.iter() if _tag(corner) in {"point", "pt"})


def _point(element: Element) -> Vertex:
    """A corner written as "x,y" or as two elements or attributes."""
    values = dict(_values(element))
    x, _, y = (element.text or "").partition(",")
    return number(values.get("x", x)), number(values.get("y", y))


def _size(values: dict[str, str]) -> tuple[float, float] | None:
    """The image size in the file; some files state no size, or 0."""
    for keys in _SIZES:
        try:
            width, height = (number(values[key]) for key in keys)
        except (KeyError, ValueError):
            continue
        if width > 0 and height > 0:
            return width, height
    return None
