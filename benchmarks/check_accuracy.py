"""Precision and recall of every check on texts labelled by people.

One row per file of cases (tests/cases/README.md): how many must be found and how many must not, and how the check
judged them. Ends with exit code 1 if a figure is below 0.95 or a file names no check.

    python benchmarks/check_accuracy.py [FOLDER ...] [--check NAME] [--misses]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _labelled import CASES, Score, judge, load_cases, shipped_checks

LEAST = 0.95


def print_misses(score: Score) -> None:
    for case in score.missed:
        print(f"    missed       {case.why}: {case.answer.text!r}")
    for case, finding in score.false_alarms:
        print(f"    false alarm  {case.why}: {case.answer.text!r}\n                 -> {finding}")


def print_row(path: Path, misses: bool) -> bool:
    """Judge the cases of one file; False if the check is not good enough or missing."""
    check = shipped_checks().get(path.stem)
    if check is None:
        print(f"{path.stem:20} no such check ({path})")
        return False
    score = judge(check, load_cases(path))
    print(f"{check.name:20} {score.num_bad:5} {score.num_good:7} {score.precision:10.3f} {score.recall:7.3f}")
    if misses:
        print_misses(score)
    return min(score.precision, score.recall) >= LEAST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="more folders of cases, beside tests/cases")
    parser.add_argument("--check", action="append", help="only this check (repeatable)")
    parser.add_argument("--misses", action="store_true", help="print the cases judged wrongly")
    arguments = parser.parse_args()
    good = True
    for folder in (CASES, *arguments.folders):
        print(f"{folder}\n{'check':20} {'cases':>5} {'against':>7} {'precision':>10} {'recall':>7}")
        for path in sorted(folder.glob("*.jsonl")):
            if not arguments.check or path.stem in arguments.check:
                good &= print_row(path, arguments.misses)
    sys.exit(0 if good else f"a check is below {LEAST} or missing")


if __name__ == "__main__":
    main()
