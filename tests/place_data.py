"""Sources and data sets of images with a place on Earth, for the tests."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
import yaml
from PIL import Image
from rasterio.transform import from_origin

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA, place_columns
from lrs2m_builder.declared.manifest import Manifest, load_manifest
from lrs2m_builder.schema import Place, Sample
from lrs2m_builder.sources import open_source, read_samples
from lrs2m_builder.sources._place_values import completed
from tests.export_data import png


def write_images(folder: Path, *names: str) -> None:
    """Small pictures of different colours, each with a text beside it."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number * 37 % 256, 90, 60)).save(path)
        path.with_suffix(".txt").write_text(f"Field number {number} beside a road.")


def write_geotiff(path: Path, west: float = 500_000, north: float = 5_300_000, gsd: float = 10) -> None:
    """A GeoTIFF of 32 x 32 pixels in UTM 33 north."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"width": 32, "height": 32, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", driver="GTiff", transform=from_origin(west, north, gsd, gsd), **profile) as raster:
        raster.write(np.full((3, 32, 32), 90, np.uint8))
    path.with_suffix(".txt").write_text("A field beside a road.")


def folder_manifest(folder: Path, place: dict[str, Any] | None = None, **keys: Any) -> Manifest:
    """The manifest of a folder of images, with the key `place`."""
    path = folder / "mine.yaml"
    manifest = {
        **{"name": "mine", "title": "Mine", "format": "image_folder", "files": {"annotations": ["images"]}},
        **{"license": "CC0-1.0", "homepage": "none", "citation": "none", "get": "make it", "texts_from": "mine"},
        **({"place": place} if place is not None else {}),
        **keys,
    }
    path.write_text(yaml.safe_dump(manifest))
    return load_manifest(str(path))


def samples_of(folder: Path, place: dict[str, Any] | None = None, **keys: Any) -> list[Sample]:
    """The samples of a folder's `images/`."""
    return list(read_samples(open_source(folder_manifest(folder, place, **keys), folder)))


def place_row(number: int, place: Place, **columns: Any) -> dict[str, Any]:
    """A record with a place."""
    return {
        **{
            "sample_id": f"a/{number}",
            "subset": "a",
            "image": {"bytes": png((number % 256, 9, 9)), "path": f"{number}.png"},
        },
        **{
            "caption_short": f"Field {number}.",
            "caption_long": f"Field {number} beside a long road.",
            "license": "CC0-1.0",
        },
        **{"num_tokens_short": 5, "num_tokens_long": 9, "warnings": []},
        **place_columns(completed(place)),
        **columns,
    }


def square(lon: float, lat: float, side: float = 0.01, **known: Any) -> Place:
    """A place whose footprint is a square of degrees."""
    half = side / 2
    return completed(Place(bbox=(lon - half, lat - half, lon + half, lat + half), **known))


def write_places(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A data set of one shard; returns its folder."""
    path = folder / "data" / "a" / "train-00000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=RECORD_SCHEMA), path, row_group_size=100)
    return folder


NOON = dt.datetime(2017, 6, 13, 12, tzinfo=dt.UTC)
