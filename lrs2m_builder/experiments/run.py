"""Runs experiments at either scale and writes their tables and figures; finished work is not repeated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lrs2m_builder.errors import MissingExtraError
from lrs2m_builder.experiments.full import SETS, Command, Inputs, make_commands, run_commands, used_sets
from lrs2m_builder.experiments.plots import draw_figure
from lrs2m_builder.experiments.registry import START, Experiment, Size
from lrs2m_builder.experiments.table import Table, make_table, write_table

DEFAULT_SIZE = Size()


def run_paper(experiments: Sequence[Experiment], inputs: Inputs, *, seeds: int = 1) -> list[Table]:
    """Run the commands of experiments; write the table of each, and the plot of a figure, as soon as it is complete.

    Raises:
        UserError: a command failed.
    """
    tables = []
    for experiment in experiments:
        run_commands(make_commands(experiment, inputs, seeds))
        folders = {
            variant.label: [
                inputs.out_dir / "results" / variant.run_name("paper", seed)
                for seed in range(seeds if variant.config else 1)
            ]
            for variant in experiment.variants
        }
        sets = {test: used_sets(experiment, test) for test in SETS}
        tables.append(_write(make_table(experiment, "paper", folders, sets), inputs.out_dir))
    return tables


def paper_commands(experiments: Sequence[Experiment], inputs: Inputs, *, seeds: int = 1) -> list[Command]:
    """The commands of experiments, each once."""
    commands = [command for experiment in experiments for command in make_commands(experiment, inputs, seeds)]
    return list({command.words: command for command in commands}.values())


def run_tiny(
    experiments: Sequence[Experiment], out_dir: Path, *, seeds: int = 1, size: Size = DEFAULT_SIZE
) -> list[Table]:
    """Train and evaluate on drawn scenes; write the table of each experiment, and the plot of a figure.

    Args:
        size: how much is drawn and trained; the same for all runs in a folder.

    Raises:
        UserError: the folder cannot be written, or was made with other settings.
        Stopped, KeyboardInterrupt: by a signal; the same call resumes.
    """
    try:
        from lrs2m_builder.experiments import tiny
    except ImportError as error:
        raise MissingExtraError("lrs2m experiment", "eval", error) from error

    world = tiny.make_world(out_dir / "world", size)
    tables = []
    for experiment in experiments:
        folders: dict[str, list[Path]] = {}
        for variant in experiment.variants:
            if not variant.is_at("tiny"):
                continue
            for seed in range(1 if variant.tiny == START else seeds):
                model_dir = tiny.train_variant(variant, seed, world, out_dir / "runs", size)
                results_dir = out_dir / "results" / variant.run_name("tiny", seed)
                tiny.evaluate_model(model_dir, world, results_dir, experiment.tests)
                folders.setdefault(variant.label, []).append(results_dir)
        tables.append(_write(make_table(experiment, "tiny", folders, tiny.SETS), out_dir))
    return tables


def _write(table: Table, out_dir: Path) -> Table:
    write_table(table, out_dir)
    if table.experiment.is_figure:
        draw_figure(table, out_dir)
    return table
