"""Which objects each tile of a row shows, and how many, by rules that never state a wrong number.

A class is counted only if every visible object of it is wholly in the tile; if one is cut off at the edge, or is a line
or land cover, the class is named without a number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrs2m_builder.schema import Anchor, Box
from lrs2m_builder.tile.laid import AREA, LINE, POINT

MIN_SEEN = 9.0  # square pixels of an object, or of its visible part, below which nobody sees it
MIN_PART = 16.0  # square pixels of a cut object's visible part from which it is named
MIN_COVER = 0.01  # share of a tile that land cover must have
MIN_LENGTH = 0.1  # length of lines of a class, as a share of the tile's side


@dataclass
class _Tile:
    """What one tile shows of one class."""

    count: int = 0
    is_exact: bool = True
    boxes: list[Box] = field(default_factory=list)
    cover: float = 0.0
    length: float = 0.0

    def is_shown(self, size: int) -> bool:
        return bool(self.count) or self.cover >= MIN_COVER * size**2 or self.length >= MIN_LENGTH * size


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Objects in tiles: for each pair the object, the tile, and the part that is visible there.

    Attributes:
        whole: whether all of the object is in the tile.
        parts: geometries in pixels of the scene.
        boxes: bounds of the parts (N, 4).
    """

    objects: np.ndarray
    tiles: np.ndarray
    whole: np.ndarray
    parts: np.ndarray
    boxes: np.ndarray


def anchors_of_row(
    batches: Iterable[Any], names: Sequence[str], top: int, columns: Sequence[int], size: int, min_inside: float
) -> list[tuple[Anchor, ...]]:
    """The anchors of each tile of a row, in order of their words.

    Args:
        batches: the objects laid on the row (`laid.read_laid`).
        names: of the classes, by number.
        top: the first pixel row of the tiles.
        columns: the first pixel column of each tile.
        min_inside: share of a cut object from which it is named although less than MIN_PART of it is visible.
    """
    tiles: list[dict[int, _Tile]] = [defaultdict(_Tile) for _ in columns]
    for batch in batches:
        _add(tiles, batch, top, np.array(columns), size, min_inside)
    return [
        tuple(
            Anchor(
                names[number],
                seen.count if seen.is_exact and seen.count else None,
                tuple(sorted(seen.boxes, key=_reading_order)),
            )
            for number, seen in sorted(tile.items(), key=lambda item: names[item[0]])
            if seen.is_shown(size)
        )
        for tile in tiles
    ]


def _reading_order(box: Box) -> tuple[float, ...]:
    """From top to bottom, then left to right: the order of the layer's file means nothing."""
    left, top, right, bottom = box
    return top, left, bottom, right


def _add(
    tiles: list[dict[int, _Tile]], batch: Any, top: int, columns: np.ndarray, size: int, min_inside: float
) -> None:
    import shapely

    table = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in batch.schema.names}
    shapes = shapely.from_wkb(table["geometry"])
    bounds = np.stack([table[name] for name in ("x0", "y0", "x1", "y1")], axis=1)
    pairs = _pair(shapes, bounds, top, columns, size)
    kinds, counted = table["kind"][pairs.objects], table["counted"][pairs.objects]
    areas, lengths = shapely.area(pairs.parts), shapely.length(pairs.parts)
    share = areas / np.maximum(table["area"][pairs.objects], 1e-12)
    seen = np.where(pairs.whole, areas >= MIN_SEEN, (areas >= MIN_PART) | ((share >= min_inside) & (areas >= MIN_SEEN)))
    x, y = pairs.boxes[:, 0], pairs.boxes[:, 1]
    left = columns[pairs.tiles]
    inside = (x >= left) & (x < left + size) & (y >= top) & (y < top + size)
    shown = np.select([kinds == AREA, kinds == POINT], [seen | ~counted, inside], True)
    boxes = np.round(pairs.boxes - np.stack([left, np.full_like(left, top)] * 2, axis=1), 2)
    exact = pairs.whole & counted
    classes = table["class"][pairs.objects]
    chosen = np.flatnonzero(shown)
    columns_of = (pairs.tiles, classes, kinds, counted, exact, areas, lengths, boxes)
    for tile, number, kind, is_counted, is_exact, area, length, box in zip(
        *(values[chosen].tolist() for values in columns_of), strict=True
    ):
        seen_class = tiles[tile][number]
        if kind == LINE:
            seen_class.length += length
        elif kind == AREA and not is_counted:
            seen_class.cover += area
        else:
            seen_class.count += 1
            seen_class.is_exact &= is_exact
            seen_class.boxes.append(tuple(box))


def _pair(shapes: np.ndarray, bounds: np.ndarray, top: int, columns: np.ndarray, size: int) -> _Pairs:
    """Every object with every tile that it touches, cut to the tile unless it lies wholly in it."""
    import shapely

    visible = shapely.bounds(shapes)
    stride = int(columns[1] - columns[0]) if len(columns) > 1 else size
    first = np.maximum(np.floor((visible[:, 0] - size) / stride).astype(int) + 1, 0)
    last = np.minimum(np.floor(visible[:, 2] / stride).astype(int), len(columns) - 1)
    number = np.maximum(last - first + 1, 0)
    objects = np.repeat(np.arange(len(shapes)), number)
    tiles = np.arange(len(objects)) - np.repeat(np.cumsum(number) - number, number) + first[objects]
    left = columns[tiles]
    whole = (bounds[objects, 0] >= left) & (bounds[objects, 2] <= left + size)
    whole &= (bounds[objects, 1] >= top) & (bounds[objects, 3] <= top + size)
    parts = shapes[objects]
    for tile in np.unique(tiles[~whole]):
        here = np.flatnonzero((tiles == tile) & ~whole)
        parts[here] = shapely.clip_by_rect(parts[here], columns[tile], top, columns[tile] + size, top + size)
    kept = ~shapely.is_empty(parts)
    objects, tiles, whole, parts = objects[kept], tiles[kept], whole[kept], parts[kept]
    return _Pairs(objects, tiles, whole, parts, shapely.bounds(parts))
