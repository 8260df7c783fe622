"""Which rows a training uses and how often: caps, temperature, the best by a score; and its card says so."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.publish_model import publish_model
from lrs2m_builder.train.index import Best, RowIndex, read_index
from lrs2m_builder.train.mixture import Order, parts_of
from lrs2m_builder.train.plan import make_plan
from tests.clip_toy import make_rows, write_table
from tests.in_process import lrs2m
from tests.test_clip_data import toy_index
from tests.test_scores import data_set
from tests.test_scores_where import score

ORDER = Order(seed=0, batch_size=4, pool_rows=32, weights={})
BOTH = ("caption_long", "caption_short")


@pytest.fixture(scope="module")
def uneven() -> RowIndex:
    """400 rows, 300 of subset a and 100 of b."""
    is_b = (np.arange(400) % 4 == 0).astype(np.int32)
    return dataclasses.replace(toy_index(400), subset_R=is_b, subsets=("a", "b"))


def uses(index: RowIndex, order: Order, epochs: int = 1) -> Counter[str]:
    """How often the plans of some epochs use each subset."""
    rows = np.concatenate([make_plan(index, order, epoch, 0, 1).rows.ravel() for epoch in range(epochs)])
    return Counter(index.subsets[number] for number in index.subset_R[rows])


def test_a_temperature_draws_subsets_by_the_root_of_their_size(uneven: RowIndex) -> None:
    order = dataclasses.replace(ORDER, temperature=2.0)
    share = 300**0.5 / (300**0.5 + 100**0.5)
    parts = parts_of(uneven, order)
    assert [part.uses for part in parts] == pytest.approx([400 * share, 400 * (1 - share)])
    found = uses(uneven, order, epochs=20)
    assert found["a"] / found.total() == pytest.approx(share, abs=0.02) and found.total() == pytest.approx(8000, 0.02)


def test_a_temperature_of_one_changes_nothing(uneven: RowIndex) -> None:
    plans = [make_plan(uneven, dataclasses.replace(ORDER, temperature=t), 0, 0, 1).rows for t in (None, 1.0)]
    assert np.array_equal(*plans)


def test_no_subset_has_more_rows_than_the_cap(uneven: RowIndex) -> None:
    order = dataclasses.replace(ORDER, subset_cap=120)
    rows = make_plan(uneven, order, 0, 0, 1).rows
    assert uses(uneven, order) == {"a": 120, "b": 100}
    assert set(make_plan(uneven, order, 1, 0, 1).rows.ravel()) == set(rows.ravel())  # the same rows in each epoch
    other = make_plan(uneven, dataclasses.replace(order, seed=1), 0, 0, 1).rows
    assert set(other.ravel()) != set(rows.ravel())


def test_a_weight_a_cap_and_a_temperature_multiply(uneven: RowIndex) -> None:
    order = dataclasses.replace(ORDER, subset_cap=100, temperature=5.0, weights={"a": 2.0})
    a, b = parts_of(uneven, order)
    assert (a.rows, a.of, a.uses) == (100, 300, 200.0) and (b.rows, b.of, b.uses) == (100, 100, 100.0)


def trained_rows(paths: list[Path], best: Best, where: str | None = None) -> tuple[list[bool], list[str]]:
    said: list[str] = []
    index = read_index(paths, BOTH, where, best, say=said.append)
    return [bool(tokens) for tokens in index.num_tokens_R], said


def test_the_best_are_those_with_the_largest_scores_of_all_data_together(tmp_path: Path) -> None:
    """Each of the two folders has the scores 0.3, 0.4 and 0.5 for its rows with texts, the second one none for 0.5."""
    paths = [score(data_set(tmp_path / "one")), score(data_set(tmp_path / "two"), r5=False)]
    rows, said = trained_rows(paths, Best(0.8, "clip_long_rank"))
    assert rows == [False, False, False, True, True, True, *[False] * 4, True, False]  # of equal ones the first
    assert said[-2:] == [
        "1 of 6 rows have no clip_long_rank and are not trained on",
        "trained on the 4 rows with clip_long_rank of at least 0.3",
    ]


def test_the_best_may_be_of_rows_that_meet_a_condition_and_by_an_expression(tmp_path: Path) -> None:
    path = score(data_set(tmp_path))
    rows, _ = trained_rows([path], Best(0.5, "-clip_long_rank"), "clip_long_rank > 0.15")
    assert rows == [False, False, False, True, True, False]
    with pytest.raises(UserError, match="none of 3 rows has a value"):
        trained_rows([path], Best(0.5, "CASE WHEN clip_long_rank > 7 THEN 1 END"))
    with pytest.raises(UserError, match=r"--by 'clip_long': .*; the columns are .*, and of scores clip_long_rank"):
        trained_rows([path], Best(0.5, "clip_long"))
    with pytest.raises(UserError, match=r"--by 'clip_long_rank, 1'"):
        trained_rows([path], Best(0.5, "clip_long_rank, 1"))


def test_a_condition_may_rank_the_rows_by_itself(tmp_path: Path) -> None:
    index = read_index([score(data_set(tmp_path))], BOTH, "percent_rank() OVER (ORDER BY clip_long_rank DESC) < 0.3")
    assert [bool(tokens) for tokens in index.num_tokens_R] == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--best", "0.3"), "best and best_by go together: the share, and the score (--best 0.3 --by verify_long_min)"),
        (("--by", "verify_long_min"), "best and best_by go together"),
        (("--best", "30", "--by", "a"), "invalid settings: best: Input should be less than or equal to 1"),
        (("--set", "temperature=0.5"), "invalid settings: temperature: Input should be greater than or equal to 1"),
        (("--set", "subset_cap=0"), "invalid settings: subset_cap"),
    ],
)
def test_a_bad_mixture_is_one_line(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in lrs2m("train", tmp_path, "--config", "tiny", *options, "--out", tmp_path / "run").error


def test_the_card_of_a_run_says_what_it_was_trained_on(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rows = [row | {"sample_id": str(number), "license": ""} for number, row in enumerate(make_rows(24))]
    for row in rows[:8]:
        row["subset"] = "few"
    write_table(tmp_path / "data.parquet", rows)
    sets = [word for value in ("max_steps=1", "subset_cap=8", "batch_size=4") for word in ("--set", value)]
    chosen = ("--where", "caption_short NOT LIKE '%number 0.'", "--best", "0.9", "--by", "length(caption_long)")
    run = lrs2m("train", tmp_path / "data.parquet", "--config", "tiny", *sets, *chosen, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert "trained on the 21 rows with length(caption_long) of at least " in run.err
    written = json.loads((tmp_path / "run" / "config.json").read_text())["trained_on"]
    few, toy = written
    assert (few["name"], few["of"], toy["of"]) == ("few", 8, 16) and few["rows"] <= 7 and toy["rows"] == 8
    publish_model(tmp_path / "run", "me/clip", dest=tmp_path / "tree", dry_run=True)
    card = (tmp_path / "tree" / "README.md").read_text()
    assert f"| few | {few['rows']} | 8 | {few['rows']} |\n| toy | 8 | 16 | 8 |" in card
    assert "| only the best | 90 % by `length(caption_long)` |" in card and "NOT LIKE '%number 0.'" in card
