"""Every check agrees with careful readers on the texts they labelled for it (tests/cases/README.md)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks._labelled import CASES, Case, judge, load_cases, make_case, shipped_checks

FILES = sorted(CASES.glob("*.jsonl"))
LEAST = 0.95
NAMES = [path.stem for path in FILES]


@pytest.fixture(scope="module", params=FILES, ids=NAMES)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def cases(path: Path) -> list[Case]:
    return load_cases(path)


def test_a_check_finds_what_a_reader_finds(path: Path, cases: list[Case]) -> None:
    score = judge(shipped_checks()[path.stem], cases)
    assert score.recall >= LEAST, [case.answer.text for case in score.missed]


def test_a_check_finds_only_what_a_reader_finds(path: Path, cases: list[Case]) -> None:
    score = judge(shipped_checks()[path.stem], cases)
    assert score.precision >= LEAST, [(case.answer.text, finding) for case, finding in score.false_alarms]


def test_a_check_is_judged_on_enough_cases_of_both_kinds(cases: list[Case]) -> None:
    assert min(Counter(case.bad for case in cases)[bad] for bad in (True, False)) >= 20


def test_no_case_is_there_twice_and_each_has_a_reason(cases: list[Case]) -> None:
    def key(case: Case) -> tuple[object, ...]:
        answer = case.answer
        return answer.text.lower(), answer.raw, answer.source, answer.sample, answer.viewpoint, answer.finish_reason

    assert not [key for key, count in Counter(map(key, cases)).items() if count > 1]
    assert all(case.why for case in cases)


def test_every_shipped_check_has_cases_and_every_file_a_check() -> None:
    assert shipped_checks().keys() == set(NAMES)


def test_a_misspelt_key_of_a_case_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown key 'anchor'"):
        make_case({"bad": True, "text": "A plane.", "why": "typo", "anchor": {"plane": 5}})
