"""Every registered evaluation keeps the contract of `evals/record.py`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lrs2m_builder.evals.paper import load_paper
from lrs2m_builder.evals.record import Evaluation, Result
from lrs2m_builder.evals.registry import evaluations, paper_tests
from lrs2m_builder.evals.report import paper_rows, write_report
from tests.toy import ROOT

EVERY = pytest.mark.parametrize("evaluation", evaluations().values(), ids=list(evaluations()))


def toy_result(evaluation: Evaluation, dataset: str = "mine") -> Result:
    return Result(evaluation.name, dataset, "m", "sha256:0", dict.fromkeys(evaluation.metrics, 0.5), 10, 20)


@EVERY
def test_an_evaluation_is_called_as_its_file_and_sums_up_by_one_of_its_metrics(evaluation: Evaluation) -> None:
    assert (ROOT / "lrs2m_builder" / "evals" / "members" / f"{evaluation.name}.py").is_file()
    assert evaluation.head in evaluation.metrics
    assert set(evaluation.by_chance(10, 20)) in (set(), set(evaluation.metrics))


@EVERY
def test_an_evaluation_has_its_row_in_the_paper_and_its_sets(evaluation: Evaluation) -> None:
    main = evaluation.main_row
    assert main is not None
    assert main.column in load_paper().tables[main.table].row(main.row).values
    assert all(paper_rows(toy_result(evaluation, name), load_paper()) for name in evaluation.sets)
    assert all(evaluation.paper_data(name, Path("benchmarks")) for name in evaluation.sets)


@EVERY
def test_an_evaluation_has_a_section_in_the_report_and_in_the_docs(evaluation: Evaluation, tmp_path: Path) -> None:
    page, _ = write_report([toy_result(evaluation)], tmp_path, pictures={})
    assert f"{evaluation.title} ({evaluation.abbreviation})" in page.read_text(encoding="utf-8")
    assert f"lrs2m eval {evaluation.name}" in (ROOT / "docs" / "eval.md").read_text(encoding="utf-8")


def test_evaluations_come_in_the_order_of_the_papers_tables() -> None:
    assert tuple(evaluations()) == paper_tests() == ("zcrl", "zcrs", "zic", "selo")


def test_evaluations_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        evaluations()["zic"].name = "other"  # type: ignore[misc]
