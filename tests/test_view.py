"""`lrs2m view`: the page shows the rows that were asked for, and tells the truth about them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from lrs2m_builder.dataset.view.marks import find_class, mark
from lrs2m_builder.dataset.view.server import Server
from tests.chrome import chromium
from tests.view_data import make_data
from tests.view_server import CHANGES, ask, ids, rows, serving


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("view") / "build", **CHANGES)  # type: ignore[arg-type]


@pytest.fixture
def server(build: Path) -> Iterator[Server]:
    (build / "reviews.jsonl").unlink(missing_ok=True)
    with serving(build) as running:
        yield running


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"recipe": "merge.v1"}, {7}),
        ({"model": "other/model"}, {7}),
        ({"subset": "elsewhere"}, set()),
        ({"long_min": "200"}, {8, 9}),
        ({"long_min": "200", "long_max": "250"}, {8}),
        ({"warning": "place_name"}, {10}),
        ({"warning": "hedge"}, {10, *range(3, 61, 7)}),
        ({"kind": "rejected", "reason": "refusal"}, {62, 64}),
        ({"kind": "rejected", "subset": "tiles"}, {61, 62, 63, 64}),
    ],
)
def test_a_filter_keeps_the_rows_that_have_the_value(
    server: Server, filters: dict[str, str], expected: set[int]
) -> None:
    assert set(ids(server, **filters)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A POND", {5}),
        ("étang", {6}),
        ("100 % reeds", {6}),
        ('"tiles/17.png"', {17}),
        ("reeds tiles/6", {6}),
        ('"reeds tiles"', set()),
        ("' OR 1=1 --", set()),
        ("%", {6}),
    ],
)
def test_a_search_finds_words_and_phrases_in_texts_and_ids_in_any_case(
    server: Server, text: str, expected: set[int]
) -> None:
    assert set(ids(server, text=text)) == expected


def test_a_search_of_the_rejected_looks_into_every_answer(server: Server) -> None:
    assert ids(server, kind="rejected", text='"see picture 63"') == [63]


def test_rows_are_sorted_both_ways_and_else_stand_as_in_the_files(build: Path, server: Server) -> None:
    stored = [name for path in sorted((build / "data").rglob("*.parquet")) for name in column(path, "sample_id")]
    assert [row["sample_id"] for row in rows(server)] == stored
    assert [row["sample_id"] for row in rows(server, order="id", descending="1")] == sorted(stored, reverse=True)
    tokens = [row["num_tokens_long"] for row in rows(server, order="long")]
    assert tokens == sorted(tokens) and tokens[-1] == 251


def column(path: Path, name: str) -> list[Any]:
    return pq.read_table(path, columns=[name])[name].to_pylist()


def test_a_row_comes_with_what_its_file_says(build: Path, server: Server) -> None:
    row = next(row for row in rows(server) if row["sample_id"] == "tiles/7.png")
    file, at = row["place"].split(", row ")
    stored = pq.read_table(build / file).to_pylist()[int(at) - 1]
    for name in (
        "sample_id",
        "recipe",
        "prompts",
        "model",
        "model_revision",
        "seed",
        "attempts",
        "license",
        "warnings",
    ):
        assert row[name] == stored[name]
    assert "".join(piece for piece, _ in row["caption_long"]) == stored["caption_long"]
    status, headers, image = ask(server, f"/image?row={row['number']}")
    assert (status, headers["Content-Type"], image) == (200, "image/png", stored["image"]["bytes"])


def test_a_rejection_comes_with_every_answer(server: Server) -> None:
    row = next(row for row in rows(server, kind="rejected") if row["sample_id"] == "tiles/61.png")
    assert row["reason"] == "anchor_missing" and "does not name: road" in row["detail"]
    assert [attempt["text"][:9] for attempt in row["attempts"]] == ["I am sorr", "There are", "Answer 3 "]
    assert [attempt["attempt"] for attempt in row["attempts"]] == [1, 2, 3]  # as a build counts them, and the page


def test_the_places_where_a_text_names_a_class_are_marked() -> None:
    text = "🛩 Two airplanes, a parking lot and three cars; shipping is away."
    assert [text[start:end] for start, end in find_class("plane", text)] == ["airplanes"]
    pieces = mark(text, ["plane", "small vehicle", "ship"])
    assert [piece for piece in pieces if piece[1] is not None] == [("airplanes", 0), ("cars", 1)]
    assert "".join(piece for piece, _ in pieces) == text


def test_a_word_is_marked_by_what_it_means_in_its_sentence() -> None:
    text = "A building stands on the left and a plane in the center. Another building has no plane beside it."
    assert mark(text, ["building"]) == [
        ("A ", None),
        ("building", 0),
        (" stands on the left and a plane in the center. Another ", None),
        ("building", 0),
        (" has no plane beside it.", None),
    ]
    assert [piece for piece, which in mark(text, ["plane"]) if which is not None] == ["plane"]
    assert "".join(piece for piece, _ in mark("İzmir’s İ planes, Straße", ["plane"])) == "İzmir’s İ planes, Straße"


def test_an_anchor_says_which_text_names_it(server: Server) -> None:
    row = next(row for row in rows(server, text="small distance") if row["sample_id"].endswith("3.png"))
    named = {anchor["class"]: (anchor["caption_short"], anchor["caption_long"]) for anchor in row["anchors"]}
    assert named["building"] == (True, True) and named["road"][0]


def test_a_person_can_read_move_search_and_accept_in_chromium(build: Path, server: Server, tmp_path: Path) -> None:
    chosen = "document.querySelector('#rows [aria-selected=true] .mono').textContent"
    order = [row["sample_id"] for row in rows(server)]
    with chromium(tmp_path / "profile") as tab:
        tab.size(1280, 800)
        tab.open(server.address)
        assert tab.evaluate(chosen) == order[0]
        tab.press("j")
        assert tab.evaluate(chosen) == order[1]
        tab.press("a")
        tab.wait_for("document.querySelector('.accept').ariaPressed == 'true'")
        assert json.loads((build / "reviews.jsonl").read_text())["sample_id"] == order[1]
        tab.press("n")
        tab.type("fine")
        tab.press("Enter")
        tab.wait_for("document.querySelector('.said')?.textContent == 'fine'")
        for _ in range(23):
            tab.press("j")
        tab.wait_for(f"{chosen} == '{order[24]}'")  # on the second page
        tab.evaluate("document.querySelectorAll('#kinds button')[1].click()")
        tab.wait_for("document.querySelector('#detail').innerText.toLowerCase().includes('attempt 1')")
        assert "attempt 4" not in tab.evaluate("document.querySelector('#detail').innerText.toLowerCase()")
        tab.evaluate("document.querySelectorAll('#kinds button')[0].click()")
        tab.wait_for(f"document.querySelector('#status').textContent.includes('of 60') && {chosen} == '{order[0]}'")
        tab.press("/")
        tab.type("pond")
        tab.press("Enter")
        tab.wait_for(f"{chosen} == 'tiles/5.png'")
        # The text that would be markup is there as text, and did nothing.
        assert "<script>document.title" in tab.evaluate("document.querySelector('#detail').innerText")
        assert "broken" not in tab.evaluate("document.title")
        assert tab.evaluate("document.querySelectorAll('#detail script, #detail img[src=x]').length") == 0
        tab.screenshot(tmp_path / "page.png")
        assert tab.trouble == []
    with Image.open(tmp_path / "page.png") as picture_:
        assert picture_.size == (1280, 800) and len(picture_.convert("RGB").getcolors(1 << 20) or ()) > 500
    last = json.loads((build / "reviews.jsonl").read_text().splitlines()[-1])
    assert (last["verdict"], last["note"]) == ("accept", "fine")
