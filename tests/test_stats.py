from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lrs2m_builder.checks import split_words
from lrs2m_builder.commands.stats import stats_lines
from lrs2m_builder.dataset.histogram import draw_histograms
from lrs2m_builder.dataset.stats import paper_figures, read_stats
from lrs2m_builder.errors import UserError
from tests.test_cli import lrs2m
from tests.test_resume import small_disk
from tests.toy import build_toy, make_source, rows

TEXTS = [
    ("Two planes.", "Two white planes stand by a well-lit terminal; it's 3.5 km long.", 4, 20),
    ("Two planes.", "A road\nruns\tpast the Planes’ hangar.", 4, 90),
    ("A pond 世界.", "A pond. A POND, a pond!", 5, 300),
]


def write_rows(path: Path, subset: str = "toy", **columns: list[object]) -> Path:
    """A Parquet file of three rows with the columns that must be there, and others."""
    short, long, num_short, num_long = (list(column) for column in zip(*TEXTS, strict=True))
    table = {"subset": [subset] * 3, "caption_short": short, "caption_long": long}
    table |= {"num_tokens_short": num_short, "num_tokens_long": num_long, **columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)
    return path


def test_tokens_words_and_vocabulary_equal_a_plain_count(tmp_path: Path) -> None:
    stats = read_stats(write_rows(tmp_path / "a.parquet")).total
    words = [split_words(long) for _, long, _, _ in TEXTS]
    assert stats.long.mean_words == pytest.approx(sum(map(len, words)) / 3)
    assert stats.long.vocabulary == len({word.lower() for text in words for word in text})
    assert stats.short.vocabulary == len({word.lower() for short, *_ in TEXTS for word in split_words(short)})
    assert stats.long.mean_tokens == pytest.approx((20 + 90 + 300) / 3)
    assert stats.long.histogram == Counter([20, 90, 300])
    assert (stats.long.over_77, stats.long.over_248) == pytest.approx((2 / 3, 1 / 3))
    assert stats.long.percentiles[50] == 90


def test_every_subset_and_the_total_are_counted(tmp_path: Path) -> None:
    write_rows(tmp_path / "data" / "a" / "1.parquet", "a")
    write_rows(tmp_path / "data" / "b" / "1.parquet", "b")
    stats = read_stats(tmp_path)
    assert [(subset.name, subset.pairs) for subset in stats.subsets] == [("a", 3), ("b", 3)]
    assert stats.total.pairs == 6


def test_counts_of_a_build_equal_its_rows(tmp_path: Path) -> None:
    report = build_toy(make_source(tmp_path, 30, captions=2, missing=[3]), tmp_path / "out")
    stats = read_stats(tmp_path / "out").total
    built = rows(tmp_path / "out")
    assert (stats.pairs, stats.rejections) == (report.records, report.rejections)
    assert stats.images == len({row["image_sha256"] for row in built})
    assert stats.mean_attempts == pytest.approx(sum(row["attempts"] for row in built) / len(built))


def test_warnings_are_counted_by_check(tmp_path: Path) -> None:
    warnings: list[object] = [["hedge: The answer guessed."], ["hedge", "date: x: y", "date: z"], []]
    stats = read_stats(write_rows(tmp_path / "a.parquet", warnings=warnings))
    assert stats.total.warnings == {"hedge": 2, "date": 1}


def test_paper_figures_stand_beside_the_subsets_that_it_has(tmp_path: Path) -> None:
    write_rows(tmp_path / "1.parquet", "ucmerced")
    write_rows(tmp_path / "2.parquet", "mine")
    stats = read_stats(tmp_path)
    paper = paper_figures(stats)
    assert set(paper) == {"ucmerced", "total"}
    lines = stats_lines(stats, paper)
    below = lines[next(i for i, line in enumerate(lines) if line.startswith("ucmerced")) + 1]
    assert re.match(r"  in the paper +9,430 .*207\.17.*13\.11", below)


def test_warnings_are_a_share_of_the_pairs_and_rejections_of_all_samples(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 30, missing=[3, 4, 5]), tmp_path / "out")
    stats = read_stats(tmp_path / "out")
    total = replace(stats.total, warnings={"hedge": 9})
    lines = "\n".join(stats_lines(replace(stats, subsets=(), total=total), {}))
    assert "warnings, share of pairs:\n         9   34.6%  hedge" in lines
    assert "rejected, share of samples:\n         3   10.0%  image_missing" in lines


@pytest.mark.parametrize("name", ["", "/"])
def test_a_plot_without_a_name_is_one_line(tmp_path: Path, name: str) -> None:
    result = lrs2m("stats", write_rows(tmp_path / "a.parquet"), "--plot", name)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1) and "--plot" in result.stderr


def test_a_plot_on_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "a.parquet")
    with small_disk(tmp_path / "disk", "16k") as disk:
        result = lrs2m("stats", data, "--plot", disk / "a.png")
        assert list(disk.iterdir()) == []
    assert result.returncode == 2 and "no space left" in result.stderr and result.stderr.count("\n") == 1


def test_a_folder_that_may_not_be_read_is_named_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "data" / "a" / "1.parquet", "a")
    write_rows(tmp_path / "data" / "b" / "1.parquet", "b")
    real = os.scandir

    def refusing(path: object) -> object:  # root reads everything
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match="/b: Permission denied"):
        read_stats(tmp_path)


def test_plot_is_a_picture_of_every_subset(tmp_path: Path) -> None:
    for name in "abcd":
        write_rows(tmp_path / f"{name}.parquet", name)
    png, svg = draw_histograms(read_stats(tmp_path), tmp_path / "lengths.png")
    with Image.open(png) as image:
        assert image.width > 1500 and len(set(image.convert("L").tobytes())) > 50
    assert svg.read_text().count('<g id="axes_') == 5


def test_command_prints_a_table_or_json(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet")
    assert "toy" in lrs2m("stats", path).stdout
    found = json.loads(lrs2m("stats", path, "--json", "--paper").stdout)
    assert found["total"]["pairs"] == 3 and found["paper"]["total"]["pairs"] == 2_023_688


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    pq.write_table(pa.table({"caption_long": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="no column 'subset'; it has caption_long"):
        read_stats(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such folder"), (b"", "no Parquet files"), (b"junk", "a.parquet")]
)
def test_what_cannot_be_read_is_one_line_and_exit_code_2(tmp_path: Path, content: bytes | None, said: str) -> None:
    folder = tmp_path / "data set"
    if content is not None:
        folder.mkdir()
    if content:
        (folder / "a.parquet").write_bytes(content)
    result = lrs2m("stats", folder)
    assert result.returncode == 2 and said in result.stderr and result.stderr.count("\n") == 1


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(200) + content[204:])
    result = lrs2m("stats", path)
    assert result.returncode == 2 and str(path) in result.stderr and result.stderr.count("\n") == 1


def test_rejections_of_several_builds_in_one_folder_are_counted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_toy(make_source(tmp_path / name, 10, missing=[1]), tmp_path / "out" / name)
    stats = read_stats(tmp_path / "out").total
    assert stats.rejections["image_missing"] == 2
    assert stats.pairs + sum(stats.rejections.values()) == 20
