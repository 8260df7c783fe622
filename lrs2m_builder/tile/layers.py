"""Vector layers of any format, read as a stream of batches with their columns and geometries."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import MissingExtraError, UserError, one_line

BATCH = 32_768  # objects held at once
_OSM_LAYERS = ("points", "lines", "multilinestrings", "multipolygons")
_PARQUET = {".parquet", ".geoparquet"}
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Layer:
    """A vector layer.

    Attributes:
        name: of the layer in its file; "" for GeoParquet.
        columns: the names of its attributes.
        crs: what pyproj reads.
        geometry: GeoParquet's column of geometries.
        covering: GeoParquet's column with the bounds of each object; "" without one.
    """

    path: Path
    name: str
    columns: tuple[str, ...]
    crs: str
    is_osm: bool = False
    geometry: str = ""
    covering: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.name}" if self.name and self.name != self.path.stem else str(self.path)


def require_geo() -> None:
    """Raises:
    MissingExtraError: a package of the extra is not installed.
    """
    try:
        import pyogrio
        import pyproj
        import shapely  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("--labels", "geo", error) from error
    del pyogrio, pyproj


def find_layers(spec: str) -> list[Layer]:
    """The layers that "path" or "path:layer" names: one, or those of an OpenStreetMap extract.

    Raises:
        UserError: no such file or layer, it is no vector layer, or it has no CRS.
    """
    path, name = Path(spec), ""
    if not path.exists() and ":" in spec:
        before, _, name = spec.rpartition(":")
        path = Path(before)
    if not path.exists():
        raise UserError(f"--labels {spec}: no such file")
    if path.suffix.lower() in _PARQUET:
        return [_parquet_layer(path)]
    return _ogr_layers(path, name)


def read_batches(layer: Layer, columns: Sequence[str], bounds: Bounds | None) -> Iterator[tuple[Any, Any]]:
    """Yield Arrow tables of columns with the WKB of their geometries, in file order.

    Args:
        bounds: objects outside of it may be left out, in the layer's CRS.

    Raises:
        UserError: the file is damaged.
    """
    try:
        if layer.geometry:
            yield from _parquet_batches(layer, columns, bounds)
        else:
            yield from _ogr_batches(layer, columns, bounds)
    except (ValueError, RuntimeError, OSError) as error:  # pyogrio's and pyarrow's
        raise UserError(f"--labels {layer}: cannot be read: {one_line(error)}") from error


def bounds_of(layer: Layer) -> Bounds | None:
    """The extent of all objects of a layer in its CRS; None if that is unknown."""
    import numpy as np
    import shapely

    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for _, geometries in read_batches(layer, (), None):
        x0, y0, x1, y1 = shapely.total_bounds(shapely.from_wkb(geometries, on_invalid="fix"))
        low, high = np.fmin(low, (x0, y0)), np.fmax(high, (x1, y1))
    return (*low.tolist(), *high.tolist()) if np.isfinite(low).all() else None


def _ogr_layers(path: Path, name: str) -> list[Layer]:
    import pyogrio

    try:
        listed = [str(each) for each, kind in pyogrio.list_layers(path).tolist() if kind is not None]
        is_osm = path.name.lower().endswith((".osm.pbf", ".osm", ".pbf"))
        if name and name not in listed:
            raise UserError(f"--labels {path}: no layer {name!r}; it has {', '.join(listed) or 'none'}")
        names = [name] if name else [each for each in listed if each in _OSM_LAYERS] if is_osm else listed
        if not names:
            raise UserError(f"--labels {path}: no layer with places")
        if len(names) > 1 and not is_osm:
            raise UserError(f"--labels {path}: has layers {', '.join(names)}; name one: {path}:{names[0]}")
        return [_ogr_layer(path, each, is_osm) for each in names]
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(f"--labels {path}: cannot be read as a vector layer: {one_line(error)}") from error


def _ogr_layer(path: Path, name: str, is_osm: bool) -> Layer:
    import pyogrio

    info = pyogrio.read_info(path, layer=name)
    if info["features"] == 0 and not len(info["fields"]):
        raise UserError(f"--labels {path}: holds no objects")
    if not info["crs"]:
        raise UserError(
            f"--labels {path}: no CRS, so its places are unknown; write one: ogr2ogr -a_srs EPSG:CODE new.gpkg {path}"
        )
    return Layer(path, name, tuple(map(str, info["fields"])), str(info["crs"]), is_osm)


def _ogr_batches(layer: Layer, columns: Sequence[str], bounds: Bounds | None) -> Iterator[tuple[Any, Any]]:
    import pyarrow as pa
    from pyogrio.raw import open_arrow

    warnings.filterwarnings("ignore", category=RuntimeWarning, module=__name__)  # GDAL's, of single objects
    how: dict[str, Any] = {"columns": list(columns), "bbox": bounds, "batch_size": BATCH, "use_pyarrow": True}
    with open_arrow(layer.path, layer=layer.name, **how) as (meta, reader):
        name = meta["geometry_name"] or "wkb_geometry"
        for batch in reader:
            table = pa.Table.from_batches([batch])
            yield table, table[name].to_numpy()


def _parquet_layer(path: Path) -> Layer:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        geo = json.loads((schema.metadata or {}).get(b"geo", b"{}"))
        name = geo["primary_column"]
        column = dict(geo["columns"][name])
    except (pa.ArrowException, OSError, json.JSONDecodeError) as error:
        raise UserError(f"--labels {path}: cannot be read as Parquet: {one_line(error)}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"--labels {path}: not GeoParquet: no column of places in its metadata") from error
    if column.get("encoding") != "WKB":
        raise UserError(f"--labels {path}: geometries encoded as {column.get('encoding')}; write them as WKB")
    if "crs" in column and column["crs"] is None:
        raise UserError(f"--labels {path}: its metadata says that the CRS is unknown; write one with geopandas set_crs")
    covering = _covering(column)
    fields = tuple(each for each in schema.names if each not in {name, covering})
    return Layer(path, "", fields, _parquet_crs(path, column), geometry=name, covering=covering)


def _covering(column: dict[str, Any]) -> str:
    """The column with the bounds of each object; "" without one that can be used."""
    try:
        return str(column["covering"]["bbox"]["xmin"][0])
    except (KeyError, IndexError, TypeError):
        return ""


def _parquet_crs(path: Path, column: dict[str, Any]) -> str:
    """The CRS of a column of geometries: PROJJSON, or its code as some programs write it.

    Raises:
        UserError: it is none.
    """
    import pyproj

    stated = column.get("crs", "OGC:CRS84")
    crs = stated if isinstance(stated, str) else json.dumps(stated)
    try:
        pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        what = crs if len(crs) <= 60 else f"{crs[:60]}..."
        raise UserError(
            f"--labels {path}: its metadata names no known CRS ({what}); write one with geopandas set_crs"
        ) from error
    return crs


def _parquet_batches(layer: Layer, columns: Sequence[str], bounds: Bounds | None) -> Iterator[tuple[Any, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(layer.path) as file:
        groups = [group for group in range(file.num_row_groups) if _may_hold(file, group, layer, bounds)]
        for batch in file.iter_batches(BATCH, row_groups=groups, columns=[*columns, layer.geometry]):
            table = pa.Table.from_batches([batch])
            yield table, table[layer.geometry].to_numpy()


def _may_hold(file: Any, group: int, layer: Layer, bounds: Bounds | None) -> bool:
    """Whether a row group may hold objects within the bounds, by the statistics of its covering column."""
    if not layer.covering or bounds is None:
        return True
    limits: dict[str, tuple[float, float]] = {}
    metadata = file.metadata.row_group(group)
    for number in range(metadata.num_columns):
        column = metadata.column(number)
        if column.path_in_schema.startswith(f"{layer.covering}.") and column.statistics is not None:
            limits[column.path_in_schema.rpartition(".")[2]] = (column.statistics.min, column.statistics.max)
    if len(limits) < 4:
        return True
    west, south, east, north = bounds
    return bool(
        limits["xmin"][0] <= east
        and limits["xmax"][1] >= west
        and limits["ymin"][0] <= north
        and limits["ymax"][1] >= south
    )
