"""Labels in the forms that data sets and tools really write: each is read as what it says, or named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.karpathy_json import read as read_captions
from lrs2m_builder.sources.vector_labels import read
from tests.test_vector_labels import counts

CORNERS = "10 10 30 10 30 30 10 30"
SHIP = {"type": "Feature", "properties": {"class": "ship"}, "geometry": {"type": "Point", "coordinates": [5, 5]}}
IMAGE = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
OBJECT = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 30]}


def only(folder: Path, name: str, content: str | bytes, **options: Any) -> dict[str, int | None]:
    """The anchors of a folder with one label file."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return next(iter(counts(folder, **options).values()))


def coco(folder: Path, annotations: list[Any], **changes: Any) -> Path:
    content = {"images": [IMAGE], "categories": [{"id": 1, "name": "ship"}], "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(content | changes))
    return folder / "annotations.json"


# DOTA


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("storage tank 0", "storage tank"),
        ("soccer ball field 1", "soccer ball field"),
        ("Boeing 737 2", "boeing 737"),
        ("container-crane", "container crane"),
        ("basketball court", "basketball court"),
    ],
)
def test_a_class_of_several_words_in_dota_is_one_class(tmp_path: Path, words: str, name: str) -> None:
    assert only(tmp_path, "1.txt", f"{CORNERS} {words}\n") == {name: 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{CORNERS} plane 0.98", "a score"),
        (f"{CORNERS} plane 0 0.98", "a score"),
        (f"{CORNERS} plane 0 17", "an id"),
        ("0 0.5 0.5 0.1 0.2", "YOLO"),
        ("3 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2", "YOLO"),
        ("P0001 0.98 10 10 30 10 30 30 10 30", "not eight corner coordinates"),
        ("nan 10 30 10 30 30 10 30 ship 0", "not eight corner coordinates"),
    ],
)
def test_a_line_that_is_not_dota_is_named_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "1.txt").write_text(f"gsd:1\n{line}\n")
    with pytest.raises(UserError, match=rf"1\.txt: line 2: .*{message}"):
        list(read(tmp_path))


# XML


def xml(body: str, root: str = "annotation") -> str:
    return f"<{root}>{body}</{root}>"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (xml("<objects><object><possibleresult><name>A220</name></possibleresult></object></objects>"), {"a220": 1}),
        (
            xml("<HRSC_Objects><HRSC_Object><Class_ID>7</Class_ID></HRSC_Object></HRSC_Objects>", "HRSC_Image"),
            {"warship": 1},
        ),
        (xml("<object><name>ship</name><robndbox><cx>5</cx></robndbox></object>"), {"ship": 1}),
        ('<a:annotation xmlns:a="x:y"><a:object><a:name>ship</a:name></a:object></a:annotation>', {"ship": 1}),
        ('<?xml version="1.0" encoding="UTF-16"?><Objects><Object class="large ship"/></Objects>', {"large ship": 1}),
        (xml("<object><part><name>bow</name></part><label>ship</label></object>"), {"ship": 1}),
        (xml("<filename>1.png</filename>"), {}),
        ("<HRSC_Image><HRSC_Objects/></HRSC_Image>", {}),
    ],
)
def test_an_object_is_found_in_every_form_of_xml(tmp_path: Path, content: str, expected: dict[str, int]) -> None:
    data = content.encode("utf-16" if "UTF-16" in content else "utf-8")
    assert only(tmp_path, "1.xml", data, classes={7: "warship"}) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            xml('<image name="a"><box label="ship"/></image>', "annotations"),
            "no object in <annotations>, .* image, box",
        ),
        ('<kml xmlns="k"><Placemark><name>a</name></Placemark></kml>', "no object in <kml>, .* placemark, name"),
        (xml("<item><bndbox><xmin>1</xmin></bndbox></item>"), "no object in <annotation>, .* item, bndbox"),
        (xml("<object><bndbox/><pose>left</pose></object>"), "object 1 of <annotation> has no name .*pose"),
        (
            xml("<object><name>ship</name><bndbox xmin='a' ymin='1' xmax='2' ymax='3'/></object>"),
            r"object 1 \(ship\): 'a' is not a number",
        ),
    ],
)
def test_xml_without_objects_or_names_says_what_it_holds(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "1.xml").write_text(content)
    with pytest.raises(UserError, match=message):
        list(read(tmp_path))


# COCO


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ({"image_id": 1.0, "category_id": "1"}, 1),
        ({"iscrowd": "0"}, 1),
        ({"iscrowd": "1"}, None),
        ({"iscrowd": True}, None),
        ({"bbox": None}, 1),
        ({"segmentation": {"counts": "a1", "size": [80, 100]}}, 1),
        ({"truncated": 1}, None),
    ],
)
def test_coco_is_read_however_its_ids_and_flags_are_written(
    tmp_path: Path, annotation: dict[str, Any], expected: int | None
) -> None:
    assert counts(coco(tmp_path, [OBJECT | annotation])) == {"a.png": {"ship": expected}}


@pytest.mark.parametrize(
    ("annotations", "changes", "message"),
    [
        ([OBJECT, OBJECT | {"category_id": 9}], {}, r"annotations\[1\]: category_id 9 is not among"),
        ([{"category_id": 1}], {}, r"annotations\[0\]: no image_id"),
        ([OBJECT | {"image_id": [1]}], {}, r"annotations\[0\]: image_id is \[1\]"),
        ([OBJECT | {"bbox": [1, 2, 3]}], {}, r"annotations\[0\]: bbox is \[1, 2, 3\]"),
        ([OBJECT | {"iscrowd": 7}], {}, r"annotations\[0\]: iscrowd is 7"),
        ([None], {}, r"annotations\[0\]: not an object"),
        ([], {"images": [IMAGE, IMAGE | {"file_name": "b.png"}]}, r"images\[1\]: id 1 is also the id of images\[0\]"),
        (
            [],
            {"categories": [{"id": 1, "name": "a"}, {"id": "1", "name": "b"}]},
            r"categories\[1\]: id 1 is also the id of",
        ),
        ([], {"images": [{"id": 1}]}, r"images\[0\]: no file_name"),
        ([], {"categories": None}, 'no list "categories"'),
        ([{"image_id": 1, "caption": "A ship."}], {"categories": []}, "format: karpathy_json"),
    ],
)
def test_a_fault_of_coco_is_named_by_its_entry(
    tmp_path: Path, annotations: list[Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        list(read(coco(tmp_path, annotations, **changes)))


def test_annotations_of_an_image_that_is_not_listed_are_a_rejection_and_the_others_are_read(tmp_path: Path) -> None:
    path = coco(tmp_path, [OBJECT, OBJECT | {"image_id": 99}, OBJECT | {"image_id": "99"}])
    first, orphan = read(path)
    assert (first.image_name, orphan.image_name) == ("a.png", "image 99")
    assert orphan.problem is not None and orphan.problem[0] == "label_without_image"
    assert "annotations[1] names image 99" in orphan.problem[1]


def test_captions_in_the_form_of_coco_are_short_texts(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}]
    annotations = [{"image_id": 8, "caption": "A ship."}, {"image_id": "8", "caption": "A quay."}]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    assert {row.image_name: row.captions for row in read_captions(tmp_path / "c.json")} == {
        "a.png": (),
        "b.png": ("A ship.", "A quay."),
    }


# GeoJSON


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("1.geojson", SHIP, 1),
        ("1.json", {"features": [SHIP]}, 1),
        ("1.GEOJSON", {"type": "FeatureCollection", "features": [SHIP, SHIP]}, 2),
        ("1.geojson", [{"type": "FeatureCollection", "features": [SHIP]}, {"features": [SHIP]}], 2),
        ("1.geojson", f"{json.dumps(SHIP)}\n{json.dumps(SHIP)}\n\n", 2),
        ("1.geojsonl", f"\x1e{json.dumps(SHIP)}\n\x1e{json.dumps(SHIP)}\n\x1e{json.dumps(SHIP)}\n", 3),
        ("1.geojson", SHIP | {"geometry": {"type": "GeometryCollection", "geometries": [SHIP["geometry"]] * 2}}, 1),
    ],
)
def test_features_are_found_in_every_form_of_geojson(tmp_path: Path, name: str, content: Any, expected: int) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    assert only(tmp_path, name, text) == {"ship": expected}


def test_a_bare_geometry_has_the_class_of_the_manifest(tmp_path: Path) -> None:
    text = json.dumps({"type": "GeometryCollection", "geometries": [SHIP["geometry"]]})
    assert only(tmp_path, "1.geojson", text, class_name="building") == {"building": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["building"], {"building": 1}),
        (" Small_Car ", {"small car": 1}),
        (18, {"truck": 1}),
        (True, {"class": 1}),
        ([], {}),
        (None, {}),
        (float("nan"), {}),
        ("No", {}),
    ],
)
def test_a_property_states_a_class_as_text_or_as_yes(tmp_path: Path, value: Any, expected: dict[str, int]) -> None:
    text = json.dumps({"features": [SHIP | {"properties": {"class": value}}]})
    assert only(tmp_path, "1.geojson", text, classes={18: "truck"}) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["building", "house"], "a class is one text"),
        ({"name": "building"}, "a class is one text"),
        (3, "the number 3; give 'class=3' words"),
        (0.5, "the number 0.5"),
        ("['building']", "is not a word"),
    ],
)
def test_a_property_that_is_no_text_is_named(tmp_path: Path, value: Any, message: str) -> None:
    (tmp_path / "1.geojson").write_text(json.dumps({"features": [SHIP | {"properties": {"class": value}}]}))
    with pytest.raises(UserError, match=message):
        list(read(tmp_path))


def test_one_geojson_for_all_images_is_read_by_the_property_that_names_them(tmp_path: Path) -> None:
    features = [SHIP | {"properties": {"image_id": name, "type_id": 18}} for name in ("1.tif", "2.tif", "2.tif")]
    (tmp_path / "all.geojson").write_text(json.dumps({"features": features}))
    found = counts(tmp_path / "all.geojson", class_properties=["type_id"], classes={18: "small car"})
    assert found == {"1.tif": {"small car": 1}, "2.tif": {"small car": 2}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": [], "categories": [], "annotations": []}, "COCO's form: name the file itself"),
        ({"shapes": [], "imagePath": "a"}, "Labelme"),
        ({"type": "Topology", "objects": {}}, "TopoJSON"),
        (SHIP | {"geometry": {"type": "Circle", "coordinates": [1, 2]}}, "geometry of type 'Circle'"),
        (SHIP | {"geometry": {"type": "Point", "coordinates": ["a", 2]}}, "'a' is not a number"),
        (SHIP | {"geometry": {"type": "Point", "coordinates": [10**400, 2]}}, "is not a number"),
        (SHIP | {"geometry": {"type": "Polygon", "coordinates": [[[[[[1, 2]]]]]]}}, "nested too deeply"),
    ],
)
def test_json_that_is_no_geojson_says_what_it_looks_like(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "1.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        list(read(tmp_path))


# Files and classes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1.TXT", f"{CORNERS} ship 0"),
        ("1.Xml", xml("<object><name>ship</name></object>")),
        ("1.GeoJSON", json.dumps(SHIP)),
        ("1.JSON", json.dumps(SHIP)),
    ],
)
def test_the_extension_of_a_label_file_is_read_in_any_letter_case(tmp_path: Path, name: str, content: str) -> None:
    assert only(tmp_path, name, content) == {"ship": 1}


def test_a_folder_without_labels_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("a.yaml", "b.yaml", "c.csv"):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=r"2 \.yaml \(such as a\.yaml\).*1 folders \(such as train\)"):
        list(read(tmp_path))


@pytest.mark.parametrize("name", ["Car carrier([]==[])", "(^.^)", "15", "1.0", "airport (closed)", "<ship>", "no data"])
def test_a_class_that_no_text_can_name_stops_before_the_build(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="is not a word; give it words in the manifest's options"):
        list(read(coco(tmp_path, [OBJECT], categories=[{"id": 1, "name": name}])))


@pytest.mark.parametrize("name", ["A220", "Boeing737", "ARJ21", "Hut/Tent", "Truck w/Box"])
def test_a_class_that_a_text_can_name_is_taken(tmp_path: Path, name: str) -> None:
    assert len(counts(coco(tmp_path, [OBJECT], categories=[{"id": 1, "name": name}]))["a.png"]) == 1
