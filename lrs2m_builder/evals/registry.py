"""The registered evaluations, in the order of the paper's tables: the modules of `evals/members/`."""

from __future__ import annotations

import importlib
from functools import cache

from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.evals import members
from lrs2m_builder.evals.record import Evaluation
from lrs2m_builder.files import member_names


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


def _order(evaluation: Evaluation) -> tuple[bool, str, str]:
    row = evaluation.main_row
    return row is None, row.table if row else "", evaluation.name
