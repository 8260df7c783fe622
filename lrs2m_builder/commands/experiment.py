"""`lrs2m experiment list` and `lrs2m experiment run`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.commands.complete import experiments
from lrs2m_builder.commands.help import make_group
from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.terminal import show

FILTERING = "filtering"


def list_command(as_json_: Json = False) -> None:
    """List the experiments.

    Shows the title of each, what it varies, and its variants.

    Example:
        lrs2m experiment list
    """
    from lrs2m_builder.experiments.registry import EXPERIMENTS

    if as_json_:
        print_json({name: asdict(experiment) for name, experiment in EXPERIMENTS.items()})
        return
    show(f"{FILTERING:<10}  Training on filtered texts (tiny scale; not the paper's, and not in 'all')")
    for name, experiment in EXPERIMENTS.items():
        show(f"{name:<10}  {experiment.title}")
        show(f"{'':<10}  {experiment.varies}: {', '.join(variant.label for variant in experiment.variants)}")


def run_command(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            autocompletion=experiments,
            help="Experiments (lrs2m experiment list), or 'all'; 'filtering' is run by itself.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of trainings, results, tables and plots. A stopped run resumes."),
    ],
    scale: Annotated[
        Literal["tiny", "paper"],
        typer.Option(
            metavar="tiny|paper", help="Drawn scenes and small models on a CPU, or LRS2M and the paper's benchmarks."
        ),
    ] = "tiny",
    data: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Scale paper: build of LRS2M to train on.")
    ] = None,
    benchmarks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Scale paper: folder of the evaluation sets.")
    ] = None,
    processes: Annotated[int, typer.Option(metavar="N", min=1, help="Scale paper: number of GPUs to train on.")] = 8,
    seeds: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Trainings per variant, each with its own seed; tables show mean, lowest and highest.",
        ),
    ] = 1,
    scenes: Annotated[
        int | None,
        typer.Option(metavar="N", min=80, help="filtering: number of scenes whose texts are filtered (800)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Scale paper: print the commands without running them.")
    ] = False,
    as_json_: Json = False,
) -> None:
    """Train, evaluate and compare variants.

    Writes one table per experiment with the paper's numbers beside, and plots for figures. Experiments that share
    trainings train once. Run the same command again to resume after a stop.

    Example:
        lrs2m experiment run table_vii table_viii figure_10 --out tables
        lrs2m experiment run filtering --seeds 3 --out filtered
        lrs2m experiment run all --scale paper --data LRS2M --benchmarks sets --out tables
    """
    if FILTERING in names:
        if len(names) > 1 or scale == "paper" or dry_run or data or benchmarks:
            raise UserError(
                f"{FILTERING} draws its data at the tiny scale and is run by itself, in a folder of its own"
            )
        _run_filtering(out, seeds, scenes, as_json_)
        return
    if scenes is not None:
        raise UserError(f"--scenes is for {FILTERING} alone")
    from lrs2m_builder.experiments.full import Inputs
    from lrs2m_builder.experiments.registry import EXPERIMENTS, find_experiment
    from lrs2m_builder.experiments.run import paper_commands, run_paper, run_tiny
    from lrs2m_builder.experiments.table import as_json, markdown
    from lrs2m_builder.stores.outputs import own_folder

    chosen = list(EXPERIMENTS.values()) if names == ["all"] else [find_experiment(name) for name in names]
    if scale == "paper":
        if not (dry_run or (data and benchmarks)):
            raise UserError("--scale paper needs --data and --benchmarks; only --dry-run works without them")
        inputs = Inputs(tuple(data or (Path("LRS2M"),)), benchmarks or Path("BENCHMARKS"), out, processes)
        if dry_run:
            lines = [command.line for command in paper_commands(chosen, inputs, seeds=seeds)]
            print_json({"commands": lines}) if as_json_ else show("\n".join(lines))
            return
        with own_folder(out, "experiment run"):
            tables = run_paper(chosen, inputs, seeds=seeds)
    else:
        if dry_run or data or benchmarks:
            raise UserError("--dry-run, --data and --benchmarks need --scale paper: the tiny scale draws its data")
        with own_folder(out, "experiment run"):
            tables = run_tiny(chosen, out, seeds=seeds)
    if as_json_:
        print_json({table.experiment.name: as_json(table) for table in tables})
        return
    show("\n".join(markdown(table) for table in tables))
    show(f"tables and figures: {out}")


def _run_filtering(out: Path, seeds: int, scenes: int | None, as_json_: bool) -> None:
    """The experiment on filtering, in a folder of its own."""
    try:
        from lrs2m_builder.experiments.filtering import FilteringSize, run_filtering
    except ImportError as error:
        raise MissingExtraError("lrs2m experiment", "eval", error) from error
    from lrs2m_builder.experiments.filtering_report import as_json, markdown
    from lrs2m_builder.stores.outputs import own_folder

    with own_folder(out, "experiment run"):
        report = run_filtering(out, seeds=seeds, size=FilteringSize(pairs=scenes) if scenes else None)
    if as_json_:
        print_json(as_json(report))
        return
    show(markdown(report))
    show(f"table and figure: {out}")


experiment_app = make_group(
    """Rerun the paper's tables and figures.

    Tables II to IX and figures 7 to 10, at a tiny scale on a CPU or at the paper's scale on GPUs. Needs the extra
    'eval'. Details: docs/experiments.md.

    Example:
        lrs2m experiment run table_vii --out tables
    """,
    {"list": lambda: list_command, "run": lambda: run_command},
)
