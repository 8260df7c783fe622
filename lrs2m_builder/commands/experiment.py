"""`lrs2m experiment list` and `lrs2m experiment run`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import show

experiment_app = typer.Typer(help="Rerun the paper's tables II to IX and figures 7 to 10.", rich_markup_mode=None)


def list_command(as_json_: Json = False) -> None:
    """List the experiments: what each varies, and what it trains and evaluates."""
    from lrs2m_builder.experiments.registry import EXPERIMENTS

    if as_json_:
        print_json({name: asdict(each) for name, each in EXPERIMENTS.items()})
        return
    for name, each in EXPERIMENTS.items():
        show(f"{name:<10}  {each.title}")
        show(f"{'':<10}  {each.varies}: {', '.join(variant.label for variant in each.variants)}")


def run_command(
    names: Annotated[list[str], typer.Argument(help="Experiments (`lrs2m experiment list`); all for every one.")],
    out: Annotated[Path, typer.Option(help="Folder of trainings, results and tables; a stopped run there goes on.")],
    scale: Annotated[
        str, typer.Option(help="tiny: drawn scenes and small models on a CPU; paper: LRS2M and the paper's sets.")
    ] = "tiny",
    data: Annotated[list[Path] | None, typer.Option(help="paper: builds of LRS2M to train on; repeatable.")] = None,
    benchmarks: Annotated[Path | None, typer.Option(help="paper: folder of the evaluation sets.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="paper: GPUs to train on.")] = 8,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each variant, from as many seeds.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="paper: print the commands and run none.")] = False,
    as_json_: Json = False,
) -> None:
    """Train, evaluate, and put the results in a table beside the paper's."""
    from lrs2m_builder.experiments.full import Inputs
    from lrs2m_builder.experiments.registry import EXPERIMENTS, find_experiment
    from lrs2m_builder.experiments.run import paper_commands, run_paper, run_tiny
    from lrs2m_builder.experiments.table import as_json, markdown
    from lrs2m_builder.stores.outputs import own_folder

    experiments = list(EXPERIMENTS.values()) if names == ["all"] else [find_experiment(name) for name in names]
    if scale == "paper":
        if not (dry_run or (data and benchmarks)):
            raise UserError("--scale paper needs --data and --benchmarks; --dry-run prints the commands without")
        inputs = Inputs(tuple(data or (Path("LRS2M"),)), benchmarks or Path("BENCHMARKS"), out, processes)
        if dry_run:
            lines = [command.line for command in paper_commands(experiments, inputs, seeds=seeds)]
            print_json({"commands": lines}) if as_json_ else show("\n".join(lines))
            return
        with own_folder(out, "experiment run"):
            tables = run_paper(experiments, inputs, seeds=seeds)
    elif scale == "tiny":
        if dry_run or data or benchmarks:
            raise UserError("--dry-run, --data and --benchmarks are for --scale paper: the tiny scale draws its data")
        with own_folder(out, "experiment run"):
            tables = run_tiny(experiments, out, seeds=seeds)
    else:
        raise UserError(f"--scale {scale}: write tiny or paper")
    if as_json_:
        print_json({table.experiment.name: as_json(table) for table in tables})
        return
    show("\n".join(markdown(table) for table in tables))
    show(f"tables and figures: {out}")
