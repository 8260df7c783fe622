"""Footprints of the rows of data sets, and which of them overlap on the ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lrs2m_builder.dataset.foreign import check_files, reading
from lrs2m_builder.errors import MissingExtraError, UserError

MIN_SHARE = 0.001  # of the smaller footprint: neighbours that share an edge overlap by less, for rounding
_COLUMNS = ("sample_id", "geometry", "lon", "lat", "datetime")
_AT_ONCE = 200_000  # footprints whose neighbours are in memory


@dataclass(frozen=True, slots=True)
class Footprints:
    """The rows of files that have a footprint, in file order.

    Attributes:
        file, row: (N,) numbers of the file and of the row in it.
        ids: the sample ids.
        shapes: (N,) outlines of shapely.
        lon, lat: (N,) centres.
        days: (N,) days since 1970 of the acquisition; NaN if unknown.
        num_rows: rows of each file, with those that have no footprint.
    """

    file: NDArray[np.int32]
    row: NDArray[np.int64]
    ids: NDArray[np.object_]
    shapes: NDArray[np.object_]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    days: NDArray[np.float64]
    num_rows: tuple[int, ...]

    def __len__(self) -> int:
        """How many rows have a footprint."""
        return len(self.ids)


def load_shapely(what: str) -> Any:
    """The geometry library, which is not in the base install.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import shapely
    except ImportError as error:
        raise MissingExtraError(what, "geo", error) from error
    return shapely


def read_footprints(files: Sequence[Path], what: str) -> Footprints:
    """Read the footprints of files of records; those of a file without the columns of a place are none.

    Args:
        what: what they are needed for, for the message if shapely is missing.

    Raises:
        UserError: a file cannot be read, or an outline is none.
        MissingExtraError: shapely is not installed.
    """
    shapely = load_shapely(what)
    parts: list[tuple[Any, ...]] = []
    num_rows = []
    for number, file in enumerate(files):
        with reading(file):
            names = pq.read_schema(file).names
            num_rows.append(pq.read_metadata(file).num_rows)
            if not {"sample_id", "geometry"} <= set(names):
                continue
            check_files([file], ["sample_id", "geometry"], ["lon", "lat", "datetime"])
            table = pq.read_table(file, columns=[name for name in _COLUMNS if name in names])
        table = table.append_column("row", pa.array(np.arange(table.num_rows)))
        table = table.filter(table["geometry"].is_valid())
        try:
            shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
        except shapely.errors.GEOSException as error:
            raise UserError(f"{file}: column 'geometry' holds bytes that are no WKB; see docs/place.md") from error
        centres = shapely.centroid(shapes)
        lon, lat = _numbers(table, "lon", shapely.get_x(centres)), _numbers(table, "lat", shapely.get_y(centres))
        ids = np.array(table["sample_id"].to_pylist(), object)
        part = (np.full(len(ids), number, np.int32), table["row"].to_numpy(), ids, shapes, lon, lat, _days(table))
        parts.append(part)
    if not parts:
        kinds = (np.int32, np.int64, object, object, float, float, float)
        parts.append(tuple(np.zeros(0, kind) for kind in kinds))
    file, row, ids, shapes, lon, lat, days = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Footprints(file, row, ids, shapes, lon, lat, days, tuple(num_rows))


def overlapping(
    one: NDArray[np.object_], other: NDArray[np.object_], may_count: Callable[[Any, Any], Any] | None = None
) -> tuple[Any, Any, Any]:
    """The pairs of outlines, one of either array, that overlap: positions in both, and shares of the smaller outline.

    A point overlaps the outlines that it lies in, and points at the same place.

    Args:
        may_count: which pairs of positions are compared; by default all.
    """
    shapely = load_shapely("comparing footprints")
    tree = shapely.STRtree(other)
    found: list[tuple[Any, Any, Any]] = []
    for start in range(0, len(one), _AT_ONCE):
        first, second = tree.query(one[start : start + _AT_ONCE], predicate="intersects")
        first = first + start
        if may_count is not None:
            counts = may_count(first, second)
            first, second = first[counts], second[counts]
        both = shapely.area(shapely.intersection(one[first], other[second]))
        smaller = np.minimum(shapely.area(one[first]), shapely.area(other[second]))
        share = np.divide(both, smaller, out=np.ones_like(both), where=smaller > 0)
        kept = share >= MIN_SHARE
        found.append((first[kept], second[kept], share[kept]))
    if not found:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    pairs = [np.concatenate(columns) for columns in zip(*found, strict=True)]
    return pairs[0], pairs[1], pairs[2]


def _numbers(table: pa.Table, column: str, otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    if column not in table.schema.names:
        return otherwise
    values = table[column].to_numpy(zero_copy_only=False).astype(float)
    return np.where(np.isnan(values), otherwise, values)


def _days(table: pa.Table) -> Any:
    if "datetime" not in table.schema.names:
        return np.full(table.num_rows, np.nan)
    micros = table["datetime"].cast(pa.timestamp("us")).cast(pa.int64())
    return micros.to_numpy(zero_copy_only=False).astype(float) / 86_400e6
