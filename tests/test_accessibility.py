"""No page of the program has a serious fault of accessibility, by axe-core in a real Chromium, light and dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lrs2m_builder.dataset.audit.run import audit
from lrs2m_builder.dataset.compare.server import Server
from lrs2m_builder.dataset.compare.voting import Voting
from lrs2m_builder.evals.report import write_report
from lrs2m_builder.sample.asked_again import AskedAgain
from lrs2m_builder.sample.demo_page import write_demo_page
from tests.chrome import Tab, chromium
from tests.place_data import place_row, square, write_places
from tests.test_eval_all import result
from tests.view_data import make_data
from tests.view_server import CHANGES, in_thread, save, serving

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
RUN = """axe.run(document, {resultTypes: ["violations"]}).then(found => JSON.stringify(found.violations
    .filter(each => ["serious", "critical"].includes(each.impact))
    .map(each => [each.id, each.nodes.slice(0, 3).map(node => node.target.join(" ") + ": " + node.html)])))"""
WIDTHS = {"desktop": 1440, "phone": 390}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("axe") / "profile") as tab:
        yield tab


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("axe") / "built" / "merge", 24, **CHANGES)  # type: ignore[arg-type]


def faults(tab: Tab) -> list[Any]:
    """What axe finds in the page as it is, in both colour schemes, and text that runs over the width of the page."""
    found: list[Any] = []
    width = tab.evaluate("innerWidth")
    tab.evaluate(f"{AXE}; true")
    for dark in (False, True):
        tab.size(width, 900, dark=dark)
        found += json.loads(tab.evaluate(RUN))
    if tab.evaluate("document.documentElement.scrollWidth") > width:
        found.append("wider than the window")
    return found


def opened(tab: Tab, page: Path, width: int) -> Tab:
    tab.size(width, 900)
    tab.call("Page.navigate", url=page.resolve().as_uri())
    tab.wait_for("document.readyState == 'complete' && location.protocol == 'file:'")
    return tab


@pytest.mark.parametrize("width", WIDTHS.values(), ids=list(WIDTHS))
def test_the_pages_of_view_have_no_serious_fault(build: Path, tab: Tab, width: int) -> None:
    with serving(build, reviewer="Ada") as server:
        save(server, 1, "flag", "three boats, not two")
        tab.size(width, 900)
        for name in ("", "#view=gallery", "#charts=1", "#kind=rejected"):
            tab.call("Page.navigate", url="about:blank")
            tab.open(server.address + name)
            assert faults(tab) == [], name
        tab.evaluate("document.querySelector('#rows li').click()")
        assert faults(tab) == [], "a rejection"
        tab.call("Page.navigate", url="about:blank")
        tab.open(f'{server.address}#text="tiles/1.png"')
        tab.evaluate("document.querySelector('#rows li').click()")
        tab.press("e")
        tab.wait_for("document.querySelector('#correction-findings p')")
        assert faults(tab) == [], "a record and the field for its text"
        tab.press("Escape")
        tab.evaluate("document.querySelector('#correction')?.blur(); document.querySelector('.frame').click()")
        tab.wait_for("document.querySelector('#zoom').open")
        assert faults(tab) == [], "the enlarged image"


@pytest.mark.parametrize("width", WIDTHS.values(), ids=list(WIDTHS))
def test_the_page_of_compare_has_no_serious_fault(build: Path, tab: Tab, tmp_path: Path, width: int) -> None:
    other = make_data(tmp_path / "other", 8, 2, caption_long=dict.fromkeys(range(9), "A field beside a narrow road."))
    voting = Voting(build, other, tmp_path / "votes.jsonl", "Ada", limit=9, seed=0)
    tab.size(width, 900)
    with Server(voting, 0) as server, in_thread(server):
        tab.call("Page.navigate", url=server.address)
        tab.wait_for("document.querySelector('.side')")
        tab.press("i")
        tab.press("ArrowRight")
        tab.wait_for("document.querySelector('#status').textContent.startsWith('pair 2')")
        assert faults(tab) == [], "a pair"
        tab.press("r")
        tab.wait_for("document.querySelector('#table h2')")
        assert faults(tab) == [], "the results"


def test_the_map_of_view_has_no_serious_fault(tab: Tab, tmp_path: Path) -> None:
    data = write_places(tmp_path / "data set", [place_row(n, square(13.4 + n, 52.5)) for n in range(3)])
    with serving(data) as server:
        tab.size(1440, 900)
        tab.open(server.address + "#map=1")
        tab.wait_for("document.querySelector('#map-says').textContent.startsWith('3 rows')")
        assert faults(tab) == []


@pytest.mark.parametrize("width", WIDTHS.values(), ids=list(WIDTHS))
def test_the_demo_page_has_no_serious_fault(build: Path, tab: Tab, tmp_path: Path, width: int) -> None:
    again = AskedAgain("merge", "1", "", "A first answer.", "The answer guessed.", "A second answer.")
    page = write_demo_page(build.parent, ["merge"], tmp_path / "index.html", caught=[], looked_at=24, again=again)
    assert faults(opened(tab, page, width)) == []
    assert tab.evaluate("document.documentElement.scrollHeight") < 6000


def test_the_report_of_an_audit_has_no_serious_fault(build: Path, tab: Tab, tmp_path: Path) -> None:
    rows = pq.read_table(min((build / "data").rglob("*.parquet")))
    (tmp_path / "data").mkdir()
    for number in range(2):  # every image twice
        pq.write_table(rows, tmp_path / "data" / f"{number}.parquet")
    audit(tmp_path)
    for width in WIDTHS.values():
        assert faults(opened(tab, tmp_path / "audit" / "report.html", width)) == [], width


@pytest.mark.parametrize("width", WIDTHS.values(), ids=list(WIDTHS))
def test_the_report_of_an_evaluation_has_no_serious_fault(tab: Tab, tmp_path: Path, width: int) -> None:
    results = [
        result("zcrl", "RSITMD-L"),
        result("zcrs", "RSITMD"),
        result("zic", "EuroSAT"),
        result("selo", "AIR-SLT"),
    ]
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 900, 3), np.uint8)).save(tmp_path / "photo.png")
    Image.new("RGB", (900, 300), "white").save(tmp_path / "plot.png")
    pictures = {("zic", "EuroSAT"): [(name, tmp_path / f"{name}.png") for name in ("photo", "plot")]}
    page, _ = write_report(results, tmp_path, pictures=pictures)
    assert faults(opened(tab, page, width)) == []
    assert tab.evaluate("document.querySelectorAll('nav a').length") >= 4
    inverted = "[...document.images].map(image => getComputedStyle(image).filter.includes('invert'))"
    assert tab.evaluate(inverted) == [False, True], "in the dark, a plot has a dark ground"
