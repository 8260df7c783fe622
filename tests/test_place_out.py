"""A place leaves with its row: in shards, in every export, and in what is published; geospatial readers open it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import mlcroissant
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import shapely
import stac_geoparquet.arrow
import yaml
from datasets import load_dataset

from lrs2m_builder.dataset.export._base import Options
from lrs2m_builder.dataset.export._run import export
from lrs2m_builder.dataset.publish.run import publish
from lrs2m_builder.dataset.scores.table import RowScores, Scoring, text_sha256
from lrs2m_builder.dataset.scores.write import score_table
from lrs2m_builder.dataset.selection import Filters
from lrs2m_builder.errors import UserError
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


def valid(path: Path) -> None:
    """Have the validator of the GeoParquet format look at a file."""
    run = subprocess.run(
        [Path(sys.executable).with_name("geoparquet-validator"), "check", path], check=False, capture_output=True
    )
    said = run.stdout.decode() + run.stderr.decode()
    assert run.returncode == 0 and "FAIL" not in said, said


def score(folder: Path) -> None:
    """Give row 1 a score."""
    with score_table(folder, Scoring("fit", "toy", {}, {"long_min": pa.float32()}), print) as table:
        (file,) = table.files
        with table.open_shard(file) as shard:
            long = text_sha256("Field 1 beside a long road.")
            shard.keep([RowScores("a/1", None, long, {"long_min": 0.25})])
            shard.finish()


@pytest.mark.parametrize("images", ["reference", "embed", "copy"])
def test_geoparquet_has_both_texts_scores_and_the_image(tmp_path: Path, images: Any) -> None:
    score(data(tmp_path / "in"))
    export(tmp_path / "in", "geoparquet", tmp_path / "out", Filters(), Options(), images)
    path = tmp_path / "out" / "records.parquet"
    frame = geopandas.read_parquet(path)
    assert frame.crs == "OGC:CRS84" and list(frame.geometry.isna()) == [False, False, False, True]
    assert list(frame.fit_long_min.fillna(-1)) == [-1, 0.25, -1, -1]
    assert frame.caption_long[2] == "Field 2 beside a long road." and frame.caption_short[2] == "Field 2."
    assert len(geopandas.read_parquet(path, bbox=(13, 52, 14, 53))) == 1
    loaded = load_dataset("parquet", data_files=str(path), split="train")[0]
    assert (loaded["image"].size == (4, 3)) if images == "embed" else "image" not in loaded
    assert (tmp_path / "out" / loaded["image_path"]).is_file() == (images == "copy")
    found = duckdb.sql(f"SELECT sample_id FROM '{path}' WHERE bbox.xmin < 14 AND bbox.xmax > 13").fetchall()
    assert found == [("a/0",)]
    valid(path)


def test_every_row_is_an_item_of_stac(tmp_path: Path) -> None:
    score(data(tmp_path / "in"))
    report = export(tmp_path / "in", "stac", tmp_path / "out", Filters(), Options(), "copy")
    assert report.notes == ("1 rows without a place are no items of STAC; they were left out",)
    path = tmp_path / "out" / "items.parquet"
    valid(path)
    read = list(stac_geoparquet.arrow.stac_table_to_items(pq.read_table(path)))
    items = [pystac.Item.from_dict(item) for item in read]
    first = items[0]
    assert first.id == "a/0" and first.datetime == NOON and first.properties["proj:code"] == "EPSG:32633"
    assert (first.properties["gsd"], first.properties["platform"]) == (0.5, "plane")
    assert first.properties["caption_long"] == "Field 0 beside a long road."
    assert items[1].properties["fit_long_min"] == 0.25
    assert shapely.geometry.shape(first.geometry).equals(shapely.from_wkb(BERLIN.geometry))
    assert (tmp_path / "out" / first.assets["image"].href).read_bytes()[:4] == b"\x89PNG"
    assert len(items) == 3 and items[1].properties["start_datetime"].startswith("1900")
    collection = pystac.Collection.from_dict(json.loads((tmp_path / "out" / "collection.json").read_text()))
    assert collection.extent.spatial.bboxes == [[-180, -17.25, 180, 52.505]]


def test_a_published_set_is_geospatial(tmp_path: Path) -> None:
    publish([data(tmp_path / "in")], "me/data", dest=tmp_path / "tree", dry_run=True)
    card = (tmp_path / "tree" / "README.md").read_text()
    assert "geospatial" in yaml.safe_load(card.split("---")[1])["tags"] and "3 rows have a place on Earth" in card
    (shard,) = (tmp_path / "tree").rglob("*.parquet")
    assert list(geopandas.read_parquet(shard).geometry.geom_type[:3]) == ["Polygon", "MultiPolygon", "Point"]
    loaded = load_dataset(str(tmp_path / "tree"), "a", split="train")
    assert loaded[0]["datetime"] == NOON and loaded[0]["bbox"]["ymax"] == pytest.approx(52.505)
    geo = json.loads((tmp_path / "tree" / "croissant-geo.json").read_text())
    assert geo["spatialCoverage"]["geo"]["box"] == "-17.250000 -180.000000 52.505000 180.000000"
    assert geo["temporalCoverage"] == "2017-06-13/2017-06-13"
    assert geo["geocr:spatialResolution"]["value"] == 0.5 and geo["geocr:coordinateReferenceSystem"] == "OGC:CRS84"
    described = mlcroissant.Dataset(jsonld=geo, mapping=None)
    assert described.metadata.issues.errors == set()
    assert {field.name for field in described.metadata.record_sets[0].fields} >= {"lon", "caption_long", "geometry"}


@pytest.mark.parametrize("to", ["stac", "geoparquet"])
def test_a_set_without_places_is_refused_by_formats_of_places(tmp_path: Path, to: str) -> None:
    write_places(tmp_path / "in", [place_row(0, Place())])
    with pytest.raises(UserError, match=rf"--to {to}: no row has a place on Earth; docs/place\.md"):
        export(tmp_path / "in", to, tmp_path / "out", Filters(), Options())
    assert not (tmp_path / "out").exists()


def test_a_set_without_places_says_nothing_of_them(tmp_path: Path) -> None:
    write_places(tmp_path / "in", [place_row(0, Place(split="train"))])
    publish([tmp_path / "in"], "me/data", dest=tmp_path / "tree", dry_run=True)
    assert "geospatial" not in (tmp_path / "tree" / "README.md").read_text()
    assert not (tmp_path / "tree" / "croissant-geo.json").exists()
