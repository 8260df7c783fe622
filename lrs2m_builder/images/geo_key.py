"""The key `geo` in the footer of a Parquet file, by which GeoParquet's readers find its footprints (version 1.1)."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lrs2m_builder.images.outlines import kind_of

COLUMN = "geometry"
SIDES = ("xmin", "ymin", "xmax", "ymax")
BBOX = pa.struct([(side, pa.float64()) for side in SIDES])  # the type of the column `bbox`


class GeoKey:
    """Collects what the key says of rows as they are written; a file without a footprint gets no key."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._bounds: list[float] = []
        self._is_wkb = True

    def add(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Take rows with the columns `geometry` and `bbox` into account."""
        footprints = [footprint for footprint in rows.column(COLUMN).to_pylist() if footprint is not None]
        if not footprints:
            return
        try:
            self._kinds |= {kind_of(footprint) for footprint in {each[:5]: each for each in footprints}.values()}
        except ValueError:  # of a foreign data set, whose column has the name for another reason
            self._is_wkb = False
        if pc.struct_field(rows.column("bbox"), "xmin").null_count == len(rows):
            return
        west, south, east, north = (pc.struct_field(rows.column("bbox"), side) for side in SIDES)
        if pc.any(pc.greater(west, east)).as_py():  # across the antimeridian
            west, east = pa.array([-180.0]), pa.array([180.0])
        lows, highs = [pc.min(west).as_py(), pc.min(south).as_py()], [pc.max(east).as_py(), pc.max(north).as_py()]
        before = self._bounds or [*lows, *highs]
        self._bounds = [*map(min, lows, before[:2]), *map(max, highs, before[2:])]

    def metadata(self) -> dict[str, str]:
        """The key and its value; empty if no row has a footprint."""
        if not (self._kinds and self._is_wkb):
            return {}
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._kinds),
            "covering": {"bbox": {side: ["bbox", side] for side in SIDES}},
        }
        if self._bounds:
            column["bbox"] = self._bounds
        return {"geo": json.dumps({"version": "1.1.0", "primary_column": COLUMN, "columns": {COLUMN: column}})}
