"""Commands that are killed, or whose disk fails, at operations chosen by chance: the next run finishes the same folder.

`make crash-lab` tries all operations; these are a few of each command, always the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.shim import compiler
from tests.toy import ROOT

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler: the laboratory's library cannot be made")
POINTS = "5"  # of each command


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What came of each point."""
    return explored(tmp_path_factory.mktemp("lab"), "--fast", "--sample", POINTS)


def explored(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """The outcomes of a run of the laboratory."""
    command = [sys.executable, "-m", "tests.crash", "--jobs", "2", "--json", str(folder / "found.json"), *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode in {0, 1}, ended.stderr
    found: list[dict[str, Any]] = json.loads((folder / "found.json").read_text())
    return found


def faults(outcomes: list[dict[str, Any]], *kinds: str) -> list[str]:
    """The faults of these kinds, each with its place."""
    return [
        f"{outcome['scenario']}, {outcome['mode']} at {outcome['at']} ({outcome['where']}): {fault}"
        for outcome in outcomes
        for fault in outcome["faults"]
        if fault.startswith(kinds)
    ]


def test_every_killed_command_is_finished_by_the_next_run(outcomes: list[dict[str, Any]]) -> None:
    assert not faults(outcomes, "never finishable", "needed", "hang", "ended with")


def test_no_row_is_lost_or_doubled_by_a_kill(outcomes: list[dict[str, Any]]) -> None:
    assert not faults(outcomes, "rows lost", "rows doubled")


def test_the_files_after_a_kill_are_those_of_a_run_never_killed(outcomes: list[dict[str, Any]]) -> None:
    assert not faults(outcomes, "differs", "missing")


def test_nothing_half_written_is_left_over(outcomes: list[dict[str, Any]]) -> None:
    assert not faults(outcomes, "left over")


def test_no_kept_answer_is_asked_for_again(outcomes: list[dict[str, Any]]) -> None:
    assert not faults(outcomes, "asked twice")


def test_a_full_or_failing_disk_is_said_in_one_line(outcomes: list[dict[str, Any]]) -> None:
    assert not [fault for fault in faults(outcomes, "") if "disk error" in fault]


def test_the_laboratory_kills_every_command_that_it_names(outcomes: list[dict[str, Any]]) -> None:
    struck = {outcome["scenario"] for outcome in outcomes if outcome["struck"]}
    assert struck >= {outcome["scenario"] for outcome in outcomes} and len(struck) > 20


@pytest.fixture(scope="module")
def found_planted(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the laboratory finds in commands with a fault on purpose."""
    return explored(tmp_path_factory.mktemp("planted"), "--fast", "--planted")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("written in place", "differs"),
        ("a part left behind", "left over"),
        ("two files that are one state", "never finishable"),
        ("a traceback at a full disk", "exit 1 at a disk error"),
        ("renamed before it is on the disk", "differs"),
    ],
)
def test_the_laboratory_finds_a_planted_fault(found_planted: list[dict[str, Any]], name: str, fault: str) -> None:
    assert faults([outcome for outcome in found_planted if outcome["scenario"] == f"planted: {name}"], fault)


def test_writes_of_arrow_and_of_child_processes_are_seen(found_planted: list[dict[str, Any]]) -> None:
    places = {outcome["where"] for outcome in found_planted if outcome["scenario"] == "planted: arrow and a child"}
    assert {"before table.parquet", "before child.txt"} <= places
