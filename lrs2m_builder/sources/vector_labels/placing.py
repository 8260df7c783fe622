"""The geometry of an image, and the conversion of label coordinates to its pixels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.files import open_image
from lrs2m_builder.images.load import opened
from lrs2m_builder.images.part import Part
from lrs2m_builder.images.rasters import raster_driver
from lrs2m_builder.schema import ImageRef
from lrs2m_builder.sources.vector_labels.shapes import ImageLabels, LabelledObject, Ring, points_of

SAME_SHAPE = 0.01  # tolerance for the aspect ratios of two copies of an image, whose sides are rounded
_TURNED = {5, 6, 7, 8}  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of an image in pixels and, if it is georeferenced, its transform.

    Attributes:
        transform: from pixels to the coordinates of `crs` (an `affine.Affine`).
        crs: a `rasterio.crs.CRS`; None if the file names no system.
    """

    width: int
    height: int
    transform: Any = None
    crs: Any = None


def frame_of(image: ImageRef, part: Part, on_earth: bool) -> Frame:
    """The frame of an image, from its header.

    Args:
        on_earth: whether to read the georeference.

    Raises:
        SampleError: the file is missing or is not an image.
    """
    frames = [_frame(file, on_earth) for file in part.files(image)]
    frame = max(frames, key=lambda band: band.width)
    width, height = part.size(frame.width, frame.height)
    return replace(frame, width=width, height=height)


def _frame(image: ImageRef, on_earth: bool) -> Frame:
    with opened(image) as picture:
        if picture is not None:
            width, height = picture.size
            if picture.format in {"JPEG", "MPO"} and picture.getexif().get(_ORIENTATION) in _TURNED:
                width, height = height, width
            if not on_earth or picture.format not in {"TIFF", "JPEG2000"}:
                return Frame(width, height)
    return _raster_frame(image)


def _raster_frame(image: ImageRef) -> Frame:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    try:
        file = image if isinstance(image, Path) else open_image(image)
        with rasterio.open(file, driver=raster_driver(image)) as raster:
            is_placed = raster.crs is not None or not raster.transform.is_identity
            transform = raster.transform if is_placed else None
            return Frame(raster.width, raster.height, transform, raster.crs)
    except (RasterioError, OSError, ValueError) as error:
        raise SampleError("image_unreadable", f"{image}: {error}") from error


def to_pixels(labels: ImageLabels, frame: Frame) -> tuple[LabelledObject, ...]:
    """The objects of an image's labels with their outlines in its pixels.

    Raises:
        SampleError: labels_misfit if they were made for an image of another shape, or have map coordinates and
            the image is not georeferenced; labels_outside if they lie elsewhere on Earth.
    """
    if labels.on_earth:
        return _from_earth(labels, frame)
    if labels.size is None or labels.size == (frame.width, frame.height):
        return labels.things
    width, height = labels.size
    if abs(width * frame.height - height * frame.width) > SAME_SHAPE * width * frame.height:
        raise SampleError(
            "labels_misfit",
            f"{labels.file}: made for an image of {width:g} x {height:g} pixels, but the image has {frame.width} x "
            f"{frame.height}",
        )
    across, down = frame.width / width, frame.height / height
    return _moved(labels.things, lambda ring: tuple((x * across, y * down) for x, y in ring), across * down)


def _moved(
    things: tuple[LabelledObject, ...], move: Callable[[Ring], Ring], by: float = 1.0
) -> tuple[LabelledObject, ...]:
    return tuple(
        replace(
            thing,
            parts=tuple(map(move, thing.parts)),
            holes=tuple(map(move, thing.holes)),
            area=None if thing.area is None else thing.area * by,
        )
        for thing in things
    )


def _from_earth(labels: ImageLabels, frame: Frame) -> tuple[LabelledObject, ...]:
    """From map coordinates to pixels, with the first possible system that puts any of them into the image."""
    points = np.array(points_of(labels.things), float).reshape(-1, 2)
    if not len(points) or _are_pixels(labels.things, points, frame):
        return labels.things
    if frame.transform is None:
        raise SampleError(
            "labels_misfit",
            f"{labels.file}: coordinates such as {points[0][0]:g}, {points[0][1]:g}{_in(labels.crs)} are not pixels of "
            f"its image of {frame.width} x {frame.height}, and the image has no place on Earth (it is not a GeoTIFF)",
        )
    systems = _systems(labels, points, frame)
    for system in systems:
        if _overlaps(_pixels(points, system, frame), frame):
            return _moved(labels.things, partial(_moved_ring, system=system, frame=frame))
    low, high = _span(points)
    first, last = _span(_applied(frame.transform, np.array([(0, 0), (frame.width, frame.height)], float)))
    raise SampleError(
        "labels_outside",
        f"{labels.file}: x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
        f"{_in(labels.crs or ' or '.join(map(_name, systems)))} lies outside its image: x {first[0]:g} to "
        f"{last[0]:g}, y {first[1]:g} to {last[1]:g}{_in(_name(frame.crs))}",
    )


def _moved_ring(ring: Ring, system: Any, frame: Frame) -> Ring:
    """An outline in pixels; empty if a point cannot be projected."""
    points = _pixels(np.array(ring, float), system, frame)
    return tuple((x, y) for x, y in points.tolist()) if np.isfinite(points).all() else ()


def _are_pixels(things: tuple[LabelledObject, ...], points: np.ndarray, frame: Frame) -> bool:
    """Whether coordinates are pixels: some are in the image, and they are neither degrees nor map coordinates."""
    low, high = _span(points)
    fit = any(_overlaps(np.array(ring, float), frame) for thing in things for ring in thing.parts)
    whole = bool((points == np.round(points)).all())
    if frame.transform is None:
        return fit and (whole or bool((high - low >= 1).any()))
    return fit and bool(high[0] > 180 or high[1] > 90)


def _overlaps(points: np.ndarray, frame: Frame) -> bool:
    """Whether the bounding box of the points overlaps the image."""
    low, high = _span(points)
    return bool(low[0] <= frame.width and low[1] <= frame.height and high[0] >= 0 and high[1] >= 0)


def _systems(labels: ImageLabels, points: np.ndarray, frame: Frame) -> list[Any]:
    """Possible coordinate systems: the one that the file names, else degrees (RFC 7946) or the image's own."""
    import rasterio
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    if labels.crs:
        try:
            with rasterio.Env():  # otherwise PROJ prints unknown systems
                return [CRS.from_user_input(labels.crs)]
        except CRSError as error:
            raise SampleError("labels_misfit", f"{labels.file}: unknown coordinate system {labels.crs!r}") from error
    low, high = _span(points)
    are_degrees = low[0] >= -180 and high[0] <= 180 and low[1] >= -90 and high[1] <= 90
    degrees = [CRS.from_epsg(4326)] if are_degrees else []
    return degrees if degrees == [frame.crs] else [*degrees, frame.crs]


def _pixels(points: np.ndarray, system: Any, frame: Frame) -> np.ndarray:
    """(N, 2) coordinates in pixels of an image; infinite if a point cannot be projected."""
    from rasterio.warp import transform

    x, y = points.T
    if system is not None and frame.crs is not None and system != frame.crs:
        x, y = map(np.array, transform(system, frame.crs, x, y))
    return _applied(~frame.transform, np.stack([x, y], axis=1))


def _applied(affine: Any, points: np.ndarray) -> np.ndarray:
    x, y = points.T
    return np.stack([affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f], axis=1)


def _span(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest x and y of the finite points; an empty span without such points."""
    finite = points[np.isfinite(points).all(axis=1)]
    return (finite.min(axis=0), finite.max(axis=0)) if len(finite) else (np.full(2, np.inf), np.full(2, -np.inf))


def _name(system: Any) -> str:
    return "" if system is None else str(system)


def _in(system: str) -> str:
    return f" ({system})" if system else ""
