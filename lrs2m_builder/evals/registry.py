"""The registered evaluations, in the order of the paper's tables, and what each finds in a path.

They are the modules of `evals/members/`; `lrs2m eval all` needs no more than paths.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.evals import members
from lrs2m_builder.evals.record import Evaluation, Test
from lrs2m_builder.files import is_hidden, member_names


@cache
def evaluations() -> dict[str, Evaluation]:
    """Every evaluation by its name; those that the paper does not have come last."""
    modules = (importlib.import_module(f"{members.__name__}.{name}") for name in member_names(members.__path__))
    every: list[Evaluation] = [module.EVALUATION for module in modules]
    return {each.name: each for each in sorted(every, key=_order)}


def find_evaluation(name: str) -> Evaluation:
    """The evaluation of that name.

    Raises:
        UserError: there is none; the message lists the known names.
    """
    if name not in evaluations():
        raise UserError(f"no evaluation {name!r}{not_among(name, evaluations())}")
    return evaluations()[name]


def paper_tests() -> tuple[str, ...]:
    """Names of the evaluations that the paper has."""
    return tuple(name for name, each in evaluations().items() if each.main_row)


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


def _order(evaluation: Evaluation) -> tuple[bool, str, str]:
    row = evaluation.main_row
    return row is None, row.table if row else "", evaluation.name
