"""Lays the objects of vector layers on scenes, once: reprojected to pixels, cut into rows of tiles, kept on the disk.

Every row of tiles then reads its own objects and no others, whatever the format and order of the layer. Memory is
bounded: objects come in batches, and what is laid is written out whenever it is much (`laid.py`).
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors, write_json
from lrs2m_builder.terminal import say
from lrs2m_builder.tile.classes import Classes
from lrs2m_builder.tile.laid import AREA, INDEX, LABELS, POINT, WORK, LaidObjects, LaidWriter, load_laid
from lrs2m_builder.tile.layers import Bounds, Layer, bounds_of, read_batches
from lrs2m_builder.tile.options import TileOptions
from lrs2m_builder.tile.scene import Scene


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of one batch that have a class, in the coordinates of a CRS."""

    classes: np.ndarray
    kinds: np.ndarray
    counted: np.ndarray
    geometries: np.ndarray

    def take(self, chosen: np.ndarray, geometries: np.ndarray) -> Objects:
        return Objects(self.classes[chosen], self.kinds[chosen], self.counted[chosen], geometries)


def lay(layers: Sequence[Layer], classes: Classes, scenes: Sequence[Scene], options: TileOptions) -> LaidObjects:
    """Lay all layers on all scenes; what an earlier run has laid is used again.

    Raises:
        UserError: a layer cannot be read, lacks the columns of the classes, or no object lies in any scene.
    """
    folder = options.out / WORK / LABELS
    if not (folder / INDEX).exists():
        part = folder.with_name(f"{LABELS}.part")
        with disk_errors(part):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            _lay_all(part, layers, classes, scenes, options)
            shutil.rmtree(folder, ignore_errors=True)
            part.replace(folder)
    return load_laid(folder)


def _lay_all(
    folder: Path, layers: Sequence[Layer], classes: Classes, scenes: Sequence[Scene], options: TileOptions
) -> None:
    writer, problems = LaidWriter(folder), Counter[str]()
    targets = [_Target(crs, [scene for scene in scenes if scene.crs == crs], options) for crs in _crs_of(scenes)]
    total, empty = 0, list[Layer]()
    for layer in layers:
        number = _lay_layer(layer, classes, targets, writer, problems)
        if not number and not layer.is_osm:
            empty.append(layer)
        total += number
    writer.flush()
    if not total:
        raise UserError(_why_none(layers, scenes))
    for layer in empty:
        say(f"--labels {layer}: no object with a class lies in a scene")
    counted = {reason: number for reason, number in sorted(problems.items()) if number}
    write_json(folder / INDEX, {"names": classes.names, "problems": counted, "places": writer.places})


def _crs_of(scenes: Sequence[Scene]) -> list[str]:
    return list(dict.fromkeys(scene.crs for scene in scenes))


def _lay_layer(
    layer: Layer, classes: Classes, targets: Sequence[_Target], writer: LaidWriter, problems: Counter[str]
) -> int:
    """Lay one layer on all scenes; returns the number of objects laid."""
    columns = classes.needed(layer)
    number = 0
    bounds = _joint_bounds([target.bounds_in(layer.crs) for target in targets])
    for table, geometries in read_batches(layer, columns, bounds):
        found = _objects(classes.numbers(layer, table), geometries, classes, problems)
        for target in targets if len(found.classes) else ():
            number += target.lay(found, layer.crs, writer, problems)
    return number


def _objects(numbers: np.ndarray, wkb: np.ndarray, classes: Classes, problems: Counter[str]) -> Objects:
    """The objects with a class and a geometry."""
    import shapely

    chosen = np.flatnonzero(numbers >= 0)
    shapes = shapely.from_wkb(wkb[chosen], on_invalid="fix")  # closes open rings
    usable = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    problems["without a place"] += int((~usable).sum())
    shapes, numbers = shapes[usable], numbers[chosen][usable]
    if shapely.has_z(shapes).any():  # a copy of every object, which most layers do not need
        shapes = shapely.force_2d(shapes)
    kinds = shapely.get_dimensions(shapes)
    areas = np.array([*classes.are_areas, False])[numbers]
    types = shapely.get_type_id(shapes)
    counted = ((kinds == POINT) & (types == 0) | (kinds == AREA)) & ~areas
    several = types == 4  # points of one object: somewhere among them, nobody knows how many
    if several.any():
        parts, origin = shapely.get_parts(shapes[several], return_index=True)
        shapes = np.concatenate([shapes[~several], parts])
        again = np.flatnonzero(several)[origin]
        order = np.concatenate([np.flatnonzero(~several), again])
        numbers, kinds, counted = numbers[order], kinds[order], counted[order]
    return Objects(numbers, kinds, counted, shapes)


class _Target:
    """The scenes of one CRS, on which objects are laid together."""

    def __init__(self, crs: str, scenes: Sequence[Scene], options: TileOptions) -> None:
        import shapely

        self._crs, self._scenes, self._options = crs, scenes, options
        self._hulls = np.array([_hull(scene) for scene in scenes])
        self._tree = shapely.STRtree(self._hulls)

    def bounds_in(self, crs: str) -> Bounds | None:
        """The bounds of the scenes in a layer's CRS; None if they cross its edge, or are beyond it."""
        import pyproj
        import shapely

        transformer = pyproj.Transformer.from_crs(self._crs, crs, always_xy=True)
        west, south, east, north = transformer.transform_bounds(*shapely.total_bounds(self._hulls), densify_pts=41)
        if not np.isfinite([west, south, east, north]).all() or west > east:
            return None
        margin = 1e-3 * max(east - west, north - south)
        return west - margin, south - margin, east + margin, north + margin

    def lay(self, objects: Objects, crs: str, writer: LaidWriter, problems: Counter[str]) -> int:
        """Lay a batch on the scenes that it touches; returns the number of objects laid."""
        import shapely

        shapes = self._reprojected(objects.geometries, crs)
        bounds = shapely.bounds(shapes)
        finite = np.isfinite(bounds).all(axis=1)
        problems["outside of the projection"] += int((~finite).sum())
        shapes[~finite] = None
        own, scenes = self._tree.query(shapes)
        for number in np.unique(scenes):
            chosen = np.sort(own[scenes == number])
            _lay_on(self._scenes[number], objects.take(chosen, shapes[chosen]), self._options, writer, problems)
        return len(own)

    def _reprojected(self, shapes: np.ndarray, crs: str) -> np.ndarray:
        import pyproj
        import shapely

        transformer = pyproj.Transformer.from_crs(crs, self._crs, always_xy=True)
        coordinates = shapely.get_coordinates(shapes)
        moved = np.stack(transformer.transform(coordinates[:, 0], coordinates[:, 1]), axis=1)
        return np.array(shapely.set_coordinates(shapes.copy(), moved))


def _hull(scene: Scene) -> Any:
    """The outline of a scene in its CRS."""
    import shapely

    corners = np.array([(0, 0), (scene.width, 0), (scene.width, scene.height), (0, scene.height)], float)
    assert scene.transform is not None
    a, b, c, d, e, f = scene.transform
    return shapely.Polygon(np.stack([corners @ (a, b) + c, corners @ (d, e) + f], axis=1))


def _lay_on(scene: Scene, objects: Objects, options: TileOptions, writer: LaidWriter, problems: Counter[str]) -> None:
    """Cut the objects on one scene, in its CRS, into its rows of tiles."""
    import shapely

    assert scene.transform is not None
    shapes = _to_pixels(objects.geometries, scene.transform)
    broken = (objects.kinds == AREA) & ~shapely.is_valid(shapes)
    if broken.any():
        problems["broken outline, mended"] += int(broken.sum())
        shapes[broken] = shapely.make_valid(shapes[broken])
    whole = shapely.bounds(shapes)
    area = shapely.area(shapes)
    size, stride, offsets = options.size, options.stride, scene.row_offsets(options)
    first = np.maximum(np.floor((whole[:, 1] - size) / stride).astype(int) + 1, 0)
    last = np.minimum(np.floor(whole[:, 3] / stride).astype(int), len(offsets) - 1)
    for number in range(max(0, int(first.min())), int(last.max()) + 1):
        top = offsets[number]
        here = np.flatnonzero((first <= number) & (last >= number))
        cut = shapes[here]
        beyond = (whole[here, 1] < top) | (whole[here, 3] > top + size) | (whole[here, 0] < 0)
        beyond |= whole[here, 2] > scene.width
        if beyond.any():
            cut[beyond] = shapely.clip_by_rect(cut[beyond], 0, top, scene.width, top + size)
        seen = ~shapely.is_empty(cut)
        here, cut = here[seen], cut[seen]
        if len(here):
            columns = [objects.classes[here], objects.kinds[here], objects.counted[here], area[here], *whole[here].T]
            writer.add(scene.name, top, [*columns, shapely.to_wkb(cut)])


def _to_pixels(shapes: np.ndarray, transform: Sequence[float]) -> np.ndarray:
    """Shapes in a CRS as shapes in pixels of a scene."""
    import shapely

    a, b, c, d, e, f = transform
    inverse = np.linalg.inv([[a, b], [d, e]])
    return np.array(shapely.set_coordinates(shapes.copy(), (shapely.get_coordinates(shapes) - (c, f)) @ inverse.T))


def _joint_bounds(each: Sequence[Bounds | None]) -> Bounds | None:
    known = [bounds for bounds in each if bounds is not None]
    if len(known) < len(each):
        return None
    west, south, east, north = zip(*known, strict=True)
    return min(west), min(south), max(east), max(north)


def _why_none(layers: Sequence[Layer], scenes: Sequence[Scene]) -> str:
    """The message when no object lies in any scene: both extents, and whether the axes may be swapped."""
    from lrs2m_builder.tile.extents import extent_of_layer, extent_of_scenes, shown

    there = extent_of_scenes(scenes)
    found = [(layer, extent_of_layer(layer, bounds_of(layer))) for layer in layers]
    for layer, extent in found:
        if extent is None:
            continue
        west, south, east, north = extent
        if not -180 <= west <= east <= 360 or not -90 <= south <= north <= 90:
            return (
                f"--labels {layer}: its coordinates are no degrees ({shown(extent)}), but its CRS says so; "
                "name the right one: ogr2ogr -a_srs EPSG:CODE new.gpkg OLD"
            )
        if _meet((south, west, north, east), there):
            return (
                f"--labels {layer}: extends over {shown(extent)}, the scenes over {shown(there)}: the axes are "
                "swapped; exchange them: ogr2ogr -swapxy new.gpkg OLD"
            )
        if _meet(extent, there):
            return f"--labels {layer}: no object with a class lies in a scene; look at --classes and --class-column"
    layer, extent = found[0]
    if extent is None:
        return f"--labels {layer}: no object has a place: all are empty or damaged; look at it with ogrinfo -al"
    return (
        f"--labels {layer}: extends over {shown(extent)}, the scenes over {shown(there)}: they do not meet; "
        "is the CRS of both right?"
    )


def _meet(one: Bounds, other: Bounds) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
