"""The paper's scale: the commands that train on LRS2M and evaluate on the paper's sets, printed or run."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.registry import find_evaluation, paper_tests
from lrs2m_builder.evals.results import read_results
from lrs2m_builder.experiments.registry import Experiment, Variant
from lrs2m_builder.terminal import say
from lrs2m_builder.train.config import changed
from lrs2m_builder.train.named_configs import CONFIGS, PAPER_PROCESSES, paper_b16

SETS = {name: find_evaluation(name).sets for name in paper_tests()}  # by test, as the paper names them
LARGEST_PART = paper_b16().batch_size  # pairs that go through the towers at once


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where the paper scale reads from and writes to.

    Attributes:
        benchmarks: a folder with rsitmd_l and rsicd_l (builds), rsitmd and rsicd (the sources' folders) and
            selo_air_slt; a set of zic without a folder of its name (resisc45 ...) comes from the Hub.
        processes: GPUs to train on; their total batch is always the paper's.
    """

    data: tuple[Path, ...]
    benchmarks: Path
    out_dir: Path
    processes: int = 8


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of `lrs2m`, and its output.

    Attributes:
        makes: the folder of the model or the results that it writes.
        result: evaluation and set of the result that it adds to the folder.
    """

    words: tuple[str, ...]
    makes: Path
    result: tuple[str, str] | None = None
    processes: int = 1

    @property
    def line(self) -> str:
        """The command as it is typed."""
        start = ["lrs2m"]
        if self.processes > 1:
            start = ["torchrun", f"--nproc-per-node={self.processes}", "-m", "lrs2m_builder.cli"]
        return shlex.join((*start, *self.words))

    @property
    def is_done(self) -> bool:
        """Whether its output is complete."""
        if self.result is None or not self.makes.is_dir():
            return self.makes.is_dir()
        return any((each.evaluation, each.dataset) == self.result for each in read_results(self.makes))


def used_sets(experiment: Experiment, test: str) -> tuple[str, ...]:
    """The sets of a test: all of them in the test's own table, fewer in ablations."""
    evaluation = find_evaluation(test)
    return evaluation.sets[: evaluation.ablation_sets] if len(experiment.tests) > 1 else evaluation.sets


def make_commands(experiment: Experiment, inputs: Inputs, seeds: int = 1) -> list[Command]:
    """The commands of an experiment in the order to run them."""
    return [
        command
        for variant in experiment.variants
        for seed in range(seeds if variant.config else 1)
        for command in _of_variant(experiment, variant, seed, inputs)
    ]


def run_commands(commands: Sequence[Command]) -> None:
    """Run the commands that are not done yet, one after the other.

    Raises:
        UserError: a command failed; the finished ones are not repeated in the next run.
    """
    for number, command in enumerate(commands, start=1):
        if command.is_done:
            continue
        say(f"[{number}/{len(commands)}] {command.line}")
        launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={command.processes}"] * (command.processes > 1)
        process = subprocess.Popen([sys.executable, *launcher, "-m", "lrs2m_builder.cli", *command.words])
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.wait()  # it got the signal too: a training writes its checkpoint
            raise
        if code in {130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP}:
            raise KeyboardInterrupt
        if code:
            raise UserError(f"this command ended with {code}: {command.line}; fix it and run the experiment again")


def _of_variant(experiment: Experiment, variant: Variant, seed: int, inputs: Inputs) -> Iterator[Command]:
    name = variant.run_name("paper", seed)
    model = variant.model
    if variant.config:
        run_dir = inputs.out_dir / "runs" / name
        model = str(run_dir)
        data = map(str, inputs.data)
        set_seed = ("--set", f"seed={seed}") if seed else ()
        batch = _batch_words(variant.config, inputs.processes)
        words = ("train", *data, "--config", variant.config, *batch, *set_seed, "--out", str(run_dir))
        yield Command(words, run_dir / "model", processes=inputs.processes)
    results_dir = inputs.out_dir / "results" / name
    for test in experiment.tests:
        evaluation = find_evaluation(test)
        for dataset in used_sets(experiment, test):
            words = ("eval", test, *evaluation.paper_data(dataset, inputs.benchmarks), "--model", model)
            words += ("--name", dataset, "--out", str(results_dir))
            if evaluation.searches_leaks:
                words += ("--allow-leak", "--leak-cache", str(inputs.out_dir / "training-images"))
            yield Command(words, results_dir, (test, dataset))


def _batch_words(config: str, processes: int) -> tuple[str, ...]:
    """Settings that keep the paper's batch on another number of processes.

    Raises:
        UserError: the batch cannot be divided among them.
    """
    each = CONFIGS[config]().batch_size
    total = each * PAPER_PROCESSES
    if processes == PAPER_PROCESSES:
        return ()
    if total % processes or total == processes:
        fitting = [str(count) for count in range(1, total) if total % count == 0 and count <= 2 * PAPER_PROCESSES]
        raise UserError(
            f"--processes {processes}: {config} has a batch of {total} pairs, which {processes} processes cannot share "
            f"evenly; take {', '.join(fitting)}"
        )
    settings = {"batch_size": total // processes}
    if settings["batch_size"] > LARGEST_PART:
        settings["micro_batch"] = LARGEST_PART  # needs no more memory than with the paper's number
    try:
        changed(CONFIGS[config](), settings)
    except UserError as error:
        raise UserError(f"--processes {processes}: {config}: {error}; take fewer") from error
    return tuple(word for name, value in settings.items() for word in ("--set", f"{name}={value}"))
