"""Finds what a path holds for the evaluations, so that `lrs2m eval all` needs no more than paths."""

from __future__ import annotations

from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.record import Test
from lrs2m_builder.evals.registry import evaluations
from lrs2m_builder.files import is_hidden


def find_tests(given: str) -> list[Test]:
    """The tests that a path or name has data for, with those of the folders in it.

    A guess counts only if nothing else is found there: a folder of data sets looks like a folder of classes too.

    Raises:
        UserError: there are none, or no such path.
    """
    path = Path(given).expanduser()
    tests, guesses = _ask(str(path) if path.exists() else given)
    if path.is_dir() and not any(test.data == str(path) for test in tests):
        used = {Path(test.data).parent for test in tests}
        used |= {value for test in tests for value in test.options.values() if isinstance(value, Path)}
        for folder in sorted(folder for folder in path.iterdir() if folder.is_dir() and not is_hidden(folder.name)):
            if folder not in used:
                inside, guesses_inside = _ask(str(folder))
                tests += inside or guesses_inside
    tests = tests or guesses
    if not tests:
        trouble = "nothing to evaluate on" if path.exists() else "no such file or folder"
        kinds = ", ".join(dict.fromkeys(each.data for each in evaluations().values() if each.data))
        raise UserError(f"{given}: {trouble}; give {kinds}, or a folder of these")
    return tests


def _ask(data: str) -> tuple[list[Test], list[Test]]:
    """What the evaluations find in a path itself: data, and guesses."""
    found = [test for evaluation in evaluations().values() for test in evaluation.find(data)]
    return [test for test in found if not test.is_guess], [test for test in found if test.is_guess]
