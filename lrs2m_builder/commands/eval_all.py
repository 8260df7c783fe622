"""`lrs2m eval all`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands.eval import (
    AllowLeak,
    ContextLength,
    Device,
    Model,
    Revision,
    TrainedOn,
    Workers,
    make_run,
    needing_extra,
    show_result,
)
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.members._options import Seed
from lrs2m_builder.evals.record import Test
from lrs2m_builder.evals.registry import evaluations, find_tests
from lrs2m_builder.terminal import say, show


def all_command(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA", help="Data sets, or folders of them; the test is inferred from the files (docs/eval.md)."
        ),
    ],
    model: Model,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the report, the results (JSON) and the pictures.")
    ],
    trained_on: TrainedOn = None,
    allow_leak: AllowLeak = False,
    context_length: ContextLength = None,
    device: Device = None,
    revision: Revision = None,
    workers: Workers = None,
    seed: Seed = 0,
) -> None:
    """Run every test that fits the data.

    Writes one report (report.html and report.json) with the paper's rows beside the results, and the pictures.

    Example:
        lrs2m eval all RSITMD-L dataset_RSITMD.json eurosat --model run --out report
    """
    run = make_run(
        model,
        out,
        {"context_length": context_length, "device": device, "revision": revision},
        trained_on=trained_on or (),
        allow_leak=allow_leak,
        workers=workers,
        for_report=True,
    )
    with needing_extra():
        from lrs2m_builder.evals.report import write_report
        from lrs2m_builder.evals.run import evaluate

        results, pictures = [], {}
        for test in _find(data, seed):
            say(f"{test.evaluation} on {test.name}: {test.data}")
            result, drawn = evaluate(test, run)
            show_result(result)
            show("\n".join(f"{title}: {path}" for title, path in drawn))
            results.append(result)
            pictures[test.evaluation, test.name] = drawn
    page, as_json = write_report(results, out, pictures=pictures)
    show(f"{page}\n{as_json}")


def _find(data: Sequence[str], seed: int) -> list[Test]:
    """The tests of all data, each with the seed if its evaluation has one."""
    tests = [test for path in data for test in find_tests(path)]
    names = [(test.evaluation, test.name) for test in tests]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(
            f"two data sets for {twice[0]} are named {twice[1]}; evaluate each with its own --name and --out"
        )
    has_seed = {name for name, each in evaluations().items() if any(option.name == "seed" for option in each.options)}
    return [
        replace(test, options={**test.options, "seed": seed}) if test.evaluation in has_seed else test for test in tests
    ]
