"""The map of `lrs2m view`: every placed row is a point, and a rectangle filters the list; nothing is from outside."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA
from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Place
from tests.chrome import Tab, chromium
from tests.place_data import place_row, square, write_places
from tests.view_server import serving

CITIES = [(13.4, 52.5), (-0.1, 51.5), (151.2, -33.9), (-43.2, -22.9), (179.9, -17.0), (-179.9, -17.2)]

LISTED = "[...document.querySelectorAll('#rows .id .mono')].map(e => e.textContent).sort().join()"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    places = [square(lon, lat) for lon, lat in CITIES]
    return write_places(tmp_path / "data set", [place_row(n, place) for n, place in enumerate([*places, Place()])])


def ids(data: DataSet, **filters: str) -> list[str]:
    found = data.rows(data.select("records", filters)["selection"], 0, 100)
    assert found is not None
    return [row["sample_id"] for row in found["rows"]]


def test_points_and_rectangle_are_of_the_rows_with_a_place(data: Path) -> None:
    opened = DataSet(data)
    assert opened.about()["places"] == 6
    points = np.frombuffer(opened.points({}), "<f4").reshape(-1, 2)
    assert points == pytest.approx(np.array(CITIES), abs=1e-4)
    assert ids(opened, box="-10,40,20,60") == ["a/0", "a/1"]
    assert ids(opened, box="170,-30,-170,0") == ["a/4", "a/5"]
    assert ids(opened, box="-10,40,20,60", text='"Field 1"') == ["a/1"]
    assert len(opened.points({"box": "-10,40,20,60", "text": '"Field 1"'})) == 8
    with pytest.raises(UserError, match="box: '1,2,3' is not west,south,east,north in degrees"):
        ids(opened, box="1,2,3")


def test_a_data_set_without_places_has_no_map(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    table = pa.Table.from_pylist([place_row(0, Place())], schema=RECORD_SCHEMA).drop_columns(["lon", "lat"])
    write_places(folder, [])
    pq.write_table(table, folder / "data" / "a" / "train-00000.parquet")
    assert DataSet(folder).about()["places"] == 0


def test_a_rectangle_drawn_on_the_map_filters_the_list(data: Path, tmp_path: Path) -> None:
    with serving(data) as server, chromium(tmp_path / "profile") as tab:
        tab.size(1440, 900)
        tab.open(server.address)
        tab.evaluate("document.querySelector('#map-button').click()")
        tab.wait_for("document.querySelector('#map-says').textContent.startsWith('6 rows')")
        left, top, width, height = tab.evaluate(
            "(({left, top, width, height}) => [left, top, width, height])"
            "(document.querySelector('#map-canvas').getBoundingClientRect())"
        )
        # All points are shown at first: the western hemisphere, London with it, is in the left half and a bit more.
        spots = [("mousePressed", 0.02, 0.02), ("mouseMoved", 0.2, 0.5)]
        spots += [("mouseMoved", 0.51, 0.98), ("mouseReleased", 0.51, 0.98)]
        for kind, x, y in spots:
            at = {"x": left + x * width, "y": top + y * height, "button": "left", "clickCount": 1}
            tab.call("Input.dispatchMouseEvent", type=kind, **at)
        tab.wait_for("document.querySelector('#status').textContent.startsWith('3 of 7 rows')")
        assert tab.evaluate(LISTED) == "a/1,a/3,a/5"
        tab.evaluate("document.querySelector('#map-clear').click()")
        tab.wait_for("document.querySelector('#status').textContent.startsWith('7 of 7 rows')")
        requests = tab.evaluate("performance.getEntriesByType('resource').map(e => new URL(e.name).host)")
        assert set(requests) == {server.address.split("/")[2]} and not tab.trouble


def busy_s(tab: Tab) -> float:
    """Seconds that the page's thread has worked."""
    return float(
        {each["name"]: each["value"] for each in tab.call("Performance.getMetrics")["metrics"]}["TaskDuration"]
    )


def test_a_map_of_100000_points_is_there_in_two_seconds(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    number = 100_000
    table = pa.table(
        {
            **{"sample_id": [f"a/{n}" for n in range(number)], "subset": ["a"] * number},
            **{"caption_short": ["A field."] * number, "caption_long": ["A long field."] * number},
            **{"lon": chance.uniform(-180, 180, number), "lat": chance.uniform(-60, 75, number)},
        }
    )
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "train.parquet")
    with serving(tmp_path) as server, chromium(tmp_path / "profile") as tab:
        tab.size(1440, 900)
        tab.open(server.address)
        tab.call("Performance.setTimeDomain", timeDomain="threadTicks")  # of the processor, whatever else it does
        tab.call("Performance.enable")
        before, start = busy_s(tab), time.process_time()
        tab.evaluate("document.querySelector('#map-button').click()")
        tab.wait_for("document.querySelector('#map-says').textContent.startsWith('100,000 rows')")
        tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert busy_s(tab) - before + time.process_time() - start < 2
