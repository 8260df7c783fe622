"""Extents in degrees, for messages about layers and scenes that do not meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrs2m_builder.tile.layers import Bounds, Layer
from lrs2m_builder.tile.scene import Scene


def extent_of_scenes(scenes: Sequence[Scene]) -> Bounds:
    """West, south, east, north of all scenes."""
    from rasterio.crs import CRS

    from lrs2m_builder.images.place import to_lonlat

    each = []
    for scene in scenes:
        assert scene.transform is not None
        columns, rows = [0, scene.width, scene.width, 0], [0, 0, scene.height, scene.height]
        each.append(to_lonlat(scene.transform, CRS.from_wkt(scene.crs), columns, rows))
    lons, lats = np.concatenate([lon for lon, _ in each]), np.concatenate([lat for _, lat in each])
    return float(lons.min()), float(lats.min()), float(lons.max()), float(lats.max())


def extent_of_layer(layer: Layer, bounds: Bounds | None) -> Bounds | None:
    """The same of a layer, whose bounds are in its CRS; as they are if its CRS is one of degrees."""
    import pyproj

    crs = pyproj.CRS.from_user_input(layer.crs)
    if bounds is None or crs.is_geographic:
        return bounds
    west, south, east, north = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform_bounds(*bounds)
    return west, south, east, north


def shown(bounds: Bounds) -> str:
    west, south, east, north = bounds
    return f"longitude {west:.5g} to {east:.5g}, latitude {south:.5g} to {north:.5g}"
