"""Drawn scenes laid side by side as one large raster with a place on Earth, and their objects as a map layer."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.labels import outline
from lrs2m_builder.stores.outputs import finished_folder

RASTER, LAYER = "mosaic.tif", "objects.geojson"
CRS, WEST, NORTH, GSD = "EPSG:32633", 390_000.0, 5_820_000.0, 0.5  # a made-up place, in metres
Offset = tuple[int, int]


def write_mosaic(out_dir: Path, num_scenes: int, seed: int = 0, *, progress: bool = False) -> tuple[Path, Path]:
    """Draw scenes into one GeoTIFF, row by row in a square, and their objects into a GeoJSON layer; returns both paths.

    A tile of SIDE pixels shows one scene; what is left of the last row is no-data. Every scene is drawn in metres of
    its own, so objects of one class differ in size from scene to scene.

    Raises:
        UserError: the folder is not empty or cannot be written.
    """
    import rasterio
    from rasterio.transform import Affine
    from rasterio.windows import Window

    columns = math.ceil(math.sqrt(num_scenes))
    transform = Affine(GSD, 0, WEST, 0, -GSD, NORTH)
    shape = {"width": columns * SIDE, "height": math.ceil(num_scenes / columns) * SIDE, "count": 3, "dtype": "uint8"}
    how = {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "nodata": 0}
    with finished_folder(out_dir, "sample") as folder, (folder / LAYER).open("w", encoding="utf-8") as layer:
        layer.write('{"type": "FeatureCollection", "features": [')
        with rasterio.open(folder / RASTER, "w", crs=CRS, transform=transform, **how, **shape) as raster:
            between = "\n"
            for index in tqdm(range(num_scenes), "drawing", unit=" scenes", disable=not progress):
                scene, offset = draw_scene(seed, index), scene_offset(index, num_scenes)
                pixels = np.maximum(np.asarray(scene.image), 1)  # 0 is no-data
                raster.write(pixels.transpose(2, 0, 1), window=Window(*offset, SIDE, SIDE))
                for feature in _features(scene, offset):
                    layer.write(between + json.dumps(feature))
                    between = ",\n"
        layer.write("\n]}\n")
    return out_dir / RASTER, out_dir / LAYER


def scene_offset(index: int, num_scenes: int) -> Offset:
    """Column and row of the upper left pixel of a scene in the mosaic."""
    row, column = divmod(index, math.ceil(math.sqrt(num_scenes)))
    return column * SIDE, row * SIDE


def _features(scene: Scene, offset: Offset) -> Iterator[dict[str, Any]]:
    """The objects of a scene in longitude and latitude (RFC 7946)."""
    outlines = [(thing, points) for thing in scene.objects if (points := outline(thing))]
    places = iter(_on_earth([point for _, points in outlines for point in points], offset))
    for thing, points in outlines:
        ring = [next(places) for _ in points]
        yield {
            "type": "Feature",
            "properties": {"class": thing.name, "color": thing.color},
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        }


def _on_earth(points: Sequence[tuple[float, float]], offset: Offset) -> list[tuple[float, float]]:
    """Pixels of a scene as longitudes and latitudes."""
    from rasterio.warp import transform

    xs = [WEST + GSD * (offset[0] + x) for x, _ in points]
    ys = [NORTH - GSD * (offset[1] + y) for _, y in points]
    lons, lats = transform(CRS, "EPSG:4326", xs, ys)
    return [(round(lon, 9), round(lat, 9)) for lon, lat in zip(lons, lats, strict=True)]
