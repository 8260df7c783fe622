"""Labelled cases of the checks: read, judged and counted (format: tests/cases/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lrs2m_builder import checks
from lrs2m_builder.checks import Answer, Check
from lrs2m_builder.schema import Anchor, Sample
from lrs2m_builder.tokenizer import count_tokens

SIZE = (90, 90)  # of the image of a case with boxes, in pixels
CASES = Path(__file__).parent.parent / "tests" / "cases"
KEYS = {"bad", "text", "why", "hints", "anchors", "boxes", "label", "source", "viewpoint", "raw", "finish_reason"}


@dataclass(frozen=True, slots=True)
class Case:
    """An answer, and whether the check must find something in it, according to a careful reader."""

    answer: Answer
    bad: bool
    why: str


@dataclass(frozen=True, slots=True)
class Score:
    """The results of a check on its cases; precision and recall are 1 if there is nothing to count."""

    num_bad: int
    num_good: int
    missed: tuple[Case, ...]
    false_alarms: tuple[tuple[Case, str], ...]

    @property
    def precision(self) -> float:
        hits = self.num_bad - len(self.missed)
        return hits / (hits + len(self.false_alarms)) if hits or self.false_alarms else 1.0

    @property
    def recall(self) -> float:
        return 1 - len(self.missed) / self.num_bad if self.num_bad else 1.0


@cache
def shipped_checks() -> dict[str, Check]:
    """Every check of the package by name; checks with parameters use those of the cases."""
    constants = [value for value in vars(checks).values() if isinstance(value, Check)]
    return {check.name: check for check in (*constants, checks.word_range(4, 20), checks.clip_budget(77))}


def make_case(row: dict[str, Any]) -> Case:
    """A case from its JSON object; ValueError for an unknown key."""
    if unknown := row.keys() - KEYS:
        raise ValueError(f"unknown key {min(unknown)!r}; known: {', '.join(sorted(KEYS))}")
    text = row["text"]
    sample = Sample(
        sample_id="toy/1.tif#0",
        subset="toy",
        image_name="1.tif",
        image_path=None,
        captions=tuple(row.get("hints", ())),
        anchors=(
            *(Anchor(name, count) for name, count in row.get("anchors", {}).items()),
            *(Anchor(name, len(boxes), tuple(map(tuple, boxes))) for name, boxes in row.get("boxes", {}).items()),
        ),
        label=row.get("label", ""),
        image_size=SIZE if "boxes" in row else None,
    )
    answer = Answer(
        text=text,
        raw=row.get("raw", text),
        finish_reason=row.get("finish_reason", "stop"),
        num_tokens=count_tokens(text),
        sample=sample,
        source=row.get("source", ""),
        viewpoint=row.get("viewpoint", "overhead"),
    )
    return Case(answer, row["bad"], row["why"])


def load_cases(path: Path) -> list[Case]:
    """The cases of a file, in order; ValueError gives the file and line of an invalid case."""
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").rstrip("\n").split("\n"), 1):
        try:
            cases.append(make_case(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: {error!r}") from error
    return cases


def judge(check: Check, cases: list[Case]) -> Score:
    """Run the check on every case."""
    findings = [(case, check.find(case.answer)) for case in cases]
    return Score(
        num_bad=sum(case.bad for case in cases),
        num_good=sum(not case.bad for case in cases),
        missed=tuple(case for case, finding in findings if case.bad and finding is None),
        false_alarms=tuple((case, finding) for case, finding in findings if not case.bad and finding is not None),
    )
