"""`lrs2m export` writes the rows that are wanted and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.selection import Filters, read_rows, select
from lrs2m_builder.errors import UserError
from tests.export_data import exported_ids, row, run, write_rows


def test_only_the_wanted_subset_is_written(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1), row(2, subset="b", sample_id="b/2"), row(3)])
    assert exported_ids(tmp_path / "in", tmp_path / "dest", subsets=("a",)) == ["a/1", "a/3"]


def test_an_unknown_subset_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1), row(2, subset="b")])
    with pytest.raises(UserError, match="no subset 'c'; it has a, b"):
        exported_ids(tmp_path / "in", tmp_path / "dest", subsets=("c",))


def review(data: Path, *verdicts: tuple[int, str]) -> None:
    lines = [json.dumps({"sample_id": f"a/{n}", "verdict": v, "note": "", "time": ""}) for n, v in verdicts]
    (data / "reviews.jsonl").write_text("\n".join([*lines, '{"sample_id": "a/4", "verd']))


def test_the_last_verdict_on_a_row_counts(tmp_path: Path) -> None:
    data = tmp_path / "in"
    write_rows(data / "a.parquet", [row(number) for number in range(5)])
    review(data, (0, "accept"), (1, "flag"), (2, "flag"), (2, "accept"), (0, "flag"))
    assert exported_ids(data, tmp_path / "1", reviewed="accept") == ["a/2"]
    assert exported_ids(data, tmp_path / "2", reviewed="not-flagged") == ["a/2", "a/3", "a/4"]


def test_what_the_audit_would_remove_is_left_out(tmp_path: Path) -> None:
    data = tmp_path / "in"
    write_rows(data / "data" / "a" / "a.parquet", [row(number) for number in range(5)])
    (data / "audit").mkdir()
    removals = {"sample_id": ["a/1", "a/4"], "reason": ["leak", "duplicate"], "detail": ["", ""]}
    pq.write_table(pa.table(removals), data / "audit" / "removals.parquet")
    assert exported_ids(data, tmp_path / "dest", without_audit=True) == ["a/0", "a/2", "a/3"]


@pytest.mark.parametrize("filters", [{"reviewed": "accept"}, {"without_audit": True}])
def test_a_filter_whose_file_is_missing_says_how_to_make_it(tmp_path: Path, filters: dict[str, Any]) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1)])
    with pytest.raises(UserError, match=r"lrs2m (view|audit) "):
        select(tmp_path / "in", Filters(**filters))


def test_a_condition_picks_rows_across_row_groups_and_files(tmp_path: Path) -> None:
    data = tmp_path / "in"
    write_rows(data / "b.parquet", [row(number) for number in range(300, 310)], row_group_size=3)
    write_rows(data / "a.parquet", [row(number) for number in range(300)], row_group_size=130)
    found = [r["sample_id"] for r in read_rows(select(data, Filters(where="num_tokens_long % 7 = 2 AND subset = 'a'")))]
    assert found == [f"a/{number}" for number in range(310) if number % 7 == 2]


@pytest.mark.parametrize(
    "condition",
    ["nope > 1", "", "true) --", "true; DROP TABLE x", "subset = 'a", "caption_long", "1, 2", "true LIMIT 1"],
)
def test_a_bad_condition_is_one_line(tmp_path: Path, condition: str) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1)])
    with pytest.raises(UserError, match="--where") as caught:
        select(tmp_path / "in", Filters(where=condition))
    assert "\n" not in str(caught.value)


def test_no_row_left_is_said(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1)])
    with pytest.raises(UserError, match=r"no row matches \(of 1\)"):
        run(tmp_path / "in", "json", tmp_path / "dest", filters=Filters(where="num_tokens_long > 5"))
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]
