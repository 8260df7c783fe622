"""A build turns every sample into a record or a rejection, in the order of the source, with its provenance."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import Features, load_dataset

from lrs2m_builder.build.stored_rows import PLACE_COLUMNS, RECORD_SCHEMA
from lrs2m_builder.dataset.stats import read_stats
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion, Request
from lrs2m_builder.files import read_json
from tests.fake_engine import FakeModule, good_text
from tests.toy import build_toy, ids, make_source, rows, toy_options

SORRY = "Sorry, I cannot help with that."


def always(text: str, finish_reason: str = "stop") -> FakeModule:
    return FakeModule(lambda request: Completion(text, finish_reason, 10, 20))


def good_module() -> FakeModule:
    return FakeModule(lambda request: Completion(good_text(request.seed), "stop", 10, 20))


def test_samples_are_records_plus_rejections(tmp_path: Path) -> None:
    report = build_toy(make_source(tmp_path, 45, captions=2, missing=(3, 4)), tmp_path / "out")
    assert report.samples == 90 == report.records + sum(report.rejections.values())
    assert report.rejections["image_missing"] == 4
    assert len(set(ids(tmp_path / "out") + ids(tmp_path / "out", "rejected"))) == 90


def test_rows_stand_in_the_order_of_the_source(tmp_path: Path) -> None:
    source = make_source(tmp_path, 33)
    module = FakeModule(good_module().script, delay_s=0.01)  # answers come in another order than asked
    build_toy(source, tmp_path / "out", module)
    assert ids(tmp_path / "out") == [f"toy/{n}.jpg#0" for n in range(33)]


def test_load_dataset_shows_decoded_images_without_being_told(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 12), tmp_path / "out", good_module())
    files = sorted(str(path) for path in (tmp_path / "out" / "data").rglob("*.parquet"))
    data = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert data.num_rows == 12
    assert data[5]["image"].size == (40, 30)
    assert data.features == Features.from_arrow_schema(RECORD_SCHEMA)


def test_every_column_is_filled(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 3), tmp_path / "out", good_module())
    row = rows(tmp_path / "out")[0]
    assert list(row) == RECORD_SCHEMA.names
    may_be_empty = {"anchors", "label", "warnings", "judge", "claims", "cut", "uncut", "boxes", *PLACE_COLUMNS}
    may_be_empty |= {"captions_long", "captions_long_origin"}  # of one text there is no list
    assert not [name for name, value in row.items() if not value and name not in may_be_empty]
    assert row["short_source"] == "toy captions" and row["long_source"] == "toy-model"
    assert row["prompts"][0]["name"] == "short_to_long.v1" and len(row["prompts"][0]["sha256"]) == 64
    assert row["image"]["bytes"] == (tmp_path / "imgs" / "0.jpg").read_bytes()
    assert (row["width"], row["height"], row["attempts"], row["finish_reason"]) == (40, 30, 1, "stop")


def test_row_groups_have_a_hundred_rows_and_zstd(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 120), tmp_path / "out", good_module(), shard_size=250)
    metadata = pq.read_metadata(next((tmp_path / "out" / "data").rglob("*.parquet")))
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [100, 20]
    assert {metadata.row_group(0).column(i).compression for i in range(metadata.num_columns)} == {"ZSTD"}


def test_a_failed_check_is_asked_again_with_the_reason_and_another_seed(tmp_path: Path) -> None:
    module = FakeModule(
        lambda request: Completion("Too short." if request.attempt == 1 else good_text(request.seed), "stop", 1, 1)
    )
    build_toy(make_source(tmp_path, 1), tmp_path / "out", module)
    first, second = module.requests
    assert "The answer had 2 words" in second.parts[1] and "The answer had" not in first.parts[1]
    assert first.seed != second.seed
    assert rows(tmp_path / "out")[0]["attempts"] == 2


def test_a_rejection_keeps_every_attempt(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 1), tmp_path / "out", always(SORRY), max_attempts=4)
    (row,) = rows(tmp_path / "out", "rejected")
    assert row["reason"] == "refusal"
    assert [attempt["text"] for attempt in row["attempts"]] == [SORRY] * 4
    assert len({attempt["seed"] for attempt in row["attempts"]}) == 4


def test_a_warning_keeps_the_row_and_says_what_was_found(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 1), tmp_path / "out", always("A pond."), checks={"all": "warn"})
    warnings = rows(tmp_path / "out")[0]["warnings"]
    assert [warning.partition(": ")[0] for warning in warnings] == ["word_range", "hint_missing"]
    assert warnings[0].startswith("word_range: The answer had 2 words")
    assert read_stats(tmp_path / "out").total.warnings == {"word_range": 1, "hint_missing": 1}


def test_unusable_images_are_rejections_and_are_not_sent(tmp_path: Path) -> None:
    source = make_source(tmp_path, 6)
    (tmp_path / "imgs" / "1.jpg").write_bytes((tmp_path / "imgs" / "1.jpg").read_bytes()[:-20])
    (tmp_path / "imgs" / "2.jpg").write_bytes(b"")
    (tmp_path / "imgs" / "3.jpg").write_text("<html>not found</html>")
    module = good_module()
    report = build_toy(source, tmp_path / "out", module)
    assert report.records == 3
    assert report.rejections == {"image_empty": 1, "image_truncated": 1, "image_unreadable": 1}
    assert len(module.requests) == 3


def test_retry_rejected_asks_again_for_the_rejected_alone(tmp_path: Path) -> None:
    source, out = make_source(tmp_path, 25, missing=(7,)), tmp_path / "out"
    build_toy(
        source, out, FakeModule(lambda r: Completion(SORRY if "/3." in r.sample_id else good_text(r.seed), "stop"))
    )
    kept = {row["sample_id"]: row for row in rows(out)}
    (tmp_path / "imgs" / "7.jpg").write_bytes((tmp_path / "imgs" / "8.jpg").read_bytes())
    module = good_module()
    report = build_toy(source, out, module, retry_rejected=True)
    assert {request.sample_id for request in module.requests} == {"toy/3.jpg#0", "toy/7.jpg#0"}
    assert (report.records, report.rejections) == (25, {})
    assert ids(out) == [f"toy/{n}.jpg#0" for n in range(25)]
    now = {row["sample_id"]: row for row in rows(out)}
    assert all(now[sample_id] == row for sample_id, row in kept.items())
    assert now["toy/3.jpg#0"]["attempts"] == 4  # three refused, then the retry


def test_a_retry_that_fails_keeps_the_rejection_with_all_attempts(tmp_path: Path) -> None:
    source, out = make_source(tmp_path, 12), tmp_path / "out"
    build_toy(source, out, always(SORRY), max_attempts=2)
    report = build_toy(source, out, always(SORRY), max_attempts=2, retry_rejected=True)
    assert report.rejections == {"refusal": 12}
    assert {len(row["attempts"]) for row in rows(out, "rejected")} == {4}


def test_memory_holds_no_more_samples_than_the_window_needs(tmp_path: Path) -> None:
    module = FakeModule(good_module().script, delay_s=0.01)
    build_toy(make_source(tmp_path, 60), tmp_path / "out", module, engine_options={"max_in_flight": 4})
    lines = (tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()
    assert max(json.loads(line)["in_flight"] for line in lines) <= 4


def test_report_and_build_json_say_what_was_made_and_from_what(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 5, missing=(0,)), tmp_path / "out", good_module())
    report = read_json(tmp_path / "out" / "report.json")
    assert (report["samples"], report["records"], report["rejections"]) == (5, 4, {"image_missing": 1})
    made = read_json(tmp_path / "out" / "build.json")
    assert made["settings"]["recipe"]["name"] == "short_to_long.v1"
    assert made["settings"]["models"] == [{"name": "toy-model", "revision": "1"}]
    assert made["versions"]["lrs2m-builder"]


def test_limit_reads_the_first_samples_only(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 30), tmp_path / "out", good_module(), limit=7)
    assert ids(tmp_path / "out") == [f"toy/{n}.jpg#0" for n in range(7)]


def test_same_seed_same_requests_other_seed_other_requests(tmp_path: Path) -> None:
    source = make_source(tmp_path, 4)

    def seeds(name: str, seed: int) -> list[int]:
        module = good_module()
        build_toy(source, tmp_path / name, module, seed=seed)
        return sorted(request.seed for request in module.requests)

    assert seeds("a", 0) == seeds("b", 0) != seeds("c", 1)


def test_a_bug_in_an_engine_is_not_swallowed(tmp_path: Path) -> None:
    def script(request: Request) -> Completion:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        build_toy(make_source(tmp_path, 5), tmp_path / "out", FakeModule(script))


def test_settings_are_checked_before_an_engine_starts(tmp_path: Path) -> None:
    module = FakeModule()
    with pytest.raises(UserError, match="no manifest"):
        build_toy(tmp_path / "none.yaml", tmp_path / "out", module)
    assert not module.engines


def test_no_model_anywhere_is_said(tmp_path: Path) -> None:
    from lrs2m_builder.build.prepare import prepare

    with pytest.raises(UserError, match="--model"):
        prepare(toy_options(make_source(tmp_path, 2), tmp_path / "out", model=None), FakeModule())
