"""A place leaves with its row: in shards, in every export, and in what is published; geospatial readers open it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import shapely
from datasets import load_dataset

from lrs2m_builder.dataset.export._base import Options
from lrs2m_builder.dataset.export._run import export
from lrs2m_builder.dataset.selection import Filters
from lrs2m_builder.schema import Place
from lrs2m_builder.sources import open_source, read_samples
from tests.place_data import NOON, folder_manifest, place_row, square, write_geotiff, write_places
from tests.toy import build_toy

BERLIN = square(13.4, 52.5, gsd=0.5, platform="plane", datetime=NOON, crs="EPSG:32633", split="test")


def data(folder: Path) -> Path:
    """Four rows: a polygon, one across the antimeridian, a point, and nothing."""
    across = Place(bbox=(179.75, -17.25, -179.75, -16.75))
    return write_places(folder, [place_row(n, p) for n, p in enumerate((BERLIN, across, Place(lon=1, lat=2), Place()))])


def test_a_shard_with_places_is_geoparquet_and_loads_in_datasets(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "images" / "1.tif")
    write_geotiff(tmp_path / "images" / "2.tif", west=600_000)
    folder_manifest(tmp_path)
    build_toy(tmp_path / "mine.yaml", tmp_path / "out")
    (shard,) = (tmp_path / "out" / "data").rglob("*.parquet")
    metadata = pq.read_metadata(shard).metadata
    geo, table = json.loads(metadata[b"geo"]), pq.read_table(shard)
    outlines = shapely.union_all(shapely.from_wkb(table["geometry"].to_pylist()))
    assert geo["version"] == "1.1.0" and geo["columns"]["geometry"]["geometry_types"] == ["Polygon"]
    assert geo["columns"]["geometry"]["bbox"] == pytest.approx(list(outlines.bounds))
    assert b"huggingface" in metadata and b"lrs2m.rejected" in metadata
    assert load_dataset("parquet", data_files=str(shard), split="train")[1]["image"].size == (32, 32)
    assert str(duckdb.sql(f"SELECT geometry FROM '{shard}'").types[0]).startswith("GEOMETRY")


@pytest.mark.parametrize("to", ["json", "webdataset", "mgrs"])
def test_a_place_comes_back_from_an_export(tmp_path: Path, to: str) -> None:
    export(data(tmp_path / "in"), to, tmp_path / "out", Filters(), Options())
    formats = {
        "json": {"format": "image_folder", "files": {"annotations": ["images"]}, "place": {"table": "records.json"}},
        "webdataset": {"format": "webdataset", "files": {"annotations": ["*.tar"]}},
        "mgrs": {"format": "mgrs_json", "files": {"annotations": ["text_info.json"], "images": ["{filename}"]}},
    }
    manifest = folder_manifest(tmp_path / "out", **formats[to])
    berlin, across, point, nothing = (sample.place for sample in read_samples(open_source(manifest, tmp_path / "out")))
    assert berlin == BERLIN and across.bbox == (179.75, -17.25, -179.75, -16.75)
    assert (point.lon, point.lat, nothing) == (1, 2, Place())


def test_the_table_of_open_clip_has_the_place(tmp_path: Path) -> None:
    export(data(tmp_path / "in"), "csv", tmp_path / "out", Filters(), Options(text="long"))
    lines = [line.split("\t") for line in (tmp_path / "out" / "train.csv").read_text().splitlines()]
    row = dict(zip(lines[0], lines[1], strict=True))
    assert (row["lon"], row["gsd"], row["platform"], row["split"]) == ("13.4", "0.5", "plane", "test")
    assert shapely.from_wkt(row["geometry"]).equals(shapely.from_wkb(BERLIN.geometry))
    assert lines[4][4:] == [""] * 10
