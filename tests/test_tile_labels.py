"""`lrs2m tile --labels`: counts are those of an independent computation, and never a wrong number."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rasterio.transform import Affine

from lrs2m_builder.build import build
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion
from lrs2m_builder.tile.options import TileOptions
from lrs2m_builder.tile.run import tile
from tests.fake_engine import FakeModule, good_text
from tests.tile_data import UTM, UTM_CRS, objects, on_map, table_of, values_at, write_layer, write_scene
from tests.toy import rows

shapely = pytest.importorskip("shapely")
pytest.importorskip("pyogrio")

SIZE, SIDE = 128, 800


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", values_at(SIDE, SIDE, "uint8"))


def tiled(scene: Path, out: Path, *labels: object, **options: Any) -> list[dict[str, Any]]:
    tile(TileOptions((scene,), out, labels=tuple(map(str, labels)), **{"size": SIZE, **options}))
    return table_of(out)


def by_shapely(
    shapes: np.ndarray, classes: np.ndarray, left: int, top: int, min_inside: float = 0.5
) -> dict[str, tuple[int | None, int]]:
    """Count and number of boxes of each class in a tile, object by object, with plain intersections."""
    square = shapely.box(left, top, left + SIZE, top + SIZE)
    counts: dict[str, int] = defaultdict(int)
    lengths: dict[str, float] = defaultdict(float)
    inexact = set()
    for shape, name in zip(shapes, classes, strict=True):
        if shape.geom_type == "Point":
            counts[name] += left <= shape.x < left + SIZE and top <= shape.y < top + SIZE
            continue
        part = shape.intersection(square)
        if shape.geom_type == "LineString":
            lengths[name] += part.length
        elif square.covers(shape):
            counts[name] += shape.area >= 9
        elif part.area >= 16 or (part.area >= 9 and part.area / shape.area >= min_inside):
            counts[name] += 1
            inexact.add(name)
    found: dict[str, tuple[int | None, int]] = {
        name: (None if name in inexact else number, number) for name, number in counts.items() if number
    }
    return found | {name: (None, 0) for name, length in lengths.items() if length >= 0.1 * SIZE}


@pytest.mark.parametrize(("overlap", "crs"), [(0, "EPSG:4326"), (48, "EPSG:3857")])
def test_counts_are_those_of_shapely_in_every_tile(scene: Path, tmp_path: Path, overlap: int, crs: str) -> None:
    shapes, classes = objects(300, SIDE)
    layer = write_layer(tmp_path / "layer.gpkg", on_map(shapes, UTM, UTM_CRS, crs), {"class": classes}, crs)
    table = tiled(scene, tmp_path / "out", layer, overlap=overlap)
    assert len(table) == ((SIDE - SIZE) // (SIZE - overlap) + 1) ** 2
    counts = [anchor["count"] for row in table for anchor in row["anchors"]]
    assert None in counts and any(count is not None for count in counts)
    for row in table:
        found = {anchor["name"]: (anchor["count"], len(anchor["boxes"])) for anchor in row["anchors"]}
        assert found == by_shapely(shapes, classes, row["col_off"], row["row_off"])


def test_boxes_are_where_the_objects_are_in_the_tile(scene: Path, tmp_path: Path) -> None:
    shapes = np.array([shapely.box(140, 10, 160, 40), shapely.box(250, 60, 300, 90)])
    layer = write_layer(
        tmp_path / "layer.geojson", on_map(shapes, UTM, UTM_CRS, "EPSG:4326"), {"class": np.array(["ship"] * 2, object)}
    )
    second, third = tiled(scene, tmp_path / "out", layer)[1:3]
    (ships,) = second["anchors"]
    assert ships["count"] is None  # one is cut off: "exactly two" might be false
    assert np.allclose(ships["boxes"], [(12, 10, 32, 40), (122, 60, 128, 90)], atol=0.05)
    (ship,) = third["anchors"]
    assert ship["count"] is None and np.allclose(ship["boxes"], [(0, 60, 44, 90)], atol=0.05)


def test_all_formats_give_the_same_anchors(scene: Path, tmp_path: Path) -> None:
    shapes, classes = objects(120, SIDE, seed=1)
    areas = np.array([shape.geom_type == "Polygon" for shape in shapes])
    shapes, classes = on_map(shapes[areas], UTM, UTM_CRS, "EPSG:4326"), classes[areas]
    anchors = []
    for suffix in ("gpkg", "geojson", "geojsonl", "shp", "fgb", "parquet"):
        layer = tmp_path / f"layer.{suffix}"
        write_layer(layer, shapes, {"class": classes})
        table = tiled(scene, tmp_path / suffix, layer)
        anchors.append([[(a["name"], a["count"], a["boxes"]) for a in row["anchors"]] for row in table])
    first = anchors[0]
    assert any(first) and all(_near(first, other) for other in anchors[1:])


def _near(one: list[Any], other: list[Any]) -> bool:
    """Equal but for the 7th decimal of the degrees that GeoJSON writes."""
    pairs = [(a, b) for row, twin in zip(one, other, strict=True) for a, b in zip(row, twin, strict=True)]
    return all(a[:2] == b[:2] and np.allclose(sorted(a[2]), sorted(b[2]), atol=0.06) for a, b in pairs)


def test_a_build_from_tiles_keeps_anchors_boxes_and_places(scene: Path, tmp_path: Path) -> None:
    shapes = np.array([shapely.box(20, 10, 40, 40), shapely.box(50, 60, 90, 90), shapely.box(120, 5, 140, 20)])
    kinds = np.array(["plane", "plane", "ship"], object)
    layer = write_layer(tmp_path / "l.gpkg", on_map(shapes, UTM, UTM_CRS, UTM_CRS), {"class": kinds}, UTM_CRS)
    tiled(scene, tmp_path / "tiles", layer)
    options = BuildOptions(
        recipe="vector_anchored",
        source=str(tmp_path / "tiles" / "manifest.yaml"),
        data_dir=tmp_path / "tiles",
        out_dir=tmp_path / "out",
        model="toy",
    )
    long, short = "Two planes stand on grey concrete beside a ship. ", "Two planes beside a ship."
    module = FakeModule(lambda r: Completion(short if r.role == "llm" else long + good_text(r.seed), "stop", 5, 9))
    assert build(options, module).samples == 36
    request = next(r for r in module.requests if r.sample_id.endswith("_000000_000000.jpg") and r.step == 0)
    assert "- plane: 2\n- ship\n" in request.parts[1]
    first = rows(tmp_path / "out")[0]
    assert first["anchors"] == [{"class": "plane", "count": 2}, {"class": "ship", "count": None}]
    found = [(box["class"], round(box["xmin"]), round(box["ymin"]), round(box["xmax"])) for box in first["boxes"]]
    assert found == [("plane", 20, 10, 40), ("plane", 50, 60, 90), ("ship", 120, 5, 128)]
    assert first["crs"] == UTM_CRS and first["gsd"] == pytest.approx(0.5, rel=0.01) and first["grid_cell"]


OSM = """<?xml version="1.0"?><osm version="0.6">
{nodes}
<way id="1"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/><tag k="building" v="yes"/></way>
<way id="2"><nd ref="5"/><nd ref="6"/><nd ref="7"/><nd ref="8"/><nd ref="5"/><tag k="natural" v="water"/></way>
<way id="3"><nd ref="1"/><nd ref="3"/><nd ref="6"/><tag k="highway" v="residential"/></way>
<way id="4"><nd ref="2"/><nd ref="4"/><nd ref="7"/><tag k="highway" v="primary"/><tag k="tunnel" v="yes"/></way>
<way id="5"><nd ref="9"/><nd ref="10"/><nd ref="11"/><nd ref="12"/><nd ref="9"/><tag k="building" v="roof"/></way>
<way id="6"><nd ref="9"/><nd ref="10"/><nd ref="11"/><nd ref="12"/><tag k="boundary" v="administrative"/></way>
</osm>"""


def test_openstreetmap_tags_become_words_and_what_is_below_the_ground_is_left_out(scene: Path, tmp_path: Path) -> None:
    pixels = [(20, 20), (50, 20), (50, 40), (20, 40), (60, 60), (110, 60), (110, 110), (60, 110)]
    pixels += [(70, 10), (90, 10), (90, 30), (70, 30)]
    places = on_map(shapely.points(pixels), UTM, UTM_CRS, "EPSG:4326")
    nodes = "\n".join(f'<node id="{n}" lat="{p.y:.9f}" lon="{p.x:.9f}"/>' for n, p in enumerate(places, 1))
    extract = tmp_path / "extract.osm"
    extract.write_text(OSM.format(nodes=nodes))
    first = tiled(scene, tmp_path / "out", extract, classes="osm")[0]
    found = {anchor["name"]: anchor["count"] for anchor in first["anchors"]}
    assert found == {"building": 1, "water": None, "road": None}


OSM_TAGS = {
    "building": ("building", "yes"),
    "ship": ("man_made", "ship"),
    "storage tank": ("man_made", "storage_tank"),
    "swimming pool": ("leisure", "swimming_pool"),
    "road": ("highway", "residential"),
}


def write_extract(path: Path, shapes: np.ndarray, classes: np.ndarray) -> Path:
    """Outlines and lines in longitude and latitude as ways of an OpenStreetMap extract."""
    osmium = pytest.importorskip("osmium")
    nodes: list[tuple[float, float]] = []
    ways: list[tuple[list[int], dict[str, str]]] = []
    for shape, name in zip(shapes, classes, strict=True):
        is_area = shape.geom_type == "Polygon"
        points = shape.exterior.coords[:-1] if is_area else shape.coords
        refs = list(range(len(nodes) + 1, len(nodes) + len(points) + 1))
        nodes += [(x, y) for x, y in points]
        tags = dict([OSM_TAGS[name], *([("area", "yes")] if is_area else [])])
        ways.append((refs + refs[:1] * is_area, tags))
    with osmium.SimpleWriter(str(path)) as writer:
        for number, place in enumerate(nodes, 1):
            writer.add_node(osmium.osm.mutable.Node(id=number, location=place))
        for number, (refs, tags) in enumerate(ways, 1):
            writer.add_way(osmium.osm.mutable.Way(id=number, nodes=refs, tags=tags))
    return path


def test_an_openstreetmap_extract_gives_the_anchors_of_a_geopackage(scene: Path, tmp_path: Path) -> None:
    shapes, classes = objects(120, SIDE, seed=3)
    ways = np.array([shape.geom_type != "Point" for shape in shapes])
    places, classes = on_map(shapes[ways], UTM, UTM_CRS, "EPSG:4326"), classes[ways]
    extract = write_extract(tmp_path / "extract.osm.pbf", places, classes)
    words = tmp_path / "classes.yaml"
    words.write_text("".join(f"{key}={value}: {name}\n" for name, (key, value) in OSM_TAGS.items()))
    layer = write_layer(tmp_path / "layer.gpkg", places, {"class": classes})
    one, other = (
        [[(a["name"], a["count"], a["boxes"]) for a in row["anchors"]] for row in table]
        for table in (tiled(scene, tmp_path / "1", extract, classes=str(words)), tiled(scene, tmp_path / "2", layer))
    )
    assert any(one) and _near(one, other)


def test_a_classes_file_gives_words_leaves_out_and_names_land_cover_without_a_number(
    scene: Path, tmp_path: Path
) -> None:
    shapes = [
        shapely.box(0, 0, 100, 60),
        shapely.box(5, 5, 15, 15),
        shapely.box(30, 5, 40, 15),
        shapely.box(2, 70, 9, 80),
    ]
    kinds = np.array(["wood", "B1", "B2", "junk"], object)
    layer = write_layer(
        tmp_path / "layer.gpkg", on_map(np.array(shapes), UTM, UTM_CRS, UTM_CRS), {"kind": kinds}, UTM_CRS
    )
    classes = tmp_path / "classes.yaml"
    classes.write_text('kind=wood: {words: forest, area: true}\nkind=junk: null\n"*": building\n')
    first = tiled(scene, tmp_path / "out", layer, classes=str(classes))[0]
    assert {a["name"]: a["count"] for a in first["anchors"]} == {"forest": None, "building": 2}
    classes.write_text("kind=wood: forest\nB1: villa\n")
    first = tiled(scene, tmp_path / "two", layer, classes=str(classes), class_column="kind")[0]
    assert {a["name"]: a["count"] for a in first["anchors"]} == {"forest": 1, "villa": 1, "b2": 1, "junk": 1}


def test_a_broken_outline_is_mended_and_counted(scene: Path, tmp_path: Path) -> None:
    bow_tie = shapely.Polygon([(10, 10), (40, 40), (40, 10), (10, 40)])
    layer = write_layer(
        tmp_path / "l.gpkg",
        on_map(np.array([bow_tie]), UTM, UTM_CRS, UTM_CRS),
        {"class": np.array(["ship"], object)},
        UTM_CRS,
    )
    report = tile(TileOptions((scene,), tmp_path / "out", labels=(str(layer),), size=SIZE))
    assert report.problems == {"broken outline, mended": 1}
    assert table_of(tmp_path / "out")[0]["anchors"][0]["count"] == 1


def refused(scene: Path, out: Path, *labels: object, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        tiled(scene, out, *labels, **options)
    assert "\n" not in str(error.value) and not (out / "tiles.parquet").exists()
    return str(error.value)


def test_layers_that_cannot_be_laid_are_refused_in_one_line(scene: Path, tmp_path: Path) -> None:
    shapes, classes = objects(20, SIDE)
    places = on_map(shapes, UTM, UTM_CRS, "EPSG:4326")
    no_crs = write_layer(tmp_path / "no_crs.gpkg", places, {"class": classes}, None)
    assert "no CRS" in refused(scene, tmp_path / "1", no_crs)
    unknown = write_layer(tmp_path / "unknown.parquet", places, {"class": classes}, None)
    assert "CRS is unknown" in refused(scene, tmp_path / "2", unknown)
    named = write_layer(tmp_path / "named.gpkg", places, {"kind": classes})
    assert "no column class" in refused(scene, tmp_path / "3", named) and "it has kind" in refused(
        scene, tmp_path / "3", named
    )
    swapped = shapely.transform(places, lambda xy: xy[:, ::-1])
    message = refused(scene, tmp_path / "4", write_layer(tmp_path / "swapped.gpkg", swapped, {"class": classes}))
    assert "axes are swapped" in message and "-84" in message and "33.6" in message
    metres = write_layer(tmp_path / "metres.geojson", on_map(shapes, UTM, UTM_CRS, UTM_CRS), {"class": classes})
    assert "no degrees" in refused(scene, tmp_path / "5", metres)
    far = write_layer(tmp_path / "far.gpkg", shapely.transform(places, lambda xy: xy + 3), {"class": classes})
    assert "do not meet" in refused(scene, tmp_path / "6", far)
    assert "no such file" in refused(scene, tmp_path / "7", tmp_path / "none.gpkg")
    coded = write_layer(tmp_path / "coded.gpkg", places, {"class": np.full(20, "[[7]]", object)})
    assert "'[[7]]' is not a word; give it words by --classes" in refused(scene, tmp_path / "10", coded)
    assert "no layer 'roads'; it has named" in refused(scene, tmp_path / "8", f"{named}:roads")
    lost = write_scene(tmp_path / "lost.tif", values_at(200, 200, "uint8"), crs=None)
    assert "no CRS, so --labels" in refused(lost, tmp_path / "9", named)


def test_a_scene_in_degrees_beyond_the_antimeridian_is_refused_with_layers(tmp_path: Path) -> None:
    east = write_scene(
        tmp_path / "fiji.tif",
        values_at(200, 200, "uint8"),
        transform=Affine(0.001, 0, 179.9, 0, -0.001, -17),
        crs="EPSG:4326",
    )
    island = np.array([shapely.box(-179.96, -17.1, -179.95, -17.09)])  # 180.04 for the scene
    layer = write_layer(tmp_path / "l.gpkg", island, {"class": np.array(["island"], object)})
    assert "beyond the antimeridian" in refused(east, tmp_path / "1", layer)
    assert tiled(east, tmp_path / "2")


@pytest.mark.parametrize(
    ("crs", "message"),
    [("EPSG:4326", ""), ({"type": "nonsense"}, "names no known CRS"), (7, "names no known CRS"), (None, "unknown")],
)
def test_the_crs_of_geoparquet_is_a_code_too_and_nonsense_is_refused(
    scene: Path, tmp_path: Path, crs: object, message: str
) -> None:
    shapes, classes = objects(20, SIDE)
    layer = write_layer(tmp_path / "l.parquet", on_map(shapes, UTM, UTM_CRS, "EPSG:4326"), {"class": classes})
    table = pq.read_table(layer)
    geo = json.loads(table.schema.metadata[b"geo"])
    geo["columns"][geo["primary_column"]]["crs"] = crs
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), layer)
    if message:
        assert message in refused(scene, tmp_path / "out", layer)
    else:
        assert any(row["anchors"] for row in tiled(scene, tmp_path / "out", layer))


def test_an_open_ring_is_closed_and_an_empty_layer_is_said_to_be_empty(
    scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (place,) = on_map(np.array([shapely.box(20, 10, 40, 40)]), UTM, UTM_CRS, "EPSG:4326")
    ring = [list(point) for point in place.exterior.coords][:-1]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {"class": "ship"}, "geometry": geometry}
    for name, features in (("open", [feature]), ("empty", [])):
        (tmp_path / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (anchor,) = tiled(scene, tmp_path / "1", tmp_path / "open.geojson")[0]["anchors"]
    assert (anchor["name"], anchor["count"]) == ("ship", 1)
    assert "Warning" not in capfd.readouterr().err
    assert "holds no objects" in refused(scene, tmp_path / "2", tmp_path / "empty.geojson")
