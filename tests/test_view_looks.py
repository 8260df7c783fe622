"""Gallery, charts, boxes, the texts of one image together, and rejected samples with what was known of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion
from tests.chrome import chromium
from tests.fake_engine import FakeModule
from tests.toy import build_toy, make_source
from tests.view_data import make_data
from tests.view_server import CHANGES, ask, rows, serving

NAMES = "[...document.querySelectorAll('#rows li')].length"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty rows; one of them has boxes of its two labelled classes."""
    folder = make_data(tmp_path_factory.mktemp("looks") / "build", **CHANGES)  # type: ignore[arg-type]
    path = min((folder / "data").rglob("*.parquet"))
    table = pq.read_table(path)
    boxes: list[Any] = [None] * len(table)
    boxes[0] = [box("building", 10, 20, 40, 60), box("road", 0, 100, 256, 120)]
    at = table.schema.get_field_index("boxes")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(boxes, table.schema.field(at).type)), path)
    return folder


def box(name: str, *sides: float) -> dict[str, Any]:
    return {"class": name, **dict(zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True))}


def page(data: DataSet, kind: str = "records", **filters: str) -> dict[str, Any]:
    return data.select(kind, filters)


def test_a_chart_counts_all_rows_and_those_that_are_selected(build: Path) -> None:
    data = DataSet(build)
    charts = data.charts(page(data, warning="hedge")["selection"])
    assert charts is not None
    (long,) = [chart for chart in charts if chart["name"] == "long"]
    assert sum(each["all"] for each in long["bins"]) == 60 and sum(each["kept"] for each in long["bins"]) == 9
    (warnings,) = [chart for chart in charts if chart["name"] == "warning"]
    assert {each["value"]: (each["all"], each["kept"]) for each in warnings["values"]} == {
        "hedge": (9, 9),
        "place_name": (1, 1),
    }
    for each in long["bins"]:
        bounds = {"long_min": str(each["min"]), "long_max": str(each["max"])}
        assert page(data, **bounds)["total"] == each["all"]
    assert data.charts("forgotten") is None


def test_a_chart_of_the_rejected_counts_reasons(build: Path) -> None:
    data = DataSet(build)
    (reasons,) = data.charts(page(data, "rejected")["selection"]) or ()
    assert {each["value"]: each["all"] for each in reasons["values"]} == {"refusal": 2, "anchor_missing": 2}


def test_the_texts_of_an_image_by_several_builds_come_together(tmp_path: Path) -> None:
    first = make_data(tmp_path / "a" / "first", 6, 0)
    second = make_data(tmp_path / "b" / "second", 6, 0, recipe=dict.fromkeys(range(7), "merge.v1"))
    data = DataSet(first, more=[second])
    assert data.num_rows("records") == 12
    found = data.rows(page(data)["selection"], 0, 24)
    assert found is not None
    for row in found["rows"]:
        (twin,) = data.twins(row["number"])
        assert twin["sample_id"] == row["sample_id"] and twin["recipe"] != row["recipe"]
    # Two builds may have the same ids: a verdict is of the row that was seen.
    second_row = next(row for row in found["rows"] if row["recipe"] == "merge.v1")
    data.desk.review(second_row["number"], "flag", "")
    assert page(data, verdict="flag")["total"] == 1
    assert (second / "reviews.jsonl").exists() and not (first / "reviews.jsonl").exists()


def test_a_data_set_inside_another_one_is_refused(tmp_path: Path) -> None:
    build = make_data(tmp_path / "build", 4, 0)
    for more in (build, build / "data"):
        with pytest.raises(UserError, match="give it once"):
            DataSet(build, more=[more])


def test_a_rejected_sample_comes_with_its_image_its_hints_and_the_reason_of_each_answer(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 3)
    texts = {1: "I'm sorry, I cannot help.", 2: "Too short."}
    module = FakeModule(lambda request: Completion(texts[request.attempt], "stop"))
    build_toy(source, tmp_path / "out", module, max_attempts=2)
    with serving(tmp_path / "out") as server:
        row = rows(server, kind="rejected")[0]
        assert row["sample"]["captions"] == ["Field number 0 seen for the time 0 ."]
        assert [problem.split(":")[0] for problem in row["problems"]] == ["refusal", row["reason"]]
        status, headers, content = ask(server, f"/image?kind=rejected&row={row['number']}&small=1")
        assert (status, headers["Content-Type"], content[:2]) == (200, "image/jpeg", b"\xff\xd8")
        (source.parent / "imgs").rename(tmp_path / "elsewhere")
    with serving(tmp_path / "out") as server:
        assert ask(server, f"/image?kind=rejected&row={row['number']}&small=1")[0] == 404


def test_a_gallery_page_is_told_no_more_than_it_shows(build: Path) -> None:
    with serving(build) as server:
        found = json.loads(ask(server, "/api/select")[2])
        brief = json.loads(ask(server, f"/api/rows?selection={found['selection']}&start=0&count=60&brief=1")[2])["rows"]
        assert len(brief) == 60 and "claims" not in brief[0]
        whole = json.loads(ask(server, f"/api/row?row={brief[0]['number']}")[2])
        assert whole["sample_id"] == brief[0]["sample_id"] and "claims" in whole


def test_a_person_looks_through_the_gallery_on_a_phone_and_enlarges_an_image(build: Path, tmp_path: Path) -> None:
    with serving(build) as server, chromium(tmp_path / "profile") as tab:
        tab.size(390, 844)
        tab.open(server.address + "#view=gallery")
        tab.wait_for(f"{NAMES} == 60")
        tab.evaluate("document.querySelector('#rows li').click()")
        tab.wait_for("document.querySelector('svg.boxes')")
        shapes = "[...document.querySelectorAll('#detail svg.boxes rect.over')].map(e => e.getAttribute('width'))"
        assert tab.evaluate(shapes) == ["30", "256"]
        first = tab.evaluate("document.querySelector('#detail h1').textContent")
        tab.evaluate("document.querySelector('#step-on').click()")
        tab.wait_for(f"document.querySelector('#detail h1').textContent != '{first}'")
        tab.press("ArrowLeft")
        tab.wait_for(f"document.querySelector('#detail h1').textContent == '{first}'")
        tab.evaluate("document.querySelector('.frame').click()")
        tab.wait_for("document.querySelector('#zoom').open && document.querySelector('#zoom img').naturalWidth")
        before = tab.evaluate("document.querySelector('#zoom-scale').textContent")
        tab.press("+")
        assert tab.evaluate("document.querySelector('#zoom-scale').textContent") != before
        assert tab.evaluate("document.querySelectorAll('#zoom rect.over').length") == 2
        tab.press("Escape")
        tab.evaluate("document.querySelector('#back').click()")
        assert tab.evaluate("getComputedStyle(document.querySelector('#rows')).display") == "grid"
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390 and tab.trouble == []


def test_a_bar_of_a_chart_filters_the_list_and_the_address_holds_the_view(build: Path, tmp_path: Path) -> None:
    with serving(build) as server, chromium(tmp_path / "profile") as tab:
        tab.size(1280, 800)
        tab.open(server.address + "#charts=1")
        tab.wait_for("document.querySelector('.values button')")
        tab.evaluate("[...document.querySelectorAll('.values button')].find(e => e.title == 'place_name').click()")
        tab.wait_for("document.querySelector('#status').textContent.startsWith('1 of 60')")
        saved = tab.evaluate("location.href")
        tab.call("Page.navigate", url="about:blank")
        tab.open(saved)
        tab.wait_for("document.querySelector('#status').textContent.startsWith('1 of 60')")
        pressed = "document.querySelector('.values button[aria-pressed=true]')?.title == 'place_name'"
        tab.wait_for(pressed)
        assert tab.trouble == []
