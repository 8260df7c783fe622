"""The table of tiles, `tiles.parquet`: GeoParquet 1.1, one row per tile with its place and its anchors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.files import finished_file
from lrs2m_builder.images.geo_key import BBOX, GeoKey
from lrs2m_builder.schema import Anchor

ROWS_PER_GROUP = 4096
_ANCHOR = pa.struct([("name", pa.string()), ("count", pa.int32()), ("boxes", pa.list_(pa.list_(pa.float32())))])
SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("scene", pa.string()),
        ("col_off", pa.int32()),
        ("row_off", pa.int32()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("bbox", BBOX),
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
    geo, skipped = GeoKey(), Counter[str]()
    for part in parts:  # the schema, with the extent, is written first
        table = pq.read_table(part, columns=["bbox", "geometry"])
        geo.add(table)
        skipped.update(json.loads(table.schema.metadata[b"skipped"]))
    counts = {"skipped": json.dumps(skipped), "label_problems": json.dumps(problems)}
    schema = SCHEMA.with_metadata({**geo.metadata(), **counts})
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
