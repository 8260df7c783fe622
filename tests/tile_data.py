"""Scenes and layers drawn on the spot for the tests of `lrs2m tile`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from rasterio.transform import Affine

UTM = Affine(0.5, 0, 733_601, 0, -0.5, 3_725_139)
UTM_CRS = "EPSG:32616"
BLOCKS = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}


def values_at(width: int, height: int, dtype: str, bands: int = 3, seed: int = 0) -> np.ndarray:
    """Pixel values (B, H, W): gradients with noise, so that every window differs from every other."""
    rng = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(height), 2 * np.arange(width)) % 180
    top = 60 if dtype == "uint8" else 2000
    noise = rng.integers(1, top, (bands, height, width))
    return (noise + slope[None] * (1 if dtype == "uint8" else 20)).astype(dtype)


def write_scene(
    path: Path,
    values: np.ndarray,
    *,
    transform: Any = UTM,
    crs: Any = UTM_CRS,
    **profile: Any,
) -> Path:
    """Write a GeoTIFF of values (B, H, W)."""
    bands, height, width = values.shape
    shape = {"width": width, "height": height, "count": bands, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **shape, **profile) as raster:
        raster.write(values)
    return path


def objects(number: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Shapely geometries in pixels of a scene of some size, and their classes: boxes, points, roads, some outside."""
    import shapely

    rng = np.random.default_rng(seed)
    num_boxes, num_points = number * 6 // 10, number * 2 // 10
    left, top = rng.uniform(-20, size + 20, (2, num_boxes))
    width, height = rng.uniform(1, 40, (2, num_boxes))
    boxes = shapely.box(left, top, left + width, top + height)
    points = shapely.points(rng.uniform(-5, size + 5, (num_points, 2)))
    ends = rng.uniform(-50, size + 50, (number - num_boxes - num_points, 2, 2))
    ends[:, 1] = ends[:, 0] + (ends[:, 1] - ends[:, 0]) * rng.uniform(0.02, 0.5, (len(ends), 1))
    shapes = np.concatenate([boxes, points, shapely.linestrings(ends)])
    kinds = ["building", "ship", "storage tank", "swimming pool"]
    classes = np.concatenate([rng.choice(kinds, num_boxes), np.full(num_points, "tree"), np.full(len(ends), "road")])
    order = rng.permutation(number)
    return shapes[order], classes[order].astype(object)


def on_map(shapes: np.ndarray, transform: Any, crs: Any, to: str) -> np.ndarray:
    """Shapes in pixels as shapes in a CRS."""
    import pyproj
    import shapely

    a, b, c, d, e, f = transform[:6]
    own = shapely.transform(shapes, lambda xy: np.stack([xy @ (a, b) + c, xy @ (d, e) + f], axis=1))
    if to == crs:
        return own
    moved = pyproj.Transformer.from_crs(crs, to, always_xy=True)
    return shapely.transform(own, lambda xy: np.stack(moved.transform(*xy.T), axis=1))


def write_layer(path: Path, shapes: np.ndarray, columns: dict[str, np.ndarray], crs: str | None = "EPSG:4326") -> Path:
    """Write a layer in the format of the path's suffix."""
    import pyogrio.raw
    import shapely

    if path.suffix == ".parquet":
        table = pa.table(
            {**{name: pa.array(values) for name, values in columns.items()}, "geometry": shapely.to_wkb(shapes)}
        )
        column: dict[str, Any] = {"encoding": "WKB", "geometry_types": []}
        if crs != "EPSG:4326":
            import pyproj

            column["crs"] = pyproj.CRS(crs).to_json_dict() if crs else None
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
        return path
    kind = {"geometry_type": "Unknown"} if path.suffix != ".shp" else {"geometry_type": "Polygon"}
    pyogrio.raw.write(path, shapely.to_wkb(shapes), list(columns.values()), fields=list(columns), crs=crs, **kind)
    return path


def table_of(out: Path) -> list[dict[str, Any]]:
    """The rows of a folder's tiles.parquet."""
    return pq.read_table(out / "tiles.parquet").to_pylist()


def files_of(out: Path) -> dict[str, bytes]:
    """All files of a folder of tiles, but for the lock."""
    return {
        str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file() and p.name != ".lock"
    }
