"""The table of tiles, `tiles.parquet`: GeoParquet 1.1, one row per tile with its place and its anchors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.files import finished_file
from lrs2m_builder.schema import Anchor

ROWS_PER_GROUP = 4096
_BOX = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
_ANCHOR = pa.struct([("name", pa.string()), ("count", pa.int32()), ("boxes", pa.list_(pa.list_(pa.float32())))])
SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("scene", pa.string()),
        ("col_off", pa.int32()),
        ("row_off", pa.int32()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("bbox", _BOX),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64())),
        ("gsd", pa.float64()),
        ("datetime", pa.timestamp("us", "UTC")),
        ("platform", pa.string()),
        ("split", pa.string()),
        ("grid_cell", pa.string()),
        ("valid_share", pa.float32()),
        ("anchors", pa.list_(_ANCHOR)),
        ("geometry", pa.binary()),
    ]
)


def tile_row(
    image: str,
    scene: str,
    offset: tuple[int, int],
    place: dict[str, Any],
    valid_share: float,
    anchors: Sequence[Anchor] | None,
    taken: tuple[datetime | None, str | None],
) -> dict[str, Any]:
    """One row of the table; what is not known is null."""
    return {
        "image": image,
        "scene": scene,
        "col_off": offset[0],
        "row_off": offset[1],
        **place,
        "datetime": taken[0],
        "platform": taken[1],
        "valid_share": valid_share,
        "anchors": None if anchors is None else [_anchor_row(anchor) for anchor in anchors],
    }


def _anchor_row(anchor: Anchor) -> dict[str, Any]:
    return {"name": anchor.name, "count": anchor.count, "boxes": [list(box) for box in anchor.boxes]}


def write_rows(path: Path, rows: Sequence[dict[str, Any]], skipped: dict[str, int]) -> None:
    """Write the finished tiles of one row of a scene; the numbers of skipped ones go into the footer."""
    schema = SCHEMA.with_metadata({"skipped": json.dumps(skipped)})
    with finished_file(path) as part:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), part, compression="zstd")


def join_rows(out: Path, parts: Sequence[Path], problems: dict[str, int]) -> None:
    """Write the whole table from the parts, in their order; what was left out or mended is counted in its footer."""
    summary = _Summary()
    for part in parts:  # the schema, with the extent, is written first
        summary.add(pq.read_table(part, columns=["bbox", "geometry"]))
    schema = SCHEMA.with_metadata({**summary.metadata(), "label_problems": json.dumps(problems)})
    with finished_file(out) as path, pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in _grouped(parts):
            writer.write_table(table.cast(schema), row_group_size=ROWS_PER_GROUP)


def _grouped(parts: Sequence[Path]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(pq.read_table(part).replace_schema_metadata(None))
        if sum(each.num_rows for each in waiting) >= ROWS_PER_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


class _Summary:
    """What the footer says: kinds of geometry, extent, and numbers of skipped tiles."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._bounds = [math.inf, math.inf, -math.inf, -math.inf]
        self._skipped: dict[str, int] = {}

    def add(self, table: pa.Table) -> None:
        for reason, number in json.loads(table.schema.metadata[b"skipped"]).items():
            self._skipped[reason] = self._skipped.get(reason, 0) + number
        for box, geometry in zip(table["bbox"].to_pylist(), table["geometry"].to_pylist(), strict=True):
            if geometry is None:
                continue
            is_cut = geometry[1] == 6  # in two parts at the antimeridian
            self._kinds.add("MultiPolygon" if is_cut else "Polygon")
            west, east = (-180.0, 180.0) if is_cut else (box["xmin"], box["xmax"])
            low, high = self._bounds[:2], self._bounds[2:]
            self._bounds = [min(low[0], west), min(low[1], box["ymin"]), max(high[0], east), max(high[1], box["ymax"])]

    def metadata(self) -> dict[str, str]:
        column: dict[str, Any] = {"encoding": "WKB", "geometry_types": sorted(self._kinds)}
        column["covering"] = {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}}
        if self._kinds:
            column["bbox"] = self._bounds
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        return {"geo": json.dumps(geo), "skipped": json.dumps(self._skipped)}
