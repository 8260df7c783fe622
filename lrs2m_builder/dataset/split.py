"""`lrs2m split`: parts of a data set that share no place, so that a test tells how a model does elsewhere.

The unit is a cell of the Major-TOM grid: all images whose centre is in a cell go to one part. Where a footprint of a
part overlaps one of another, the image of the larger part gets no split (null), so that no ground is in two parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lrs2m_builder.dataset.footprints import Footprints, overlapping, read_footprints
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.scores.places import scored_files, the_home
from lrs2m_builder.dataset.split_files import SPLIT_FOLDER, SPLIT_JSON, SPLIT_SCHEMA, split_path
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors, finished_file, read_json, write_json
from lrs2m_builder.images.place import grid_cell
from lrs2m_builder.stores.changes import differences
from lrs2m_builder.stores.lock import locked

NO_SPLIT = -1


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How a data set is split.

    Attributes:
        km: side of the grid's cells.
        shares: the share of the images of each part, by its name.
        seed: another one puts other cells into the parts.
    """

    km: float = 10.0
    shares: Mapping[str, float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises:
        UserError: a cell without a size, or shares that are none.
        """
        if not 0.1 <= self.km <= 5000:
            raise UserError(f"--km {self.km:g}: a cell has 0.1 to 5,000 km")
        if len(self.parts) < 2 or any(share <= 0 for share in self.parts.values()):
            raise UserError("--shares: give two parts or more, each with a share above 0, such as train=8,test=2")

    @property
    def parts(self) -> dict[str, float]:
        """The shares of the parts, as given or the default."""
        return dict(self.shares or {"train": 0.8, "val": 0.1, "test": 0.1})


@dataclass(frozen=True, slots=True)
class SplitReport:
    """The result of a split.

    Attributes:
        rows: rows by part.
        cells: cells by part.
        num_overlapping: rows without a split because they overlap another part.
        num_without_place: rows without a split because they have no place.
    """

    path: str
    settings: dict[str, Any]
    rows: dict[str, int]
    cells: dict[str, int]
    num_overlapping: int
    num_without_place: int


def split(path: Path, settings: SplitSettings, say: Callable[[str], object], *, replace: bool = False) -> SplitReport:
    """Decide the split of every row of a data set and write the tables; the same call again writes the same.

    Args:
        replace: give up an earlier split with other settings.

    Raises:
        UserError: no row has a place, an earlier split with other settings, or the disk fails.
        MissingExtraError: shapely is not installed.
    """
    files = record_files(path)
    home = the_home(scored_files(path))
    found = read_footprints(files, "lrs2m split")
    if not len(found):
        raise UserError(f"{path}: no row has a place on Earth; docs/place.md says where one is read from")
    with locked(home / SPLIT_FOLDER, "split"):
        stated = {"by": "cell", "km": settings.km, "shares": settings.parts, "seed": settings.seed}
        _check_earlier(home, stated, replace=replace)
        parts, cells = assign(found, settings)
        dropped = _overlaps_of(found, parts)
        say(f"{len(np.unique(cells)):,} cells of {settings.km:g} km; comparing footprints at their borders")
        parts[dropped] = NO_SPLIT
        report = _report(path, stated, settings, found, parts, cells, len(dropped))
        _write(home, files, found, parts, list(settings.parts))
        write_json(home / SPLIT_FOLDER / SPLIT_JSON, asdict(report))
    return report


def assign(found: Footprints, settings: SplitSettings) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """The number of the part, and the cell, of each footprint.

    Cells in an order that only the seed decides go to the part that lacks most: the shares are met as exactly as the
    sizes of the cells allow.
    """
    cells = np.array([grid_cell(lon, lat, settings.km) for lon, lat in zip(found.lon, found.lat, strict=True)], object)
    names, number_of, counts = np.unique(cells, return_inverse=True, return_counts=True)
    shares = np.array(list(settings.parts.values()))
    wanted = shares / shares.sum() * len(found)
    have = np.zeros(len(shares))
    part_of_cell = np.zeros(len(names), np.int64)
    for cell in sorted(range(len(names)), key=lambda cell: _rank(settings.seed, str(names[cell]))):
        part_of_cell[cell] = int(np.argmax((wanted - have) / wanted))
        have[part_of_cell[cell]] += counts[cell]
    return part_of_cell[number_of], cells


def _rank(seed: int, cell: str) -> bytes:
    return hashlib.sha256(f"{seed} {cell}".encode()).digest()


def _overlaps_of(found: Footprints, parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows to leave out so that no footprint overlaps one of another part: of a pair, that of the larger part."""
    first, second, _ = overlapping(found.shapes, found.shapes, lambda first, second: parts[first] < parts[second])
    sizes = np.bincount(parts, minlength=parts.max() + 1)
    larger = np.where(_goes_first(sizes, parts[first], parts[second]), first, second)
    return np.unique(larger)


def _goes_first(sizes: NDArray[Any], one: NDArray[Any], other: NDArray[Any]) -> Any:
    """Whether the first of two parts is the larger one; of equal parts the earlier one counts as larger."""
    return (sizes[one] > sizes[other]) | ((sizes[one] == sizes[other]) & (one < other))


def _check_earlier(home: Path, stated: Mapping[str, Any], *, replace: bool) -> None:
    path = home / SPLIT_FOLDER / SPLIT_JSON
    if not path.is_file():
        return
    changes = list(differences(read_json(path).get("settings"), dict(stated)))
    if changes and not replace:
        raise UserError(f"{path}: it is split otherwise: {'; '.join(changes)}. Give these again, or --replace")
    with disk_errors(path):
        path.unlink()  # the tables are not whole until it is there again


def _report(
    path: Path,
    stated: dict[str, Any],
    settings: SplitSettings,
    found: Footprints,
    parts: NDArray[np.int64],
    cells: NDArray[np.object_],
    num_overlapping: int,
) -> SplitReport:
    names = list(settings.parts)
    rows = {name: int((parts == number).sum()) for number, name in enumerate(names)}
    num_cells = {name: len(np.unique(cells[parts == number])) for number, name in enumerate(names)}
    return SplitReport(str(path), stated, rows, num_cells, num_overlapping, sum(found.num_rows) - len(found))


def _write(home: Path, files: Sequence[Path], found: Footprints, parts: NDArray[np.int64], names: list[str]) -> None:
    for number, file in enumerate(files):
        with reading(file):
            ids = pq.read_table(file, columns=["sample_id"])["sample_id"].cast(pa.string())
        values = np.full(found.num_rows[number], None, object)
        mine = found.file == number
        values[found.row[mine]] = [names[part] if part != NO_SPLIT else None for part in parts[mine]]
        table = pa.table({"sample_id": ids, "split": pa.array(values, pa.string())}, schema=SPLIT_SCHEMA)
        with finished_file(split_path(home, file)) as part:
            pq.write_table(table, part, compression="zstd", write_page_checksum=True)
