"""Compares labels with their image: objects outside are dropped, and objects too small to be seen are uncertain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lrs2m_builder.errors import SampleError
from lrs2m_builder.schema import Box
from lrs2m_builder.sources.vector_labels.classes import CountedClass
from lrs2m_builder.sources.vector_labels.placing import Frame, to_pixels
from lrs2m_builder.sources.vector_labels.shapes import ImageLabels, LabelledObject, Ring, area, clip, length_inside

WHOLE = 0.7  # minimum share of an object in the image to count it, as in DOTA's own image-splitting tool
# Shares of the image and of one side: an object this large is seen as one even if cut, such as a runway.
LARGE, SPAN = 0.01, 0.5
ON_EDGE = 0.5  # pixels: an object this near to the edge may continue beyond it
# Pixels of the smallest object, and of the smallest one that touches the edge. A small image is shown to the model
# enlarged, so there the share counts.
AREA, EDGE_AREA, SHARE = 9, 32, 1 / 5000
THICKNESS, THICKNESS_SHARE = 3, 1 / 64  # of objects that touch the edge, likewise


@dataclass(frozen=True, slots=True)
class Limits:
    """When an object is certain; options of the manifest.

    Attributes:
        min_area: pixels of the smallest object; None: AREA and EDGE_AREA, or SHARE of a small image.
        min_object_share: the share of the image's pixels that an object must cover.
        min_inside: the share of an object that must be in the image.
    """

    min_area: int | None = None
    min_object_share: float = 0.00001
    min_inside: float = 0.3


def lay(labels: ImageLabels, frame: Frame | None, limits: Limits) -> list[CountedClass]:
    """The classes visible in an image, each with its count or None.

    An object that is mostly outside, or a small piece at the edge, is dropped. A cut object adds its class
    without a number. An object too small to be seen adds nothing, but makes its class uncounted.

    Args:
        frame: None without an image; then only the file's marks say which objects are cut.

    Raises:
        SampleError: the labels do not fit the image, or no object remains.
    """
    if not labels.things:
        raise SampleError("no_anchors", f"{labels.file}: {labels.note}")
    things = labels.things if frame is None else to_pixels(labels, frame)
    seen = [(thing, _seen(thing, frame, limits)) for thing in things]
    num_outside = sum(state == "outside" for _, state in seen)
    if num_outside == len(seen) and frame is not None:
        raise SampleError(
            "labels_outside",
            f"{labels.file}: none of its {len(seen)} objects lies in the image of {frame.width} x {frame.height} "
            "pixels",
        )
    # A map's labels may cover a whole region; pixel coordinates mostly outside belong to another image.
    if frame is not None and 2 * num_outside > len(seen) and (frame.transform is None or not labels.on_earth):
        raise SampleError(
            "labels_misfit",
            f"{labels.file}: {num_outside} of its {len(seen)} objects lie outside the image of {frame.width} x "
            f"{frame.height} pixels; were they made for another size?",
        )
    named = {thing.name for thing, state in seen if state in {"counted", "uncounted"}}
    if not named:
        raise SampleError(
            "no_anchors", f"{labels.file}: none of its {len(seen)} objects is large enough in the image to be seen"
        )
    is_in_pixels = frame is not None or not labels.on_earth
    return [
        (thing.name, thing.count if state == "counted" else None, _box(thing, frame) if is_in_pixels else None)
        for thing, state in seen
        if thing.name in named and state not in {"outside", "sliver"}
    ]


def _box(thing: LabelledObject, frame: Frame | None) -> Box | None:
    """Where a single object is in the image."""
    if thing.count != 1 or thing.kind != "area" or not thing.parts:
        return None
    x, y = zip(*(point for ring in thing.parts for point in ring), strict=True)
    left, top, right, bottom = min(x), min(y), max(x), max(y)
    if frame is None:
        return left, top, right, bottom
    return max(0.0, left), max(0.0, top), min(float(frame.width), right), min(float(frame.height), bottom)


def _seen(thing: LabelledObject, frame: Frame | None, limits: Limits) -> str:
    """Whether an object is "counted", "uncounted" (present in unknown number), "small", a "sliver" or "outside"."""
    share = 1.0 if thing.inside is None else thing.inside
    state = "counted"
    if frame is not None and (thing.parts or thing.area is not None):
        if thing.kind == "point" or (thing.parts and _sides(thing.parts) == (0, 0)):
            return "counted" if _touches(thing.parts, frame) else "outside"
        if thing.kind == "line":
            length = sum(length_inside(line, frame.width, frame.height) for line in thing.parts)
            return "outside" if not length else "sliver" if length < _least(AREA, frame, limits) ** 0.5 else "uncounted"
        state, inside = _outlined(thing, frame, limits)
        share = min(share, inside)
    if state == "counted" and share < limits.min_inside:
        return "sliver"
    if state == "counted" and (share < WHOLE or (thing.truncated and thing.inside is None)):
        return "uncounted"
    return state


def _outlined(thing: LabelledObject, frame: Frame, limits: Limits) -> tuple[str, float]:
    """The verdict of `_seen` from the outline alone, and the share of the object inside the image."""
    if not thing.parts:
        return "small" if (thing.area or 0) < _least(AREA, frame, limits) else "counted", 1.0
    whole, clipped = _area(thing), _clipped(thing, frame)
    size = _area(clipped)
    if not size:
        return "small" if _touches(thing.parts, frame) else "outside", 1.0
    if _is_at_edge(clipped.parts, frame):
        least_thickness = min(THICKNESS, THICKNESS_SHARE * min(frame.width, frame.height))
        is_thin = limits.min_area is None and min(_sides(clipped.parts)) < least_thickness
        if is_thin or size < _least(EDGE_AREA, frame, limits):
            return "sliver", size / whole
    inside = 1.0 if _is_large(size, clipped.parts, frame) else size / whole
    is_small = size < max(_least(AREA, frame, limits), limits.min_object_share * frame.width * frame.height)
    return "small" if is_small else "counted", inside


def _is_large(size: float, parts: Iterable[Ring], frame: Frame) -> bool:
    width, height = _sides(parts)
    spans = width >= SPAN * frame.width or height >= SPAN * frame.height
    return spans and size >= LARGE * frame.width * frame.height


def _least(pixels: int, frame: Frame, limits: Limits) -> float:
    return min(pixels, SHARE * frame.width * frame.height) if limits.min_area is None else limits.min_area


def _sides(parts: Iterable[Ring]) -> tuple[float, float]:
    """Width and height of the box around outlines."""
    x, y = zip(*(point for ring in parts for point in ring), strict=True)
    return max(x) - min(x), max(y) - min(y)


def _area(thing: LabelledObject) -> float:
    return max(0.0, sum(map(area, thing.parts)) - sum(map(area, thing.holes)))


def _clipped(thing: LabelledObject, frame: Frame) -> LabelledObject:
    def inside(rings: Iterable[Ring]) -> tuple[Ring, ...]:
        return tuple(clip(ring, frame.width, frame.height) for ring in rings)

    return replace(thing, parts=inside(thing.parts), holes=inside(thing.holes))


def _touches(parts: Iterable[Ring], frame: Frame) -> bool:
    return any(0 <= x <= frame.width and 0 <= y <= frame.height for ring in parts for x, y in ring)


def _is_at_edge(parts: Iterable[Ring], frame: Frame) -> bool:
    return any(
        min(x, y) <= ON_EDGE or x >= frame.width - ON_EDGE or y >= frame.height - ON_EDGE
        for ring in parts
        for x, y in ring
    )
