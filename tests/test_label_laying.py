"""Labels laid over their image: what is outside, cut off or too small is no certain object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin
from rasterio.warp import transform

from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.part import ALL
from lrs2m_builder.sources.vector_labels import read
from tests.test_odd_sources import LABELS
from tests.test_odd_sources import read as read_source
from tests.test_vector_labels import Counts, save_mask
from tests.toy import build_toy, rows

SIZE = (512, 400)
Box = tuple[float, float, float, float]


def ring(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(box: Box, **properties: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [ring(*box)]}
    return {"type": "Feature", "properties": {"class": "building"} | properties, "geometry": geometry}


def as_geojson(folder: Path, boxes: list[Box]) -> Path:
    (folder / "1.geojson").write_text(json.dumps({"features": [feature(box) for box in boxes]}))
    return folder


def as_dota(folder: Path, boxes: list[Box]) -> Path:
    lines = [" ".join(f"{value}" for point in ring(*box)[:4] for value in point) + " building 0" for box in boxes]
    (folder / "1.txt").write_text("\n".join(lines))
    return folder


def as_voc(folder: Path, boxes: list[Box]) -> Path:
    names = ("xmin", "ymin", "xmax", "ymax")
    corners = ["".join(f"<{n}>{v}</{n}>" for n, v in zip(names, box, strict=True)) for box in boxes]
    objects = "".join(f"<object><name>building</name><bndbox>{each}</bndbox></object>" for each in corners)
    (folder / "1.xml").write_text(f"<annotation>{objects}</annotation>")
    return folder


def as_coco(folder: Path, boxes: list[Box], size: tuple[int, int] = SIZE) -> Path:
    image = {"id": 1, "file_name": "1", "width": size[0], "height": size[1]}
    annotations = [
        {"image_id": 1, "category_id": 1, "bbox": [left, top, right - left, bottom - top]}
        for left, top, right, bottom in boxes
    ]
    categories = [{"id": 1, "name": "building"}]
    path = folder / "coco.json"
    path.write_text(json.dumps({"images": [image], "categories": categories, "annotations": annotations}))
    return path


FORMS = [as_geojson, as_dota, as_voc, as_coco]
every_form = pytest.mark.parametrize("write", FORMS)


def laid(path: Path, image: Path, **options: Any) -> dict[str, int | None]:
    """The anchors of the only image of a label file, laid over an image."""
    (row,) = read(path, **options)
    assert row.anchors_in is not None
    return {anchor.name: anchor.count for anchor in row.anchors_in(image, ALL)}


def reason(path: Path, image: Path, **options: Any) -> str:
    with pytest.raises(SampleError) as caught:
        laid(path, image, **options)
    return f"{caught.value.reason}: {caught.value.detail}"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.new("RGB", SIZE).save(tmp_path / "images" / "1.png")
    return tmp_path / "images" / "1.png"


WHOLE: Box = (100, 100, 150, 150)


@every_form
@pytest.mark.parametrize(
    "sliver",
    [
        (-95, 100, 5, 150),  # a twentieth of it is in the image
        (0, 100, 1, 160),  # cut already, a pixel thick
        (500, 398.5, 512, 400),
        (0, 0, 5, 5),
        (490, -300, 512, 20),
    ],
)
def test_a_sliver_at_the_edge_is_no_object(write: Any, sliver: Box, tmp_path: Path, image: Path) -> None:
    assert laid(write(tmp_path, [WHOLE, sliver]), image) == {"building": 1}


@every_form
def test_an_object_half_outside_names_its_class_without_a_number(write: Any, tmp_path: Path, image: Path) -> None:
    assert laid(write(tmp_path, [WHOLE, (-25, 100, 25, 150)]), image) == {"building": None}


@every_form
def test_an_object_that_crosses_the_image_is_one(write: Any, tmp_path: Path, image: Path) -> None:
    assert laid(write(tmp_path, [(-2000, 100, 2000, 150)]), image) == {"building": 1}


@every_form
def test_an_object_too_small_to_be_seen_takes_the_number_from_its_class(
    write: Any, tmp_path: Path, image: Path
) -> None:
    assert laid(write(tmp_path, [WHOLE, (200, 200, 202, 202)]), image) == {"building": None}
    assert "large enough" in reason(write(tmp_path, [(200, 200, 202, 202)]), image)


@every_form
def test_the_limits_are_options(write: Any, tmp_path: Path, image: Path) -> None:
    path = write(tmp_path, [WHOLE, (200, 200, 210, 210), (-25, 100, 25, 150)])
    assert laid(path, image, min_inside=0.6) == {"building": 2}
    assert laid(path, image, min_inside=0.6, min_area=101) == {"building": None}
    assert laid(path, image, min_inside=0.6, min_object_share=0.01) == {"building": None}
    assert laid(path, image, lay_over=False) == {"building": 3}


@every_form
def test_labels_outside_of_the_image_are_never_believed(write: Any, tmp_path: Path, image: Path) -> None:
    assert reason(write(tmp_path, [(900, 900, 950, 950), (600, 10, 650, 60)]), image).startswith("labels_")
    assert "2 of its 3 objects" in reason(write(tmp_path, [WHOLE, (900, 900, 950, 950), (600, 10, 650, 60)]), image)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({"truncated": 1, "partialDec": 0.003}, {}),
        ({"truncated": 1}, {"building": None}),
        ({"truncated": "true"}, {"building": None}),
        ({"truncated": 1, "partialDec": 0.5}, {"building": None}),
        ({"truncated": 0.9}, {}),
        ({"truncated": 0, "partialDec": 1}, {"building": 1}),
    ],
)
def test_a_truncated_object_is_named_without_a_number_or_left_out(
    marks: dict[str, Any], expected: dict[str, Any], tmp_path: Path, image: Path
) -> None:
    other = feature((300, 300, 350, 350), **{"class": "ship"})
    (tmp_path / "1.geojson").write_text(json.dumps({"features": [feature(WHOLE, **marks), other]}))
    assert laid(tmp_path, image) == expected | {"ship": 1}


def test_labels_of_a_copy_of_the_image_in_another_size_are_scaled(tmp_path: Path, image: Path) -> None:
    path = as_coco(tmp_path, [(1000, 800, 1400, 1200), (4, 4, 9, 9)], size=(2048, 1600))
    assert laid(path, image) == {"building": None}  # five pixels become one
    assert "made for an image of 800 x 800 pixels, but the image has 512 x 400" in reason(
        as_coco(tmp_path, [WHOLE], size=(800, 800)), image
    )


def test_a_mask_of_another_shape_is_said(tmp_path: Path, image: Path) -> None:
    folder = save_mask(tmp_path / "masks" / "1.png", np.ones((64, 64)))
    assert reason(folder, image, classes={1: "grass"}).startswith("labels_misfit")
    folder = save_mask(tmp_path / "masks" / "1.png", np.ones((100, 128)))
    assert laid(folder, image, classes={1: "grass"}) == {"grass": None}


# On Earth

UTM = "EPSG:32631"
PLACES: list[Box] = [(426100, 5426700, 426200, 5426800), (426300, 5426700, 426400, 5426800)]


def geotiff(path: Path) -> Path:
    """100 x 80 pixels of 5 m in UTM."""
    place = from_origin(426000, 5427000, 5, 5)
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=80, count=3, dtype="uint8", crs=UTM, transform=place
    ) as file:
        file.write(np.full((3, 80, 100), 90, np.uint8))
    return path


def moved(crs: str) -> list[Box]:
    """PLACES in another coordinate system."""
    found = []
    for left, bottom, right, top in PLACES:
        (x1, x2), (y1, y2) = transform(UTM, crs, [left, right], [bottom, top])
        found.append((x1, y1, x2, y2))
    return found


def stated(folder: Path, boxes: list[Box], crs: str) -> Path:
    content: dict[str, Any] = {"features": [feature(box) for box in boxes]}
    if crs:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    (folder / "1.geojson").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("crs", "name"),
    [
        ("EPSG:3857", "urn:ogc:def:crs:EPSG::3857"),
        ("EPSG:4326", ""),
        ("EPSG:4326", "urn:ogc:def:crs:OGC:1.3:CRS84"),
        (UTM, ""),
        ("EPSG:32632", "EPSG:32632"),
    ],
)
def test_labels_in_any_coordinate_system_are_laid_over_a_geotiff(tmp_path: Path, crs: str, name: str) -> None:
    elsewhere: Box = (PLACES[0][0] - 2000, PLACES[0][1], PLACES[0][2] - 2000, PLACES[0][3])
    assert laid(stated(tmp_path, moved(crs), name), geotiff(tmp_path / "1.tif")) == {"building": 2}
    if crs == UTM:
        assert laid(stated(tmp_path, [PLACES[0], elsewhere, elsewhere], name), tmp_path / "1.tif") == {"building": 1}


@pytest.mark.parametrize(
    ("boxes", "name", "message"),
    [
        (moved("EPSG:3857"), "", r"labels_outside: .* lies outside its image: x 426000 to 426500.*EPSG:32631"),
        ([(12.0, 45.0, 12.1, 45.1)], "", "labels_outside: .*EPSG:4326"),
        ([(y, x, y + 0.001, x + 0.001) for x, y, _, _ in moved("EPSG:4326")], "", "labels_outside"),
        (PLACES, "EPSG:32633", r"labels_outside: .*\(EPSG:32633\)"),
        (PLACES, "EPSG:999999", "labels_misfit: .*unknown coordinate system 'EPSG:999999'"),
    ],
)
def test_labels_of_another_place_are_said(tmp_path: Path, boxes: list[Box], name: str, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        laid(stated(tmp_path, boxes, name), geotiff(tmp_path / "1.tif"))


@pytest.mark.parametrize("boxes", [moved("EPSG:4326"), [(115.8, -32.1, 115.9, -32.0)], PLACES])
def test_map_coordinates_over_an_image_without_a_place_are_said(tmp_path: Path, boxes: list[Box], image: Path) -> None:
    assert "the image has no place on Earth" in reason(stated(tmp_path, boxes, ""), image)


# In a build


def test_every_image_without_anchors_is_rejected_with_the_reason_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    contents = {
        "empty": [],
        "nameless": [feature(WHOLE) | {"properties": {"id": 3}}] * 19,
        "outside": [feature((900, 900, 950, 950))],
        "good": [feature(WHOLE)],
    }
    (tmp_path / "images").mkdir()
    for name, features in contents.items():
        (tmp_path / "labels" / f"{name}.geojson").write_text(json.dumps({"features": features}))
        Image.new("RGB", SIZE).save(tmp_path / "images" / f"{name}.png")
    samples = {s.image_name: s for s in read_source(tmp_path, format="vector_labels", files=LABELS)}
    assert {name: sample.problem for name, sample in samples.items()} == dict.fromkeys(contents)
    report = build_toy(tmp_path / "toy.yaml", tmp_path / "out", recipe="vector_anchored", checks={"all": "off"})
    assert (report.records, report.rejections) == (1, {"no_anchors": 2, "labels_misfit": 1})
    details = {row["sample_id"]: row["detail"] for row in rows(tmp_path / "out", "rejected")}
    assert "19 features, none with class: set class_name" in details["toy/nameless"]
    assert "no features in it" in details["toy/empty"]


def test_a_damaged_image_is_rejected_as_such(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"no picture")
    as_dota(tmp_path, [WHOLE])
    with pytest.raises(SampleError, match="image_unreadable"):
        laid(tmp_path, tmp_path / "images" / "1.png")


def test_counts_of_all_forms_agree(tmp_path: Path, image: Path) -> None:
    boxes: list[Box] = [WHOLE, (200, 200, 240, 260), (-95, 100, 5, 150)]
    found: list[Counts] = []
    for write in FORMS:
        folder = tmp_path / write.__name__
        folder.mkdir()
        found.append({"1": laid(write(folder, boxes), image)})
    assert found == [{"1": {"building": 2}}] * len(FORMS)
