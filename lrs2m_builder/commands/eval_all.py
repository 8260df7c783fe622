"""`lrs2m eval all`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.commands.eval import (
    AllowLeak,
    ContextLength,
    Device,
    Model,
    Revision,
    Seed,
    TrainedOn,
    Workers,
    own_results,
)
from lrs2m_builder.commands.eval_classes import zic_command
from lrs2m_builder.commands.eval_figures import figure1_command, figure3_command
from lrs2m_builder.commands.eval_retrieval import zcrl_command, zcrs_command
from lrs2m_builder.commands.eval_selo import selo_command
from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.evals.record import Result

NUM_MAPS = 4  # maps of the localization test in the report
Pictures = dict[tuple[str, str], list[tuple[str, Path]]]


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
    from lrs2m_builder.evals.results import read_results

    try:
        from lrs2m_builder.evals.detect import find_tests
        from lrs2m_builder.evals.report import write_report
    except ImportError as error:
        raise MissingExtraError("lrs2m eval", "eval", error) from error
    own_results(out)
    tests = [test for path in data for test in find_tests(path)]
    names = [(test.evaluation, test.name) for test in tests]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(
            f"two data sets for {twice[0]} are named {twice[1]}; evaluate each with its own --name and --out"
        )
    shared: dict[str, Any] = {"model": model, "context_length": context_length, "device": device, "revision": revision}
    guard: dict[str, Any] = {"trained_on": trained_on, "allow_leak": allow_leak, "seed": seed}
    pictures: Pictures = {}
    for test in tests:
        say(f"{test.evaluation} on {test.name}: {test.data}")
        asked = shared | {"name": test.name, "out": out, "workers": workers}
        texts: dict[str, Any] = {"images": test.images, "text_column": test.text_column}
        place = out / f"figure1_{test.evaluation}_{test.name}.png"
        match test.evaluation:
            case "zcrl":
                zcrl_command(test.data, by_length=True, **texts, **asked, **guard)
            case "zcrs":
                zcrs_command(test.data, **texts, **asked, **guard)
            case "zic":
                zic_command(test.data, classes=test.classes, **asked, **guard)
            case "selo":
                selo_command(Path(test.data), images=test.images, **asked)
        if test.evaluation in {"zcrl", "zcrs"}:
            figure1_command(test.data, out=place, **texts, **shared)
            pictures[test.evaluation, test.name] = [("Figure 1: retrieved images and texts", place)]
    results = [
        result
        for result in read_results(out)
        if result.model == model and (result.evaluation, result.dataset) in set(names)
    ]
    for result in results:
        pictures.setdefault((result.evaluation, result.dataset), []).extend(_pictures(result, out))
    page, as_json = write_report(results, out, pictures=pictures)
    show(f"{page}\n{as_json}")


def _pictures(result: Result, out: Path) -> list[tuple[str, Path]]:
    """The pictures of a test with their titles: confused classes, R@1 by text length, the first maps."""
    from lrs2m_builder.evals.results import result_name

    path = out / f"{result_name(result)}.png"
    if result.evaluation == "zic":
        return [("Confused classes", path)]
    if result.details.get("lengths"):
        place = out / f"figure3_{result.dataset}.png"
        figure3_command([path.with_suffix(".json")], out=place)
        return [("Figure 3: R@1 against the length of the text", place)]
    maps = sorted((out / "maps").glob("*.png"))[:NUM_MAPS] if result.evaluation == "selo" else []
    return [(f"Text {number} over its image", each) for number, each in enumerate(maps, start=1)]
