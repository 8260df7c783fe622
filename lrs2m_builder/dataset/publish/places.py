"""Where, when and by what the images of a published data set were taken: for its card, and as GeoCroissant.

GeoCroissant 1.0 describes places beside Croissant 1.1's description of files and columns. Its properties of a whole
data set have one value each; what varies from row to row is a column.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.tables import open_tables

GEOCROISSANT = "croissant-geo.json"
_GEO = "http://mlcommons.org/croissant/geo/"
_CONFORMS = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/geo/1.0")
# The terms of Croissant that this file uses.
_TERMS = (
    *(
        "citeAs",
        "column",
        "conformsTo",
        "containedIn",
        "data",
        "dataType",
        "extract",
        "field",
        "fileProperty",
        "fileSet",
    ),
    *(
        "format",
        "includes",
        "isLiveDataset",
        "jsonPath",
        "key",
        "md5",
        "parentField",
        "path",
        "recordSet",
        "references",
    ),
    *("regex", "repeated", "replace", "separator", "source", "subField", "transform"),
)
_OF_SCHEMA_ORG = {"md5"}
_UNITS = "http://qudt.org/vocab/unit/M"


@dataclass(frozen=True, slots=True)
class Places:
    """What the rows of a data set say of their places; what no row says is None or empty.

    Attributes:
        rows: rows with a centre.
        bounds: west, south, east and north of all of them.
        times: of the first and the last acquisition.
        gsd: the smallest and the largest, in metres per pixel.
        crs, platforms, splits: all values.
        num_cells: Major-TOM cells of 10 km with at least one image.
    """

    rows: int
    bounds: tuple[float, float, float, float] | None
    times: tuple[dt.datetime, dt.datetime] | None
    gsd: tuple[float, float] | None
    crs: tuple[str, ...]
    platforms: tuple[str, ...]
    splits: tuple[str, ...]
    num_cells: int

    @property
    def period(self) -> str:
        """The days of the first and the last acquisition, "2017-06-13/2020-01-02"; "" without times."""
        return "/".join(time.date().isoformat() for time in self.times or ())


def read_places(tree: Path) -> Places | None:
    """Count the places of a written tree; None if no row has one.

    Raises:
        UserError: a file cannot be read.
    """
    query = """SELECT count(lon), min(bbox.xmin), min(bbox.ymin), max(bbox.xmax), max(bbox.ymax),
            coalesce(bool_or(bbox.xmin > bbox.xmax), false), epoch_us(min(datetime)), epoch_us(max(datetime)),
            min(gsd), max(gsd), list(DISTINCT crs ORDER BY crs) FILTER (crs IS NOT NULL),
            list(DISTINCT platform ORDER BY platform) FILTER (platform IS NOT NULL),
            list(DISTINCT split ORDER BY split) FILTER (split IS NOT NULL), count(DISTINCT grid_cell) FROM records"""
    with reading(tree):
        ((rows, west, south, east, north, wraps, first, last, low, high, crs, platforms, splits, cells),) = (
            open_tables(tree).sql(query).fetchall()
        )
    if not rows and low is None and first is None and not platforms:
        return None
    if wraps:
        west, east = -180.0, 180.0
    return Places(
        rows=rows,
        bounds=None if west is None else (west, south, east, north),
        times=None if first is None else (_time(first), _time(last)),
        gsd=None if low is None else (low, high),
        crs=tuple(crs or ()),
        platforms=tuple(platforms or ()),
        splits=tuple(splits or ()),
        num_cells=cells,
    )


def _time(microseconds: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)


def make_geocroissant(
    places: Places, schema: pa.Schema, subsets: Sequence[str], repo_id: str, license_: str
) -> dict[str, Any]:
    """The description of a data set as Croissant 1.1 with the properties of GeoCroissant 1.0.

    Args:
        schema: of the published records.
        license_: the licence, or where the licences are.
    """
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "name": repo_id.split("/")[-1],
        "description": "Remote-sensing images with a short and a long text each, and their places on Earth.",
        "conformsTo": list(_CONFORMS),
        "license": license_,
        "distribution": [_files(name) for name in subsets],
        "recordSet": [_record_set(name, schema) for name in subsets],
        **_coverage(places),
    }


def _coverage(places: Places) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if places.bounds:
        west, south, east, north = places.bounds
        box = {"@type": "GeoShape", "box": f"{south:.6f} {west:.6f} {north:.6f} {east:.6f}"}  # latitude first
        found["spatialCoverage"] = {"@type": "Place", "geo": box}
        # Footprints are in longitude and latitude, whatever the images' own systems are (column crs).
        found["geocr:coordinateReferenceSystem"] = "OGC:CRS84"
        found["geocr:spatialIndex"] = [{"@type": "geocr:SpatialIndex", "name": "Major-TOM 10 km", "field": "grid_cell"}]
    if places.period:
        found["temporalCoverage"] = places.period
    if places.gsd and places.gsd[0] == places.gsd[1]:
        found["geocr:spatialResolution"] = {
            "@type": "QuantitativeValue",
            "value": places.gsd[0],
            "unitText": "m",
            "unitCode": _UNITS,
        }
    return found


def _files(subset: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-of-{subset}",
        "name": f"files-of-{subset}",
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{subset}/*.parquet",
    }


def _record_set(subset: str, schema: pa.Schema) -> dict[str, Any]:
    fields = [_field(subset, field) for field in schema if not pa.types.is_nested(field.type) or field.name == "image"]
    return {"@type": "cr:RecordSet", "@id": subset, "name": subset, "field": fields}


def _field(subset: str, field: pa.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{subset}/{field.name}",
        "name": field.name,
        "dataType": _data_type(field),
        "source": {"fileSet": {"@id": f"files-of-{subset}"}, "extract": {"column": field.name}},
    }


def _data_type(field: pa.Field) -> str:
    if field.name == "image":
        return "sc:ImageObject"
    kinds = (
        (pa.types.is_integer, "sc:Integer"),
        (pa.types.is_floating, "sc:Float"),
        (pa.types.is_timestamp, "sc:DateTime"),
    )
    return next((name for is_kind, name in kinds if is_kind(field.type)), "sc:Text")


def _context() -> dict[str, Any]:
    terms: dict[str, Any] = {name: f"{'sc' if name in _OF_SCHEMA_ORG else 'cr'}:{name}" for name in _TERMS}
    terms |= {
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
    }
    names = {"sc": "https://schema.org/", "cr": "http://mlcommons.org/croissant/", "dct": "http://purl.org/dc/terms/"}
    return {"@language": "en", "@vocab": "https://schema.org/", **names, "geocr": _GEO, **terms}
