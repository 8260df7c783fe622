"""A person corrects a text: nothing is lost, everybody's history is kept, and an export has the corrected text."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.reviews import ConflictError, Reviews
from lrs2m_builder.dataset.selection import Filters, read_rows, select
from lrs2m_builder.dataset.view.server import Server
from lrs2m_builder.errors import UserError
from lrs2m_builder.tokenizer import count_tokens
from tests.chrome import chromium
from tests.toy import ROOT
from tests.view_data import make_data
from tests.view_server import ask, ids, rows, save, serving

NEW = "Two boats lie beside a wooden pier, and the water around them is calm."


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return make_data(tmp_path / "build", 12, 0)


@pytest.fixture
def server(build: Path) -> Iterator[Server]:
    with serving(build, reviewer="Ada") as running:
        yield running


def row_of(server: Server, number: int) -> dict[str, Any]:
    return next(row for row in rows(server) if row["sample_id"] == f"tiles/{number}.png")


def text_of(row: dict[str, Any], column: str = "caption_long") -> str:
    return "".join(piece for piece, _ in row[column])


def correct(server: Server, number: int, after: str, before: str | None = None) -> tuple[int, dict[str, Any]]:
    row = row_of(server, number)
    seen = text_of(row) if before is None else before
    body = {"row": row["number"], "column": "caption_long", "before": seen, "after": after}
    status, _, content = ask(server, "/api/correct", body)
    return status, json.loads(content)


def test_a_corrected_text_is_shown_with_the_old_one_and_who_wrote_it(build: Path, server: Server) -> None:
    old = text_of(row_of(server, 1))
    assert correct(server, 1, f"  {NEW}\n")[0] == 200
    row = row_of(server, 1)
    assert (text_of(row), row["long_source"], row["num_tokens_long"]) == (NEW, "person", count_tokens(NEW))
    assert (row["corrected"]["caption_long"]["stored"], row["corrected"]["caption_long"]["reviewer"]) == (old, "Ada")
    (line,) = map(json.loads, (build / "reviews.jsonl").read_text().splitlines())
    assert (line["before"], line["after"], line["reviewer"], line["time"][-6:]) == (old, NEW, "Ada", "+00:00")
    assert [entry["kind"] for entry in row["history"]] == ["correction"]


def test_an_export_of_reviewed_rows_has_the_corrected_text_and_says_that_a_person_wrote_it(
    build: Path, server: Server
) -> None:
    stored = pq.read_table(min((build / "data").rglob("*.parquet"))).schema
    correct(server, 1, NEW)
    save(server, 1, "accept")
    save(server, 2, "accept")
    wanted = {row["sample_id"]: row for row in read_rows(select(build, Filters(reviewed="accept")))}
    row = wanted["tiles/1.png"]
    assert (row["caption_long"], row["long_source"], row["num_tokens_long"]) == (NEW, "person", count_tokens(NEW))
    assert row["short_source"] == "drawn" and any(each.startswith("anchor_missing: ") for each in row["warnings"])
    assert wanted["tiles/2.png"]["long_source"] != "person" and list(row) == stored.names
    as_stored = {row["sample_id"]: row for row in read_rows(select(build, Filters()))}
    assert as_stored["tiles/1.png"]["long_source"] != "person"


def test_a_correction_of_a_text_that_changed_meanwhile_is_refused_with_the_new_one(server: Server) -> None:
    """Two tabs show the same text; the second one to save has not seen what the first one wrote."""
    seen = text_of(row_of(server, 1))
    assert correct(server, 1, NEW)[0] == 200
    status, answer = correct(server, 1, "Another text of the second tab.", before=seen)
    assert (status, text_of(answer["row"])) == (409, NEW) and "meanwhile by Ada" in answer["error"]
    assert correct(server, 1, "Another text of the second tab.", before=NEW)[0] == 200
    assert [entry["after"] for entry in row_of(server, 1)["history"]] == [NEW, "Another text of the second tab."]


def test_two_reviewers_at_once_see_each_others_work(build: Path, server: Server) -> None:
    with serving(build, reviewer="Bo") as other:
        assert correct(server, 1, NEW)[0] == 200
        assert save(other, 2, "flag") == 200 and save(server, 2, "accept") == 200
        assert text_of(row_of(other, 1)) == NEW
        assert correct(other, 1, "Bo writes it anew, after having read it.")[0] == 200
        assert ids(server, verdict="disputed") == [2] and ids(other, verdict="accept") == [2]
        assert set(ids(server, reviewer="Bo")) == {1, 2} and ids(server, reviewer="Bo", verdict="corrected") == [1]
    lines = [json.loads(line) for line in (build / "reviews.jsonl").read_text().splitlines()]
    assert [line["reviewer"] for line in lines] == ["Ada", "Bo", "Ada", "Bo"]


def test_what_the_checks_find_is_shown_and_does_not_hinder(server: Server) -> None:
    row = row_of(server, 1)
    body = {"row": row["number"], "column": "caption_long", "text": "A field."}
    status, _, content = ask(server, "/api/check", body)
    findings = json.loads(content)["findings"]
    assert status == 200 and any(finding.startswith("anchor_missing: ") for finding in findings)
    assert correct(server, 1, "A field.")[0] == 200
    assert row_of(server, 1)["warnings"] == findings


def test_a_correction_of_another_text_than_the_stored_one_is_not_used(tmp_path: Path) -> None:
    """The data set was built anew: its text is not the one that a person has read."""
    reviews = Reviews(tmp_path / "reviews.jsonl")
    reviews.correct("a", "caption_long", "old", before="old", after="mended")
    reviews.correct("a", "caption_long", "old", before="mended", after="mended twice")
    found = reviews.correction("a", "caption_long", "old")
    assert found is not None and found.after == "mended twice"
    assert reviews.correction("a", "caption_long", "built anew") is None
    with pytest.raises(ConflictError):
        reviews.correct("a", "caption_long", "built anew", before="old", after="x")
    with pytest.raises(UserError, match="1 to"):
        reviews.correct("a", "caption_short", "b", before="b", after="")


def test_a_line_that_another_program_is_writing_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    reading, writing = Reviews(path), Reviews(path)
    writing.save("a", "flag", "", "Bo")
    line = path.read_bytes()
    path.write_bytes(line + line[:20])
    assert reading.get("a") is not None and len(reading.history("a")) == 1
    path.write_bytes(line + line)
    assert len(reading.history("a")) == 2


def test_a_kill_loses_nothing_that_the_page_was_told_is_saved(build: Path) -> None:
    command = [sys.executable, "-m", "lrs2m_builder.cli", "view", str(build), "--port", "0", "--reviewer", "Ada"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        about = json.loads(urlopen(f"{address}api/about").read())
        row = json.loads(urlopen(f"{address}api/row?row=0").read())
        body = {"row": 0, "column": "caption_long", "before": text_of(row), "after": NEW}
        headers = {"Origin": address.rstrip("/"), "X-Token": about["token"]}
        assert urlopen(Request(f"{address}api/correct", json.dumps(body).encode(), headers)).status == 200
        process.kill()
    with serving(build) as again:
        assert text_of(next(each for each in rows(again) if each["number"] == 0)) == NEW


def test_a_person_corrects_a_text_in_chromium_and_a_second_tab_loses_nothing(server: Server, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as tab:
        tab.size(1280, 800)
        tab.open(server.address)
        tab.press("e")
        tab.wait_for("document.querySelector('#correction-findings').textContent.includes('tokens')")
        old = tab.evaluate("document.querySelector('#correction').value")
        number = int(tab.evaluate("document.querySelector('#detail h1').textContent").split("/")[1].split(".")[0])
        correct(server, number, "A text of another tab.")
        tab.evaluate("document.querySelector('#correction').select()")
        tab.type(NEW)
        tab.evaluate("document.querySelector('#correction-save').click()")
        tab.wait_for("document.querySelector('#toast.shown')?.textContent.includes('corrected meanwhile')")
        assert tab.evaluate("document.querySelector('#correction').value") == NEW
        assert "A text of another tab." in tab.evaluate("document.querySelector('.correction').innerText")
        tab.evaluate("document.querySelector('#correction-save').click()")
        tab.wait_for("document.querySelector('.corrected')?.textContent.startsWith('corrected by Ada')")
        shown = tab.evaluate("document.querySelector('#detail').innerText")
        assert NEW in shown and "HISTORY" in shown.upper() and old in tab.evaluate("document.body.textContent")
    assert [entry["after"] for entry in row_of(server, number)["history"]] == ["A text of another tab.", NEW]
