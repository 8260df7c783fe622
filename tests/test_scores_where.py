"""Conditions know the scores of a data set, and only those of the texts that are there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.publish.run import publish
from lrs2m_builder.dataset.scores.columns import score_columns
from lrs2m_builder.dataset.scores.join import by_home, join_scores
from lrs2m_builder.dataset.scores.places import scored_files
from lrs2m_builder.dataset.scores.table import RowScores, Scoring, text_sha256
from lrs2m_builder.dataset.scores.write import score_table
from lrs2m_builder.dataset.selection import NEEDS, Filters, Selection, read_rows, select
from lrs2m_builder.dataset.stats import read_stats
from lrs2m_builder.dataset.tables import open_tables
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import write_json
from lrs2m_builder.train.index import read_index
from tests.export_data import exported_ids, row, write_rows
from tests.in_process import lrs2m
from tests.test_scores import data_set

COLUMNS = {"long_rank": pa.float32(), "short_rank": pa.float64(), "cut": pa.bool_(), "end": pa.string()}


def score(folder: Path, name: str = "clip", *, texts: tuple[str, ...] = ("short", "long"), **only: Any) -> Path:
    """Scores by the number of the row: `long_rank` is a tenth of it; `only` maps ids to False for none."""
    with score_table(folder, Scoring(name, "clip", {}, COLUMNS), print) as table:
        for file in table.files:
            rows = pq.read_table(file.path, columns=["sample_id", "caption_short", "caption_long"]).to_pylist()
            with table.open_shard(file) as shard:
                for each in rows:
                    number = int(each["sample_id"].split("/")[1])
                    if only.get(f"r{number}", True):
                        hashes = {text: text_sha256(each[f"caption_{text}"]) for text in texts}
                        values = {"long_rank": number / 10, "short_rank": 1 - number / 10, "cut": number == 1}
                        found = RowScores(each["sample_id"], hashes.get("short"), hashes.get("long"), values)
                        shard.keep([found])
                shard.finish()
    return folder


def matching(folder: Path, where: str) -> list[str]:
    return [each["sample_id"] for each in read_rows(select(folder, Filters(where=where)))]


def selected(folder: Path, where: str) -> Selection:
    return select(folder, Filters(where=where))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return score(data_set(tmp_path_factory.mktemp("scored")))


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("clip_long_rank > 0.25", [3, 4, 5]),
        ("CLIP_Long_Rank > 0.25 AND num_tokens_long < 5", [3, 4]),
        ("clip_long_rank > 0.15 AND clip_short_rank > 0.65", [2, 3]),
        ("clip_cut", [1]),
        ("clip_end IS NULL AND num_tokens_long = 0 -- a remark", [0]),
        ("sample_id IN ('a/1') OR clip_long_rank < 0.05", [0, 1]),
    ],
)
def test_a_condition_may_name_scores(scored: Path, where: str, numbers: list[int]) -> None:
    assert matching(scored, where) == [f"a/{number}" for number in numbers]


def test_an_export_takes_conditions_on_scores(scored: Path, tmp_path: Path) -> None:
    assert exported_ids(scored, tmp_path / "out", where="clip_long_rank > 0.45") == ["a/5"]


def test_a_shard_or_the_folder_of_the_shards_has_the_same_scores(scored: Path) -> None:
    assert matching(scored / "data", "clip_long_rank > 0.25") == ["a/3", "a/4", "a/5"]
    assert matching(scored / "data" / "a" / "train-00000.parquet", "clip_long_rank > 0.15") == ["a/2"]


def test_rows_without_a_score_are_kept_by_no_comparison_and_counted(tmp_path: Path) -> None:
    score(data_set(tmp_path), r1=False, r2=False)
    found = selected(tmp_path, "clip_long_rank >= 0")
    assert (found.num_rows, found.notes) == (4, ("2 rows have no score",))
    assert not selected(tmp_path, "num_tokens_long >= 0").notes


def test_a_score_of_an_older_text_is_null_and_counted(tmp_path: Path) -> None:
    score(data_set(tmp_path), r0=False)
    data_set(tmp_path, r4={"caption_long": "corrected"}, r5={"caption_short": "corrected"})
    assert matching(tmp_path, "clip_long_rank >= 0") == ["a/1", "a/2", "a/3", "a/5"]
    assert selected(tmp_path, "clip_long_rank >= 0").notes == ("1 row has no score, 1 row has one of an older text",)
    assert matching(tmp_path, "clip_cut IS NOT NULL") == ["a/1", "a/2", "a/3"]


def test_scores_of_one_text_judge_only_that_one(tmp_path: Path) -> None:
    score(data_set(tmp_path), texts=("long",))
    data_set(tmp_path, r4={"caption_short": "corrected"})
    assert selected(tmp_path, "clip_cut IS NOT NULL").num_rows == 6
    assert selected(tmp_path, "clip_short_rank IS NULL").num_rows == 6


def test_a_row_keeps_its_score_in_another_place_of_its_shard(tmp_path: Path) -> None:
    score(data_set(tmp_path))
    write_rows(tmp_path / "data" / "a" / "train-00000.parquet", [row(7), row(2), row(0)])
    assert matching(tmp_path, "clip_long_rank < 0.25") == ["a/2", "a/0"]


def hashes_texts(folder: Path) -> bool:
    """Whether a join with the scores of a folder hashes texts."""
    connection = open_tables(folder, NEEDS)
    files = scored_files(folder)
    join_scores(connection, "records", by_home(files), list(score_columns(files).values()))
    return "sha256(" in str(connection.sql("SELECT sql FROM duckdb_views() WHERE view_name = 'scored'").fetchall())


def test_texts_are_hashed_only_if_their_shard_was_written_anew(tmp_path: Path) -> None:
    score(data_set(tmp_path))
    assert not hashes_texts(tmp_path)
    path = tmp_path / "data" / "a" / "train-00001.parquet"
    pq.write_table(pq.read_table(path), path, compression="gzip")
    assert hashes_texts(tmp_path)
    assert matching(tmp_path, "clip_long_rank >= 0") == [f"a/{number}" for number in range(6)]
    score(tmp_path)
    assert not hashes_texts(tmp_path), "a further run does not take the shard over"


def test_a_copy_of_a_data_set_is_known_by_its_bytes(tmp_path: Path) -> None:
    shutil.copytree(score(data_set(tmp_path / "one")), tmp_path / "two")
    assert not hashes_texts(tmp_path / "two")
    assert matching(tmp_path / "two", "clip_long_rank > 0.25") == ["a/3", "a/4", "a/5"]


def test_a_text_that_changed_under_the_size_and_time_of_its_file_has_no_score(tmp_path: Path) -> None:
    path = data_set(tmp_path) / "data" / "a" / "train-00001.parquet"
    pq.write_table(pq.read_table(path), path, compression="none")
    score(tmp_path)
    before, size = path.stat(), path.stat().st_size
    path.write_bytes(path.read_bytes().replace(b"a long text of number 4", b"a long text of number 7"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == size and pq.read_table(path)["caption_long"][1].as_py().endswith("7")
    assert matching(tmp_path, "clip_long_rank >= 0") == ["a/0", "a/1", "a/2", "a/3", "a/5"]


def test_two_tables_are_joined_at_once(tmp_path: Path) -> None:
    score(score(data_set(tmp_path)), "other", r3=False)
    found = selected(tmp_path, "clip_long_rank > 0.15 AND other_long_rank < 0.45")
    assert (found.num_rows, found.notes) == (2, ("1 row has no score",))


def test_a_folder_of_builds_has_the_scores_of_each(tmp_path: Path) -> None:
    score(data_set(tmp_path / "one"))
    data_set(tmp_path / "two")
    found = selected(tmp_path, "clip_long_rank > 0.15")
    assert (found.num_rows, found.notes) == (4, ("6 rows have no score",))


def test_an_unknown_name_lists_the_scores(scored: Path) -> None:
    with pytest.raises(UserError, match=r"the columns are sample_id.* and of scores clip_long_rank, clip_short_rank"):
        selected(scored, "clip_medium_rank > 0")


def test_a_condition_on_scores_that_were_never_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no scores"):
        selected(data_set(tmp_path), "clip_long_rank > 0")


def test_a_table_without_a_finished_shard_has_columns_of_nulls(tmp_path: Path) -> None:
    with score_table(data_set(tmp_path), Scoring("clip", "clip", {}, COLUMNS), print):
        pass
    with pytest.raises(UserError, match=r"no row matches .*: 6 rows have no score; relax the filters"):
        selected(tmp_path, "clip_long_rank >= 0")


@pytest.mark.parametrize("harm", ["torn", "empty", "foreign"])
def test_a_table_that_cannot_be_read_is_one_line_with_its_path(tmp_path: Path, harm: str) -> None:
    path = score(data_set(tmp_path)) / "scores" / "clip" / "a" / "train-00001.parquet"
    if harm == "foreign":
        pq.write_table(pa.table({"sample_id": ["a/3"], "long_rank": ["high"]}), path)
    else:
        path.write_bytes(path.read_bytes()[:-20] if harm == "torn" else b"")
    with pytest.raises(UserError, match=r"train-00001\.parquet: .*again") as caught:
        selected(tmp_path, "clip_long_rank >= 0")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("columns", [{"x; DROP TABLE y": "float"}, {"long_rank": "struct"}, [], None])
def test_a_score_json_of_another_program_is_one_line(tmp_path: Path, columns: Any) -> None:
    write_json(data_set(tmp_path) / "scores" / "clip" / "score.json", {"columns": columns})
    with pytest.raises(UserError, match=r"score\.json: names no columns of scores"):
        selected(tmp_path, "clip_long_rank >= 0")


def test_a_column_of_the_data_comes_before_a_score_of_its_name(tmp_path: Path) -> None:
    data = data_set(tmp_path) / "data" / "a" / "train-00000.parquet"
    score(tmp_path)
    table = pq.read_table(data)
    pq.write_table(table.append_column("clip_long_rank", pa.array([7.0] * len(table))), data)
    (tmp_path / "data" / "a" / "train-00001.parquet").unlink()
    assert selected(tmp_path, "clip_long_rank = 7").num_rows == 3


def test_the_statistics_have_each_score_by_subset_with_a_histogram(scored: Path) -> None:
    found = {(each.name, each.subset): each for each in read_stats(scored).scores}
    total = found["clip_long_rank", "total"]
    assert (total.rows, total.mean, total.low, total.high) == (6, pytest.approx(0.25), 0.0, 0.5)
    assert (total.histogram[0], total.histogram[-1], sum(total.histogram)) == (1, 1, 6)
    assert found["clip_cut", "a"].mean == pytest.approx(1 / 6) and ("clip_end", "a") not in found


def test_the_statistics_count_rows_without_a_score_and_those_of_an_older_text(tmp_path: Path) -> None:
    score(data_set(tmp_path), r0=False)
    data_set(tmp_path, r4={"caption_long": "corrected"})
    (total,) = [s for s in read_stats(tmp_path).scores if (s.name, s.subset) == ("clip_long_rank", "total")]
    assert (total.rows, total.missing, total.older) == (4, 1, 1)


def test_the_statistics_of_some_rows_are_those_that_meet_the_condition(scored: Path) -> None:
    stats = read_stats(scored, "clip_long_rank > 0.25")
    assert stats.total.pairs == 3
    assert min(each.low for each in stats.scores if each.name == "clip_long_rank") == pytest.approx(0.3)


def test_the_statistics_for_people_draw_a_line_of_bars(scored: Path) -> None:
    lines = lrs2m("stats", scored, "--where", "clip_long_rank >= 0").out.splitlines()
    (line,) = [line for line in lines if line.startswith("clip_long_rank")]
    assert "0.250" in line and line.endswith("0.000 █   █   █   █   █  █ 0.500")


def test_the_statistics_of_a_folder_without_scores_say_nothing_of_them(tmp_path: Path) -> None:
    assert not read_stats(data_set(tmp_path)).scores


def test_a_published_card_has_a_table_and_a_picture_of_the_scores_of_its_rows(scored: Path, tmp_path: Path) -> None:
    publish([scored], "me/data", dest=tmp_path / "tree", dry_run=True, filters=Filters(where="clip_long_rank > 0.25"))
    card = (tmp_path / "tree" / "README.md").read_text()
    assert "| `clip_long_rank` | a | 3 | 0.400 | 0.310 | 0.400 | 0.490 |" in card and "(assets/scores.png)" in card
    assert (tmp_path / "tree" / "assets" / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert "clip_long_rank" not in pq.read_schema(next((tmp_path / "tree").rglob("*.parquet"))).names


def test_a_card_without_scores_says_nothing_of_them(tmp_path: Path) -> None:
    publish([data_set(tmp_path / "in")], "me/data", dest=tmp_path / "tree", dry_run=True)
    assert "## Scores" not in (tmp_path / "tree" / "README.md").read_text()
    assert not (tmp_path / "tree" / "assets" / "scores.png").exists()


def test_a_plot_of_the_statistics_draws_the_scores_too(scored: Path, tmp_path: Path) -> None:
    found = lrs2m("stats", scored, "--plot", tmp_path / "lengths.png")
    assert found.out.splitlines()[-1] == f"plotted {tmp_path / 'lengths-scores.svg'}"


def test_training_takes_the_rows_that_meet_a_condition_on_scores(tmp_path: Path) -> None:
    score(data_set(tmp_path), r0=False)
    said: list[str] = []
    index = read_index([tmp_path], ("caption_long", "caption_short"), "clip_long_rank > 0.25", say=said.append)
    assert [bool(tokens) for tokens in index.num_tokens_R] == [False, False, False, True, True, True]
    assert said == [f"{tmp_path}: 1 row has no score"]
    with pytest.raises(UserError, match="no row matches"):
        read_index([tmp_path], ("caption_long",), "clip_long_rank > 7")


def test_a_table_that_holds_a_sample_twice_doubles_no_row(tmp_path: Path) -> None:
    first, second = sorted((score(data_set(tmp_path)) / "scores" / "clip" / "a").iterdir())
    pq.write_table(pq.read_table(first), second)
    for shard in (tmp_path / "data" / "a").iterdir():
        pq.write_table(pq.read_table(shard), shard, compression="gzip")
    with pytest.raises(UserError, match="holds a sample twice"):
        selected(tmp_path, "clip_long_rank >= 0")


def test_a_score_json_that_is_torn_is_one_line(tmp_path: Path) -> None:
    path = score(data_set(tmp_path)) / "scores" / "clip" / "score.json"
    path.write_text(path.read_text()[:50])
    for attempt in (lambda: selected(tmp_path, "clip_long_rank >= 0"), lambda: score(tmp_path)):
        with pytest.raises(UserError, match=r"score\.json: cannot be read"):
            attempt()
