"""The experiment on filtering: false texts are false in one thing, and each filter trains on the rows that it says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from lrs2m_builder.experiments.filtering import FILTERS, FilteringSize, run_filtering
from lrs2m_builder.experiments.filtering_report import Filtered, Line, gain
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.false_texts import ERRORS, write_false_texts
from lrs2m_builder.sample.texts import write_texts
from tests.in_process import lrs2m

SMALL = FilteringSize(pairs=20, steps=1, start_epochs=1, batch_size=4, test_scenes=8)


def test_false_texts_differ_from_the_true_ones_and_all_kinds_of_error_are_made() -> None:
    random = np.random.default_rng(0)
    kinds = Counter()
    for index in range(60):
        scene = draw_scene(3, index)
        made = write_false_texts(scene, random)
        if made is None:
            continue
        kinds[made.error] += 1
        assert made.texts.long != write_texts(scene).long
        assert made.name in scene.counts
    assert set(kinds) == set(ERRORS) and kinds.total() > 50


def test_a_wrong_class_is_not_in_the_scene_and_takes_the_place_of_one_that_is() -> None:
    random = np.random.default_rng(1)
    for index in range(30):
        scene = draw_scene(4, index)
        made = write_false_texts(scene, random)
        if made is not None and made.error == "object":
            nouns = [name for name in ("plane", "ship", "storage tank", "greenhouse") if name not in scene.counts]
            true = write_texts(scene).long
            assert any(noun in made.texts.long for noun in nouns) or made.texts.long.split() != true.split()
            if made.name == "plane":
                assert "plane" not in made.texts.long


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Filtered]:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("filtering")
    return out, run_filtering(out, seeds=1, size=SMALL)


def test_each_filter_trains_on_the_rows_that_it_says(ran: tuple[Path, Filtered]) -> None:
    out, report = ran
    rows = {line.name: (line.rows, sum(line.false_rows.values())) for line in report.lines}
    assert list(rows) == [each.name for each in FILTERS]
    assert rows["all"] == (20, 6) and rows["truth"] == (14, 0)
    assert {rows[name][0] for name in ("random", "clip", "verify_min", "verify_mean")} == {14}
    assert rows["checks"][0] < 20 and rows["checks"][1] < 6
    for name, (number, _) in rows.items():
        written = json.loads((out / "runs" / f"{name}-seed0" / "config.json").read_text())["trained_on"]
        assert sum(part["rows"] for part in written) == number
    assert len({(out / "runs" / f"{name}-seed0" / "metrics.jsonl").read_text().count("\n") for name in rows}) == 1


def test_the_table_and_the_plot_are_written_and_a_second_run_measures_nothing_again(
    ran: tuple[Path, Filtered],
) -> None:
    out, report = ran
    assert (out / "filtering.png").stat().st_size > 10_000 and (out / "filtering.svg").is_file()
    table = (out / "filtering.md").read_text()
    assert "| the true ones | 14 | 0.0% (0, 0, 0) |" in table and "Percent, one seed" in table
    models = sorted(out.glob("runs/*/model/model.safetensors"))
    times = [path.stat().st_mtime_ns for path in models]
    again = run_filtering(out, seeds=1, size=SMALL)
    assert times == [path.stat().st_mtime_ns for path in models] and len(times) == len(FILTERS) + 1
    assert [line.rows for line in again.lines] == [line.rows for line in report.lines]


def test_a_gain_is_in_pairs_and_its_interval_covers_a_true_difference() -> None:
    random = np.random.default_rng(0)
    of_images = random.random(400)  # hard and easy images: shared, so they cancel in pairs
    base = [{"long": of_images + random.normal(0, 0.02, 400)} for _ in range(3)]
    better = [{"long": hits["long"] + 0.05 + random.normal(0, 0.02, 400)} for hits in base]
    lines = [Line(name, name, 1, {}, tuple(hits)) for name, hits in (("base", base), ("better", better))]
    found = gain(lines[1], lines[0], "long")
    assert found.low < 5 < found.high and found.high - found.low < 1.5


@pytest.mark.parametrize(
    "options",
    [
        ("filtering", "table_vi"),
        ("filtering", "--scale", "paper"),
        ("filtering", "--dry-run"),
        ("table_vi", "--scenes", "99"),
    ],
)
def test_filtering_is_run_by_itself(options: tuple[str, ...], tmp_path: Path) -> None:
    assert "filtering" in lrs2m("experiment", "run", *options, "--out", tmp_path / "out").error
