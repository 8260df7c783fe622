"""Scores lie beside a data set, survive a kill, and belong to exactly its texts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.scores.places import score_names
from lrs2m_builder.dataset.scores.table import RowScores, Scoring, text_sha256
from lrs2m_builder.dataset.scores.write import score_table
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import write_json
from tests.export_data import row, write_rows
from tests.toy import ROOT

COLUMNS = {"long_min": pa.float32(), "short_reason": pa.string()}


def data_set(folder: Path, **changes: dict[str, Any]) -> Path:
    """Two shards of three rows; `changes` of a row by the last letters of its id, as "r4"."""
    write_json(folder / "build.json", {"settings": {"recipe": "toy"}})
    rows = [row(number) | changes.get(f"r{number}", {}) for number in range(6)]
    for index in (0, 1):
        write_rows(folder / "data" / "a" / f"train-{index:05d}.parquet", rows[3 * index : 3 * index + 3])
    return folder


def scoring(name: str = "verify", claims: bool = True, **settings: Any) -> Scoring:
    return Scoring(name, "verify", {"model": "toy"} | settings, COLUMNS, {"mass": pa.float32()} if claims else None)


def answer(number: int, score: float = 0.3) -> RowScores:
    claim = {"column": "caption_long", "start": 2, "end": 6, "kind": "object", "words": "a text", "score": score}
    long = text_sha256(f"a long text of number {number}")
    return RowScores(f"a/{number}", None, long, {"long_min": score}, ({**claim, "mass": 0.9},))


def write(folder: Path, numbers: range | list[int], made: Scoring | None = None, *, finish: bool = True) -> list[str]:
    """Score rows; returns what was said."""
    said: list[str] = []
    with score_table(folder, made or scoring(), said.append) as table:
        for index, file in enumerate(table.files):
            with table.open_shard(file) as shard:
                ids = [number for number in range(3 * index, 3 * index + 3) if number in numbers]
                for number in ids:
                    if not shard.is_known(f"a/{number}"):
                        shard.keep([answer(number)])
                if finish:
                    shard.finish()
    return said


def table(folder: Path, index: int = 0, name: str = "verify", kind: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(
        folder / "scores" / name / kind / "a" / f"train-{index:05d}.parquet"
    ).to_pylist()
    return rows


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_table_has_a_row_per_record_in_its_order_and_nulls_for_those_without_an_answer(tmp_path: Path) -> None:
    write(data_set(tmp_path), [0, 2])
    assert [(r["sample_id"], r["long_min"] is None) for r in table(tmp_path)] == [
        ("a/0", False),
        ("a/1", True),
        ("a/2", False),
    ]
    assert [r["text_short_sha256"] for r in table(tmp_path)] == [None] * 3


def test_claims_carry_the_hash_of_their_text(tmp_path: Path) -> None:
    write(data_set(tmp_path), [1])
    (claim,) = table(tmp_path, kind="claims")
    assert (claim["sample_id"], claim["words"]) == ("a/1", "a text")
    assert claim["text_sha256"] == text_sha256("a long text of number 1")


def test_the_shards_of_the_data_set_stay_byte_for_byte(tmp_path: Path) -> None:
    before = tree(data_set(tmp_path) / "data")
    write(tmp_path, range(6))
    assert tree(tmp_path / "data") == before


def test_a_folder_of_builds_does_not_take_scores_for_records(tmp_path: Path) -> None:
    write(data_set(tmp_path / "one"), range(6))
    assert all("scores" not in file.parts for file in record_files(tmp_path))


def test_answers_of_an_unfinished_shard_are_not_asked_for_again(tmp_path: Path) -> None:
    write(data_set(tmp_path), [0, 1], finish=False)
    with score_table(tmp_path, scoring(), print) as scores, scores.open_shard(scores.files[0]) as shard:
        assert [shard.is_known(f"a/{number}") for number in range(3)] == [True, True, False]


def test_a_resumed_table_has_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    write(data_set(tmp_path / "whole"), range(6))
    write(data_set(tmp_path / "torn"), [0, 1, 4], finish=False)
    log = tmp_path / "torn" / "scores" / "verify" / "journal" / "a" / "train-00000.jsonl"
    log.write_bytes(log.read_bytes()[:-9])
    write(tmp_path / "torn", range(6))
    assert tree(tmp_path / "torn" / "scores" / "verify" / "a") == tree(tmp_path / "whole" / "scores" / "verify" / "a")
    assert not list((tmp_path / "torn").rglob("*.jsonl"))


def test_a_finished_table_is_not_written_again(tmp_path: Path) -> None:
    write(data_set(tmp_path), range(6))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    write(tmp_path, range(6))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == before


def test_more_rows_are_added_to_a_finished_table(tmp_path: Path) -> None:
    write(data_set(tmp_path), [0])
    write(tmp_path, [2])
    assert [r["long_min"] is None for r in table(tmp_path)] == [False, True, False]
    assert [r["sample_id"] for r in table(tmp_path, kind="claims")] == ["a/0", "a/2"]


def test_an_answer_about_an_older_text_does_not_count(tmp_path: Path) -> None:
    write(data_set(tmp_path), range(6))
    data_set(tmp_path, r1={"caption_long": "another text"})
    with score_table(tmp_path, scoring(), print) as scores, scores.open_shard(scores.files[0]) as shard:
        assert [shard.is_known(f"a/{number}") for number in range(3)] == [True, False, True]


def test_a_torn_table_is_made_again_and_said(tmp_path: Path) -> None:
    write(data_set(tmp_path), range(6))
    path = tmp_path / "scores" / "verify" / "a" / "train-00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert "train-00001.parquet: cannot be used" in " ".join(write(tmp_path, range(6)))
    assert path.read_bytes() == whole


def test_a_table_without_its_claims_is_made_again(tmp_path: Path) -> None:
    write(data_set(tmp_path), range(6))
    (tmp_path / "scores" / "verify" / "claims" / "a" / "train-00000.parquet").unlink()
    write(tmp_path, range(6))
    assert len(table(tmp_path, kind="claims")) == 3


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (scoring(model="other"), "settings.model was toy, now other"),
        (Scoring("verify", "clip", {"model": "toy"}, COLUMNS), "kind was verify, now clip"),
    ],
)
def test_scores_made_otherwise_under_the_same_name_are_refused(tmp_path: Path, made: Scoring, said: str) -> None:
    write(data_set(tmp_path), range(6))
    with pytest.raises(UserError, match=rf"{said}.*another --name"):
        write(tmp_path, [0], made)


def test_scores_of_another_build_are_refused(tmp_path: Path) -> None:
    write(data_set(tmp_path), range(6))
    write_json(tmp_path / "build.json", {"settings": {"recipe": "other"}})
    with pytest.raises(UserError, match=r"data.build was .*another --name"):
        write(tmp_path, [0])


def test_scores_of_other_files_than_those_of_a_folder_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "x.parquet", [row(0)])
    write(tmp_path, [0])
    write_rows(tmp_path / "y.parquet", [row(1)])
    with pytest.raises(UserError, match=r"data\.files was"):
        write(tmp_path, [0])


def test_a_name_whose_columns_are_taken_is_refused(tmp_path: Path) -> None:
    write(data_set(tmp_path), [0])
    made = Scoring("verify_long", "clip", {}, {"min": pa.float32()})
    with pytest.raises(UserError, match="verify_long_min is a column of the scores 'verify' already"):
        write(tmp_path, [0], made)


@pytest.mark.parametrize("name", ["", "../up", "Capital", "a-b", "é", "1st", "a" * 41, "a\nb"])
def test_a_name_that_cannot_begin_a_column_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="--name"):
        scoring(name)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with score_table(data_set(tmp_path), scoring(), print), pytest.raises(UserError, match="is writing there"):
        write(tmp_path, [0])


def test_two_rows_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2 rows have the sample_id 'a/1'"):
        write(data_set(tmp_path, r4={"sample_id": "a/1"}), [0])


def test_several_builds_at_once_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        data_set(tmp_path / name)
    with pytest.raises(UserError, match="two data sets"):
        write(tmp_path, [0])


def test_the_names_of_scores_are_found(tmp_path: Path) -> None:
    write(data_set(tmp_path), [0])
    (tmp_path / "scores" / "Odd name").mkdir()
    write_json(tmp_path / "scores" / "Odd name" / "score.json", {})
    assert score_names(tmp_path) == ["verify"]


@pytest.mark.parametrize("line", ['{"answers": [{}]}', '{"answers": 7}', '{"answers": [{"sample_id": 1}]}'])
def test_a_line_of_the_journal_that_no_table_takes_is_dropped(tmp_path: Path, line: str) -> None:
    data_set(tmp_path)
    log = tmp_path / "scores" / "verify" / "journal" / "a" / "train-00000.jsonl"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"%08x %s\n" % (zlib.crc32(line.encode()), line.encode()))
    with score_table(tmp_path, scoring(), print) as scores, scores.open_shard(scores.files[0]) as shard:
        assert shard.num_known == 0


SLOWLY = """
import sys, time
from pathlib import Path
from lrs2m_builder.dataset.scores import write
from tests import test_scores
keep = write.ScoreShard.keep
def slowly(shard, answers):
    keep(shard, answers)
    time.sleep(0.3)
write.ScoreShard.keep = slowly
test_scores.write(Path(sys.argv[1]), range(6))
"""


def test_a_killed_process_loses_no_answer_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    write(data_set(tmp_path / "whole"), range(6))
    data_set(tmp_path / "torn")
    for index in (0, 1):  # killed in the first shard, then in the second
        log = tmp_path / "torn" / "scores" / "verify" / "journal" / "a" / f"train-{index:05d}.jsonl"
        with subprocess.Popen([sys.executable, "-c", SLOWLY, str(tmp_path / "torn")], cwd=ROOT) as process:
            while process.poll() is None and not (log.exists() and log.stat().st_size):
                time.sleep(0.01)
            process.kill()
        assert process.returncode == -signal.SIGKILL and log.stat().st_size
    with score_table(tmp_path / "torn", scoring(), print) as scores, scores.open_shard(scores.files[1]) as shard:
        assert shard.is_known("a/3")
    assert not write(tmp_path / "torn", range(6))
    for kind in ("a", "claims/a"):
        scores_of = [tree(tmp_path / name / "scores" / "verify" / kind) for name in ("torn", "whole")]
        assert scores_of[0] == scores_of[1]
