"""`lrs2m split` and `lrs2m audit` by place: no ground in two parts, and every evaluation image's ground is found."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from lrs2m_builder.dataset.audit.against import open_evaluation
from lrs2m_builder.dataset.audit.run import audit
from lrs2m_builder.dataset.audit.same_place import place_matches
from lrs2m_builder.dataset.export._base import Options
from lrs2m_builder.dataset.export._run import export
from lrs2m_builder.dataset.publish.run import publish
from lrs2m_builder.dataset.selection import Filters, read_rows, select
from lrs2m_builder.dataset.split import SplitSettings, split
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.images.georeference import read_georeference
from lrs2m_builder.images.part import ALL
from lrs2m_builder.images.place import grid_cell
from lrs2m_builder.schema import Place
from lrs2m_builder.train.index import read_index
from tests.place_data import NOON, place_row, square, write_geotiff, write_places

SIDE = 0.02  # degrees of a tile, about 2 km


def mosaic(folder: Path, side: int = 30, step: float = 0.01) -> Path:
    """Tiles of 0.02 degrees that overlap by half, and one row without a place."""
    places = [square(10 + step * (n % side), 45 + step * (n // side), SIDE, split="train") for n in range(side * side)]
    return write_places(folder, [place_row(n, place) for n, place in enumerate([*places, Place()])])


def parts(folder: Path) -> list[dict[str, Any]]:
    return list(read_rows(select(folder, Filters()), with_images=False))


def test_no_ground_and_no_cell_is_in_two_parts(tmp_path: Path) -> None:
    report = split(mosaic(tmp_path), SplitSettings(km=5), lambda line: None)
    rows = parts(tmp_path)
    cells: dict[str, set[str]] = {}
    for row in (row for row in rows if row["split"]):
        cells.setdefault(grid_cell(row["lon"], row["lat"], 5), set()).add(row["split"])
    assert len(cells) > 20 and all(len(of_cell) == 1 for of_cell in cells.values())
    placed = [row for row in rows if row["split"]]
    shapes, names = shapely.from_wkb([row["geometry"] for row in placed]), np.array([row["split"] for row in placed])
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    others = names[first] != names[second]
    assert shapely.area(shapely.intersection(shapes[first[others]], shapes[second[others]])).max(initial=0) < 1e-12
    assert report.rows == {name: int((names == name).sum()) for name in ("train", "val", "test")}
    assert sum(report.rows.values()) + report.num_overlapping + report.num_without_place == len(rows) == 901
    assert rows[-1]["split"] is None and report.num_without_place == 1
    assert all(report.rows[name] > 30 for name in ("val", "test")) and report.rows["train"] > 400


def test_tiles_that_only_share_an_edge_all_keep_a_part(tmp_path: Path) -> None:
    report = split(mosaic(tmp_path, side=20, step=SIDE), SplitSettings(km=5), lambda line: None)
    assert report.num_overlapping == 0 and sum(report.rows.values()) == 400
    shares = [rows / 400 for rows in report.rows.values()]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_a_split_is_seen_by_conditions_export_publish_and_train_and_no_shard_changes(tmp_path: Path) -> None:
    data = mosaic(tmp_path / "data set", side=20, step=SIDE)
    (shard,) = record_files(data)
    before = shard.read_bytes()
    report = split(data, SplitSettings(km=5), lambda line: None)
    assert shard.read_bytes() == before
    filters = Filters(where="split = 'test'")
    assert select(data, filters).num_rows == report.rows["test"]
    export(data, "geoparquet", tmp_path / "geo", filters, Options())
    assert set(pq.read_table(tmp_path / "geo" / "records.parquet")["split"].to_pylist()) == {"test"}
    publish([data], "me/data", dest=tmp_path / "tree", dry_run=True)
    (published,) = (tmp_path / "tree").rglob("*.parquet")
    names = pq.read_table(published)["split"].to_pylist()
    assert {name: names.count(name) for name in report.rows} == report.rows and names.count(None) == 1
    index = read_index([data], ["caption_long"], where="split = 'val'")
    assert int((index.num_tokens_R > 0).sum()) == report.rows["val"]


def test_the_same_split_again_is_the_same_and_another_needs_a_word(tmp_path: Path) -> None:
    mosaic(tmp_path, side=10)
    split(tmp_path, SplitSettings(km=5.0), lambda line: None)
    first = [row["split"] for row in parts(tmp_path)]
    split(tmp_path, SplitSettings(km=5.0), lambda line: None)
    assert [row["split"] for row in parts(tmp_path)] == first
    with pytest.raises(UserError, match=r"split otherwise: km was 5\.0, now 20\.0\. Give these again, or --replace"):
        split(tmp_path, SplitSettings(km=20.0), lambda line: None)
    split(tmp_path, SplitSettings(km=5.0, seed=1), lambda line: None, replace=True)
    assert [row["split"] for row in parts(tmp_path)] != first


def test_a_split_that_was_killed_is_not_seen(tmp_path: Path) -> None:
    mosaic(tmp_path, side=10)
    split(tmp_path, SplitSettings(), lambda line: None)
    (tmp_path / "scores" / "split" / "split.json").unlink()
    assert {row["split"] for row in parts(tmp_path)} == {"train", None}
    split(tmp_path, SplitSettings(), lambda line: None)
    (tmp_path / "scores" / "split" / "a" / "train-00000.parquet").unlink()
    with pytest.raises(UserError, match=r"has no splits of .*run lrs2m split again"):
        parts(tmp_path)


def test_a_set_without_places_cannot_be_split(tmp_path: Path) -> None:
    write_places(tmp_path, [place_row(0, Place())])
    with pytest.raises(UserError, match=r"no row has a place on Earth; docs/place\.md"):
        split(tmp_path, SplitSettings(), lambda line: None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--km", "0"), "--km 0: a cell has 0.1 to 5,000 km"),
        (("--shares", "train"), "write NAME=NUMBER"),
        (("--shares", "train=1"), "give two parts or more"),
        (("--shares", "a b=1,c=2"), "'a b' is no name of a part"),
    ],
)
def test_settings_that_cannot_be_are_one_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    write_places(tmp_path, [place_row(0, square(1, 1))])
    command = [sys.executable, "-m", "lrs2m_builder.cli", "split", str(tmp_path), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2 and message in run.stderr and run.stderr.count("\n") == 1


def planted(folder: Path) -> tuple[Path, Path, set[str]]:
    """2,000 rows, of which 200 overlap one of 500 evaluation images, by much or by little."""
    chance = random.Random(3)
    grid = [(0.05 * x - 20, 0.05 * y - 20) for x in range(120) for y in range(120)]
    spots = chance.sample(grid, 2500)  # no two squares of 0.02 overlap
    evaluation = [square(lon, lat, SIDE, datetime=NOON) for lon, lat in spots[:500]]
    rows, leaks = [], set()
    for number in range(2000):
        lon, lat = spots[500 + number] if number >= 200 else spots[number]
        if number < 200:
            angle = chance.uniform(0.01, 0.95) * SIDE
            lon, lat = (
                lon + chance.choice([-1, 1]) * angle,
                lat + chance.choice([-1, 1]) * chance.uniform(0, 0.9) * SIDE,
            )
            leaks.add(f"a/{number}")
        rows.append(place_row(number, square(lon, lat, SIDE)))
    chance.shuffle(rows)
    eval_rows = [place_row(9000 + number, place) for number, place in enumerate(evaluation)]
    return write_places(folder / "own", rows), write_places(folder / "eval", eval_rows), leaks


def test_all_of_200_planted_overlaps_are_found_and_no_other(tmp_path: Path) -> None:
    own, evaluation, leaks = planted(tmp_path)
    matches = place_matches(record_files(own), [open_evaluation(evaluation)], None)
    assert {match.image for match in matches} == leaks


def test_an_audit_removes_what_shows_the_ground_of_an_evaluation_image(tmp_path: Path) -> None:
    late = NOON.replace(year=2019)
    rows = [square(10, 45, datetime=NOON), square(10.005, 45, datetime=late), square(10.005, 45), square(11, 45)]
    own = write_places(tmp_path / "own", [place_row(number, place) for number, place in enumerate(rows)])
    evaluation = write_places(tmp_path / "eval", [place_row(99, square(10, 45, datetime=NOON))])
    result = audit(own, [evaluation])
    places = {match.image: (round(match.share, 2), match.days_apart) for match in result.places}
    assert places == {"a/0": (1.0, 0), "a/1": (0.5, 730), "a/2": (0.5, None)}
    assert "same_place" in {reason for reason, _ in result.removals.values()}
    assert select(own, Filters(without_audit=True)).num_rows == 1
    near = audit(own, [evaluation], within_days=30)
    assert {match.image for match in near.places} == {"a/0", "a/2"}
    assert "Ground of evaluation images" in (own / "audit" / "report.html").read_text()


def test_evaluation_images_may_be_geotiffs(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "eval" / "S2A_MSIL2A_20170613T101031_x.tif")
    theirs = read_georeference(next((tmp_path / "eval").glob("*.tif")), ALL)
    assert theirs.lon is not None and theirs.lat is not None
    own = write_places(tmp_path / "own", [place_row(0, square(theirs.lon, theirs.lat, 0.002, datetime=NOON))])
    (match,) = place_matches(record_files(own), [open_evaluation(tmp_path / "eval")], None)
    assert match.days_apart is not None and match.days_apart < 0.1
