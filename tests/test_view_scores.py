"""The page filters and sorts by scores, and shows each claim over the words that say it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.scores.table import RowScores, Scoring, text_sha256
from lrs2m_builder.dataset.scores.write import score_table
from lrs2m_builder.dataset.selection import Filters, select
from lrs2m_builder.dataset.view.scores import claimed
from lrs2m_builder.dataset.view.server import Server
from tests.view_data import make_data
from tests.view_server import CHANGES, ask, ids, rows, serving

COLUMNS = {"long_min": pa.float32(), "long_num_claims": pa.int32(), "long_worst": pa.string()}


def claim(start: int, end: int, words: str, score: float | None, p: float | None = None) -> dict[str, Any]:
    sure = score if p is None else p
    said = {"kind": "object", "words": words, "score": score, "p": p, "is_false": None if sure is None else sure < 0.4}
    return {"column": "caption_long", "start": start, "end": end, **said}


def verify(build: Path) -> Path:
    """Claims about the rows up to 40: of the whole text, with the row's number in hundredths, and of its first word."""
    with score_table(build, Scoring("verify", "verify", {}, COLUMNS, {}), print) as table:
        for file in table.files:
            records = pq.read_table(file.path, columns=["sample_id", "caption_long"]).to_pylist()
            with table.open_shard(file) as shard:
                for record in records:
                    number, text = int(record["sample_id"].split("/")[1].split(".")[0]), record["caption_long"]
                    if number <= 40 and text:
                        first, last = text.index(" "), len(text)
                        claims = (claim(0, last, "It is so.", number / 100), claim(0, first, text[:first], None, 0.9))
                        scores = {"long_min": number / 100, "long_num_claims": 2, "long_worst": "It is so."}
                        shard.keep([RowScores(record["sample_id"], None, text_sha256(text), scores, claims)])
                shard.finish()
    return build


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return verify(make_data(tmp_path_factory.mktemp("view") / "build", **CHANGES))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server(build: Path) -> Iterator[Server]:
    with serving(build) as running:
        yield running


def test_rows_are_filtered_by_the_bounds_of_a_score(server: Server) -> None:
    assert set(ids(server, score="verify_long_min", score_min="0.055", score_max=".08")) == {6, 7, 8}
    assert len(ids(server, score="verify_long_min")) == len(set(range(1, 41)))


def test_rows_are_sorted_by_a_score_and_those_without_come_last(server: Server) -> None:
    assert ids(server, order="verify_long_min", descending="1")[:3] == [40, 39, 38]
    assert ids(server, order="verify_long_min")[:3] == [1, 2, 3]


def test_a_row_comes_with_its_scores_and_its_text_in_claims(server: Server) -> None:
    row = rows(server, text="tiles/17.png")[0]
    assert row["scores"] == [
        {"name": "verify_long_min", "value": pytest.approx(0.17), "is_older": False},
        {"name": "verify_long_num_claims", "value": 2, "is_older": False},
        {"name": "verify_long_worst", "value": "It is so.", "is_older": False},
    ]
    found = row["claims"]["caption_long"]
    assert [each["p"] for each in found["claims"]] == [pytest.approx(0.17), pytest.approx(0.9)]
    text = "".join(text for text, _ in row["caption_long"])
    assert found["pieces"] == [[text, 0]] and "caption_short" not in row["claims"]


def test_the_least_sure_of_several_claims_has_the_words() -> None:
    text = "Three ships and a pier."
    claims = [
        claim(0, 11, "three ships", 0.2),
        claim(0, 22, "all", 0.8),
        claim(16, 22, "a pier", None),
        claim(-3, 99, "x", 1),
    ]
    assert claimed(text, claims)["pieces"] == [("Three ships", 0), (" and a pier", 1), (".", 3)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("score=verify_nothing", "no score 'verify_nothing'; known: verify_long_min"),
        ("order=verify_nothing", "no order"),
        ("score=verify_long_min&score_min=much", "score_min: 'much' is not a number"),
    ],
)
def test_a_question_about_no_score_is_refused(server: Server, query: str, said: str) -> None:
    status, _, content = ask(server, f"/api/select?{query}")
    assert status == 400 and said in content.decode()


def test_scores_and_claims_of_an_older_text_are_not_shown_as_those_of_this_one(tmp_path: Path) -> None:
    build = verify(make_data(tmp_path / "build"))
    file = min((build / "data").rglob("*.parquet"))
    table = pq.read_table(file)
    column = table.schema.get_field_index("caption_long")
    pq.write_table(table.set_column(column, table.schema.field(column), pa.array(["Corrected."] * len(table))), file)
    with serving(build) as server:
        row = rows(server)[0]
        assert (row["scores"][0]["value"], row["scores"][0]["is_older"], row["claims"]) == (None, True, {})
        assert row["number"] not in {each["number"] for each in rows(server, score="verify_long_min")}


def test_a_condition_on_scores_limits_what_may_be_looked_at(build: Path) -> None:
    selection = select(build, Filters(where="verify_long_min > 0.385"))
    with serving(build, selection) as server:
        assert set(ids(server)) == {39, 40}
        about = json.loads(ask(server, "/api/about")[2])["kinds"]["records"]
        assert (about["rows"], sum(about["facets"]["subset"].values())) == (2, 2)
        assert rows(server, text="tiles/40.png")[0]["sample_id"] == "tiles/40.png"
        assert not ids(server, text="tiles/17.png")
