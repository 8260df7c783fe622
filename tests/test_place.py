"""Every row keeps its place on Earth, whoever knows it: the file, a table, a STAC item, the name, the manifest."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from datasets import load_dataset
from pyproj import Geod, Transformer

from lrs2m_builder.build.stored_rows import PLACE_COLUMNS
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.images.georeference import read_georeference
from lrs2m_builder.images.outlines import bounds_of, centre_of, read_outline, to_geojson, to_wkt
from lrs2m_builder.images.part import ALL
from lrs2m_builder.schema import NOWHERE, Place
from lrs2m_builder.sources import open_source, read_samples
from lrs2m_builder.sources._place_values import completed, merged, read_place
from lrs2m_builder.sources._scene_names import place_in_name
from tests.place_data import folder_manifest, samples_of, write_geotiff, write_images
from tests.toy import build_toy, make_source, rows

SHAPES = [
    shapely.Point(12.5, 48),
    shapely.box(12, 48, 12.5, 48.25),
    shapely.MultiPolygon([shapely.box(179, 1, 180, 2), shapely.box(-180, 1, -179.5, 2)]),
    shapely.Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(1, 1), (2, 1), (2, 2)]]),
]


def test_the_place_of_a_geotiff_reaches_the_row_and_datasets_opens_it(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "images" / "1.tif")
    folder_manifest(tmp_path)
    build_toy(tmp_path / "mine.yaml", tmp_path / "out", recipe="short_to_long")
    (row,) = rows(tmp_path / "out")
    to_lonlat = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform
    lon, lat = to_lonlat(500_160, 5_299_840)
    assert (row["lon"], row["lat"]) == pytest.approx((lon, lat), abs=1e-7)
    outline = shapely.from_wkb(row["geometry"])
    assert outline.bounds == pytest.approx(tuple(row["bbox"].values()))
    assert outline.exterior.distance(shapely.Point(to_lonlat(500_320, 5_299_680))) < 1e-7
    assert abs(Geod(ellps="WGS84").geometry_area_perimeter(outline)[0]) == pytest.approx(
        32 * 32 * row["gsd"] ** 2, rel=0.01
    )
    assert (row["crs"], row["platform"], row["datetime"]) == ("EPSG:32633", None, None)
    opened = load_dataset("parquet", data_dir=str(tmp_path / "out" / "data" / "mine"), split="train")[0]
    assert opened["gsd"] == row["gsd"] and opened["bbox"] == row["bbox"]


def test_a_row_without_a_place_has_nulls(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 1), tmp_path / "out")
    (row,) = rows(tmp_path / "out")
    assert {name: row[name] for name in PLACE_COLUMNS} == dict.fromkeys(PLACE_COLUMNS) | {"split": "train"}


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet", "by_name.json"])
def test_a_table_beside_the_images_tells_their_places(tmp_path: Path, suffix: str) -> None:
    write_images(tmp_path / "images", "a/1.png", "b/1.png", "2.png")
    entries: list[dict[str, Any]] = [
        {"image": "a/1.png", "Longitude": 11.5, "latitude": 48.1, "acquired": "2020-07-01", "gsd": 0.5},
        {"image": "b/1.png", "Longitude": -70.25, "latitude": -33.5, "acquired": "2021-01-31T10:20:30Z", "gsd": 3},
        {
            "image": "/elsewhere/2.jpg",
            "Longitude": 0,
            "latitude": 0,
            "acquired": "2021-01-31T10:20:30+02:00",
            "gsd": 10,
        },
    ]
    table = tmp_path / f"places.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(entries), table)
    elif suffix == "csv":
        lines = [",".join(entries[0]), *(",".join(map(str, entry.values())) for entry in entries)]
        table.write_text("\n".join(lines))
    elif suffix == "by_name.json":
        table.write_text(json.dumps({entry.pop("image"): entry for entry in entries}))
    else:
        table.write_text("\n".join(map(json.dumps, entries)) if suffix == "jsonl" else json.dumps(entries))
    found = {sample.image_name: sample.place for sample in samples_of(tmp_path, {"table": "places*"})}
    assert [(found[name].lon, found[name].gsd) for name in ("a/1.png", "b/1.png", "2.png")] == [
        (11.5, 0.5),
        (-70.25, 3),
        (0, 10),
    ]
    assert found["a/1.png"].datetime == dt.datetime(2020, 7, 1, tzinfo=dt.UTC)
    assert found["2.png"].datetime == dt.datetime(2021, 1, 31, 8, 20, 30, tzinfo=dt.UTC)
    assert found["b/1.png"].grid_cell == "373D_653L"
    assert shapely.from_wkb(found["2.png"].geometry).equals(shapely.Point(0, 0))


def test_stac_items_tell_places_by_their_assets(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "1.png", "2.png")
    for number in (1, 2):
        item = {
            **{"type": "Feature", "stac_version": "1.1.0", "id": f"item-{number}", "links": []},
            "geometry": shapely.box(number, 10, number + 1, 11).__geo_interface__,
            "bbox": [number, 10, number + 1, 11],
            "properties": {
                "datetime": "2020-07-01T10:00:00Z",
                "gsd": 0.5,
                "platform": "pleiades",
                "proj:code": "EPSG:3857",
            },
            "assets": {"image": {"href": f"https://example.com/images/{number}.png"}},
        }
        (tmp_path / f"{number}.stac.json").write_text(json.dumps(item))
    first, second = (sample.place for sample in samples_of(tmp_path, {"table": "*.stac.json"}))
    assert (second.lon, second.bbox, second.platform, second.crs) == (2.5, (2, 10, 3, 11), "pleiades", "EPSG:3857")
    assert first.geometry is not None and shapely.from_wkb(first.geometry).bounds == (1, 10, 2, 11)


def test_a_json_file_of_fmow_beside_an_image_is_read(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "airport_0_1_rgb.png")
    (tmp_path / "images" / "airport_0_1_rgb.json").write_text(
        json.dumps(
            {
                **{
                    "gsd": 1.6,
                    "timestamp": "2016-01-20T10:42:08Z",
                    "utm": "33T",
                    "bounding_boxes": [{"box": [1, 2, 3, 4]}],
                },
                "sensor_platform_name": "WORLDVIEW02",
                "raw_location": "POLYGON ((14.1 46.2, 14.1 46.3, 14.2 46.3, 14.2 46.2, 14.1 46.2))",
            }
        )
    )
    (sample,) = samples_of(tmp_path, {"beside": True})
    assert (sample.place.gsd, sample.place.platform) == (1.6, "WORLDVIEW02")
    assert sample.place.bbox == (14.1, 46.2, 14.2, 46.3)
    assert sample.place.datetime == dt.datetime(2016, 1, 20, 10, 42, 8, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("name", "platform", "time"),
    [
        ("ben_S2A_MSIL2A_20170613T101031_26_57.jpg", "sentinel-2a", "2017-06-13T10:10:31"),
        ("S2B_MSIL1C_20190101T000000_N0207_R022_T33UUP_x_B04.tif", "sentinel-2b", "2019-01-01T00:00:00"),
        ("S1A_IW_GRDH_1SDV_20170613T165043_33UUP_70_48", "sentinel-1a", "2017-06-13T16:50:43"),
        ("ENMAP01-____L2A-DT0000004950_20221103T162438Z_001_V010110-Y01.TIF", "enmap", "2022-11-03T16:24:38"),
        ("LC08_L1TP_193024_20170613_20170628_01_T1_B4.TIF", "landsat-8", "2017-06-13T00:00:00"),
        ("s2a/0000200/20200604T054639_20200604T054831_T43RCP", "sentinel-2a", "2020-06-04T05:46:39"),
        ("airport_0_1_rgb.jpg", None, None),
        ("S2A_MSIL2A_20170231T101031_26_57.jpg", None, None),
        ("20200604T054639_20200604T054831.jpg", None, None),
        ("MS2A_MSIL2A_20170613T101031", None, None),
    ],
)
def test_scene_names_tell_time_and_platform(name: str, platform: str | None, time: str | None) -> None:
    place = place_in_name(name)
    assert place.platform == platform
    assert place.datetime == (time and dt.datetime.fromisoformat(f"{time}+00:00"))


def test_constants_hold_where_nothing_else_says(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "images" / "1.tif", gsd=10)
    write_images(tmp_path / "images", "2.png")
    constants = {"gsd": 0.3, "platform": "plane", "datetime": "2019-05-04", "split": "train"}
    first, second = (sample.place for sample in samples_of(tmp_path, constants))
    assert first.gsd == pytest.approx(10, rel=0.01) and second.gsd == 0.3
    assert {first.platform, second.platform} == {"plane"} and first.split == "train"
    assert second.datetime == dt.datetime(2019, 5, 4, tzinfo=dt.UTC) and second.lon is None


def test_a_footprint_far_from_the_centre_that_is_told_is_not_taken() -> None:
    told, near = Place(lon=10.0, lat=50.0), Place(bbox=(9.9, 49.9, 10.2, 50.2), gsd=2.0)
    assert merged(told, near).bbox == near.bbox and merged(told, near).lon == 10.0
    far = Place(bbox=(99.0, 49.9, 99.2, 50.2), gsd=2.0)
    assert merged(told, far).bbox is None and merged(told, far).gsd == 2.0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"lon": 48.1, "lat": 116.2}, "lat '116.2': not from -90 to 90; are longitude and latitude swapped"),
        ({"lon": 600_000, "lat": 5}, "not from -180 to 180"),
        ({"lon": 1, "lat": 2, "gsd": 0}, "gsd '0': not above 0 metres"),
        ({"lon": 1, "lat": 2, "timestamp": "yesterday"}, "timestamp 'yesterday'"),
        ({"geometry": "LINESTRING (0 0, 1 1)"}, "is no WKT of a point or polygon"),
    ],
)
def test_a_table_with_a_value_that_is_none_is_refused_in_one_line(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    write_images(tmp_path / "images", "1.png")
    (tmp_path / "t.json").write_text(json.dumps([{"image": "1.png", **entry}]))
    with pytest.raises(UserError, match=r"t\.json: entry 1 \(1\.png\): .*place\.columns") as error:
        samples_of(tmp_path, {"table": "t.json"})
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (
            "image,lon,lat\nother.png,1,2\n",
            {},
            "names none of the images of mine: it has 'other.png', the source '1.png'",
        ),
        ("tile,lon,lat\n1.png,1,2\n", {}, "entry 1: no image: it has tile, lon, lat; name the column"),
        ("", {"table": "nothing.csv"}, "no table of places of mine"),
    ],
)
def test_a_table_that_names_no_image_is_refused(
    tmp_path: Path, content: str, place: dict[str, Any], message: str
) -> None:
    write_images(tmp_path / "images", "1.png")
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        samples_of(tmp_path, {"table": "t.csv"} | place)


def test_columns_may_be_named_or_left_unread(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "1.png")
    (tmp_path / "t.csv").write_text("tile,x,y,datetime\n1,7.5,46,last summer\n")
    columns = {"image": "tile", "lon": "x", "lat": "y", "datetime": None}
    (sample,) = samples_of(tmp_path, {"table": "t.csv", "columns": columns})
    assert (sample.place.lon, sample.place.lat, sample.place.datetime) == (7.5, 46, None)


def test_what_lies_beside_an_image_for_other_reasons_harms_no_row(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "1.png")
    entry = {
        "caption": "A road.",
        "bbox": [10, 20, 30, 40],
        "lat": "north",
        "platform": ["x"],
        "timestamp": 1_500_000_000,
    }
    (tmp_path / "images" / "1.json").write_text(json.dumps(entry))
    (sample,) = samples_of(tmp_path)
    assert sample.problem is None and sample.place == NOWHERE


def test_another_place_is_another_build(tmp_path: Path) -> None:
    write_images(tmp_path / "images", "1.png")
    table = tmp_path / "t.csv"
    table.write_text("image,lon,lat\n1.png,1,2\n")
    folder_manifest(tmp_path, {"table": "t.csv"})
    build_toy(tmp_path / "mine.yaml", tmp_path / "out")
    build_toy(tmp_path / "mine.yaml", tmp_path / "out")
    table.write_text("image,lon,lat\n1.png,1,3\n")
    with pytest.raises(UserError, match="places"):
        build_toy(tmp_path / "mine.yaml", tmp_path / "out")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.geom_type)
def test_every_way_to_write_an_outline_is_read_alike(shape: shapely.Geometry) -> None:
    ways = [shape.wkb, shape.wkt, shape.__geo_interface__, shapely.to_wkb(shape, hex=True)]
    ways += [shapely.to_wkb(shape, byte_order=0), shapely.to_wkb(shapely.set_srid(shape, 4326), include_srid=True)]
    for way in ways:
        outline = read_outline(way)
        assert shapely.from_wkb(outline).equals(shape)
        assert shapely.from_wkt(to_wkt(outline)).equals(shape)
        assert shapely.geometry.shape(to_geojson(outline)).equals(shape)


def test_an_outline_across_the_antimeridian_keeps_its_centre() -> None:
    bounds = bounds_of(SHAPES[2].wkb)
    assert bounds == (179, 1, -179.5, 2) and centre_of(bounds) == (179.75, 1.5)
    place = completed(Place(bbox=(179.5, 10, -179.5, 11)))
    assert place.geometry is not None and shapely.from_wkb(place.geometry).area == pytest.approx(1)
    assert abs(place.lon or 0) == 180


@pytest.mark.parametrize("outline", [b"", b"x" * 30, 3, "POLYGON EMPTY", {"type": "Polygon", "coordinates": [[]]}])
def test_what_is_no_outline_is_refused(outline: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_outline(outline)


def test_shipped_manifests_state_what_their_sources_hold() -> None:
    places = {name: load_manifest(name).place for name in shipped_names("manifests")}
    assert places["ucmerced"].gsd == 0.3 and places["bigearthnet"].gsd == 10 and places["fmow"].beside
    assert all(place.table == () for place in places.values())


REAL = [
    ("eurosat/EuroSAT_MS/AnnualCrop/AnnualCrop_1.tif", (28.5591, 44.0352), 10.002),
    ("hydro_s2/patch_1.tif", (-173.2348, -18.3617), 9.997),
    ("spacenet_solaris/sample_geotiff.tif", (-84.4789, 33.6384), 0.5),
    ("ssl4eo_s12/s2a/0000200/20200604T054639_20200604T054831_T43RCP/B2.tif", (73.3059, 30.464), 9.746),
]


@pytest.mark.parametrize(("name", "centre", "gsd"), REAL)
def test_real_files_tell_their_places(real_data: Path, name: str, centre: tuple[float, float], gsd: float) -> None:
    path = real_data / name
    place = read_georeference(path, ALL)
    assert (place.lon, place.lat) == pytest.approx(centre, abs=1e-3) and place.gsd == pytest.approx(gsd, rel=0.005)
    assert place.geometry is not None and shapely.from_wkb(place.geometry).is_valid


def test_band_folders_tell_their_place_and_time(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "bigearthnet_v2" / "BigEarthNet-S2"
    patch = next(folder.glob("*/*"))
    (tmp_path / "list.csv").write_text(f"filename\ttitle\n{patch.name}.jpg\tA river .\n")
    (tmp_path / patch.name).symlink_to(patch)
    keys = {"format": "remoteclip_csv", "files": {"annotations": ["list.csv"], "images": ["{stem}"]}}
    manifest = folder_manifest(tmp_path, bands=["B04", "B03", "B02"], **keys)
    (sample,) = read_samples(open_source(manifest, tmp_path))
    assert sample.place.platform == "sentinel-2a" and math.isclose(sample.place.gsd or 0, 10.003, rel_tol=1e-3)
    assert all(getattr(sample.place, each.name) is not None for each in fields(Place) if each.name != "split")


def test_names_of_a_place_are_read_in_their_order() -> None:
    place, problems = read_place({"longitude": 5, "lon": 4, "lat": 3, "wkt": "", "gsd": None})
    assert (place.lon, problems) == (4, [])
