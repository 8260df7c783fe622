"""STAC: every row as an item, in one STAC-GeoParquet file that pystac, stac-geoparquet and rustac read.

    DEST/items.parquet    id, geometry, bbox, datetime, gsd, platform, proj:code, assets (the image), both texts, scores
    DEST/collection.json  the collection of the items, with their extent
    DEST/images/...       the images, if copied

STAC needs a place and a time: a row without a place is left out, and an item whose time is unknown has the interval
from 1900 to 2100.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from lrs2m_builder.dataset.export._base import ImageChoice, ImageFiles, Options, image_bytes, image_suffix
from lrs2m_builder.dataset.export._geo import geoparquet, record_fields, record_values
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import write_json
from lrs2m_builder.images.geo_key import BBOX, SIDES

IMAGES: tuple[ImageChoice, ...] = ("reference", "embed", "copy")
WITH_SCORES = True
COLLECTION = "lrs2m"
_VERSION = "1.1.0"
_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_ANY_TIME = (dt.datetime(1900, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif", ".tif": "image/tiff"}
_TEXTS = pa.list_(pa.string())
_ASSET = pa.struct([("href", pa.string()), ("type", pa.string()), ("roles", _TEXTS)])
_LINK = pa.struct([("rel", pa.string()), ("href", pa.string()), ("type", pa.string())])
_TIME = pa.timestamp("us", tz="UTC")
# In the place of these columns of a record stand STAC's own; `license` would have to be a code of SPDX there.
_RENAMED = {"sample_id": "id", "license": "terms"}
_REPLACED = {"crs", "geometry", "bbox", "datetime", *_RENAMED}


def write(rows: Iterator[dict[str, Any]], folder: Path, options: Options) -> tuple[str, ...]:
    """Write the items as a stream, then their collection (see `ExportFormat.write`).

    Raises:
        UserError: no row has a place.
    """
    images, extent = ImageFiles(folder, options), _Extent()
    fields = [
        *(pa.field(name, pa.string()) for name in ("type", "stac_version", "id")),
        pa.field("stac_extensions", _TEXTS),
        pa.field("geometry", pa.binary()),
        pa.field("bbox", BBOX),
        *(pa.field(name, _TIME) for name in ("datetime", "start_datetime", "end_datetime")),
        *(pa.field(name, pa.string()) for name in ("proj:code", "proj:wkt2", "collection", "terms")),
        pa.field("links", pa.list_(_LINK)),
        pa.field("assets", pa.struct([("image", _ASSET)])),
        *(field for field in record_fields(options) if field.name not in _REPLACED),
    ]
    with geoparquet(folder / "items.parquet", fields) as file:
        file.add_all(_item(record_values(row, images, options), row) for row in extent.placed(rows))
        collection = _collection(extent)
        file.finish({"stac-geoparquet": json.dumps({"version": "1.0.0", "collections": {COLLECTION: collection}})})
    if not extent.bounds:
        raise UserError("--to stac: no row has a place on Earth; docs/place.md says where one is read from")
    write_json(folder / "collection.json", collection)
    number = extent.num_without
    return (f"{number:,} rows without a place are no items of STAC; they were left out",) if number else ()


def _item(values: dict[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    crs, time = values.get("crs"), values.get("datetime")
    is_code = bool(crs) and str(crs).partition(":")[2].isalnum()
    start, end = (None, None) if time else _ANY_TIME
    return {
        **values,
        "type": "Feature",
        "stac_version": _VERSION,
        "id": values["sample_id"],
        "stac_extensions": [_PROJECTION] if crs else [],
        **{"start_datetime": start, "end_datetime": end, "collection": COLLECTION, "terms": values.get("license")},
        **{"proj:code": crs if is_code else None, "proj:wkt2": None if is_code else crs},
        "links": [{"rel": "collection", "href": "./collection.json", "type": "application/json"}],
        "assets": {"image": {"href": values["image_path"], "type": _media_type(values, row), "roles": ["data"]}},
    }


def _media_type(values: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    has_bytes = bool((row.get("image") or {}).get("bytes"))
    return _TYPES.get(image_suffix(image_bytes(row)) if has_bytes else Path(values["image_path"]).suffix.lower())


class _Extent:
    """The bounding box and the times of all items."""

    def __init__(self) -> None:
        self.bounds: list[float] = []
        self.times: list[dt.datetime] = []
        self.num_without = 0

    def placed(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the rows that have a place; the others are counted."""
        for row in rows:
            if row.get("geometry") and row.get("bbox"):
                self._add(row)
                yield row
            else:
                self.num_without += 1

    def _add(self, row: Mapping[str, Any]) -> None:
        west, south, east, north = (row["bbox"][side] for side in SIDES)
        west, east = (-180.0, 180.0) if west > east else (west, east)
        before = self.bounds or [west, south, east, north]
        self.bounds = [*map(min, before[:2], (west, south)), *map(max, before[2:], (east, north))]
        if time := row.get("datetime"):
            self.times = [min([*self.times, time]), max([*self.times, time])]


def _collection(extent: _Extent) -> dict[str, Any]:
    times: list[str | None] = [time.isoformat().replace("+00:00", "Z") for time in extent.times]
    return {
        **{"type": "Collection", "stac_version": _VERSION, "id": COLLECTION, "license": "other", "links": []},
        "title": "Images with a short and a long text",
        "description": "Made by lrs2m-builder; the terms of each image and its texts are in the property terms.",
        "extent": {
            "spatial": {"bbox": [extent.bounds]},
            "temporal": {"interval": [times or [None, None]]},
        },
    }
