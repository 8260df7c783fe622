"""The objects of a scene as vector labels: DOTA, GeoJSON, VOC, COCO and masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sources.vector_labels.shapes import clip

# Classes that other objects may cut into pieces: a mask names them, but their regions are not a count.
_CUT = {"road", "river", "runway", "wind turbine", "parking lot"}
MASK_OPTIONS: dict[str, Any] = {
    "classes": {0: None} | dict(enumerate(CLASSES, start=1)),
    "countable": [name for name in CLASSES if name not in _CUT],
    "min_share": 0.0,
    "min_area": 4,
}


def corners(thing: SceneObject) -> list[tuple[float, float]]:
    """The corners of the rectangle around an object; for roads, rivers, ponds and cut objects, those of its box."""
    is_inside = all(0 <= value <= SIDE for point in thing.polygon for value in point)
    if len(thing.polygon) == 4 and thing.length and is_inside:
        return list(thing.polygon)
    left, top, right, bottom = thing.box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def outline(thing: SceneObject) -> list[tuple[float, float]]:
    """The part of an object's outline inside the image, as image-splitting tools write it."""
    return [(round(x, 2), round(y, 2)) for x, y in clip(tuple(thing.polygon), SIDE, SIDE)]


def dota(scene: Scene) -> str:
    """DOTA's text: two header lines, then per line eight coordinates, class and difficulty."""
    lines = ["imagesource:sample", f"gsd:{scene.gsd}"]
    for thing in scene.objects:
        numbers = " ".join(f"{value:.1f}" for corner in corners(thing) for value in corner)
        lines.append(f"{numbers} {thing.name.replace(' ', '-')} 0")
    return "\n".join(lines) + "\n"


def geojson(scene: Scene) -> str:
    """GeoJSON with one feature per object, its outline in pixels."""
    features = [
        {
            "type": "Feature",
            "properties": {"class": thing.name, "color": thing.color},
            "geometry": {"type": "Polygon", "coordinates": [[*points, points[0]]]},
        }
        for thing in scene.objects
        if (points := outline(thing))
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def voc(scene: Scene) -> str:
    """Pascal VOC's XML with one box per object."""
    root = ElementTree.Element("annotation")
    size = ElementTree.SubElement(root, "size")
    for name, length in (("width", SIDE), ("height", SIDE), ("depth", 3)):
        ElementTree.SubElement(size, name).text = str(length)
    for thing in scene.objects:
        item = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(item, "name").text = thing.name
        ElementTree.SubElement(item, "difficult").text = "0"
        box = ElementTree.SubElement(item, "bndbox")
        for name, value in zip(("xmin", "ymin", "xmax", "ymax"), thing.box, strict=True):
            ElementTree.SubElement(box, name).text = str(round(value))
    return ElementTree.tostring(root, encoding="unicode")


def coco(scenes: Sequence[tuple[str, Scene]]) -> dict[str, Any]:
    """COCO's images, categories and annotations."""
    numbers = {name: number for number, name in enumerate(CLASSES, start=1)}
    annotations: list[dict[str, Any]] = []
    for image_id, (_, scene) in enumerate(scenes):
        for thing in scene.objects:
            left, top, right, bottom = thing.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": numbers[thing.name],
                    "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
                    "area": round((right - left) * (bottom - top), 2),
                    "segmentation": [[value for point in outline(thing) for value in point]],
                    "iscrowd": 0,
                }
            )
    return {
        "images": [{"id": i, "file_name": name, "width": SIDE, "height": SIDE} for i, (name, _) in enumerate(scenes)],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": annotations,
    }


def class_mask(scene: Scene) -> Image.Image:
    """The class of each pixel, 0 for no class, numbered as in MASK_OPTIONS."""
    numbers = [0, *(CLASSES.index(thing.name) + 1 for thing in scene.objects)]
    return Image.fromarray(np.array(numbers, np.uint8)[scene.mask])
