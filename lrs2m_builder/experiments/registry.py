"""What the experiments of the paper compare: trainings and published models, by name (experiments.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.evals.registry import paper_tests

Scale = Literal["tiny", "paper"]
LRSCLIP = "LRSCLIP"  # the paper's model, in the names of its rows
START = "start"  # the model that trainings of the tiny scale start from, as the paper's start from CLIP


@dataclass(frozen=True, slots=True)
class Variant:
    """A line of an experiment's table: a training, or a published model that is only evaluated.

    Attributes:
        label: what distinguishes it from the other lines; in a figure, its place along the axis.
        config: name of its training configuration (train/named_configs.py).
        model: short name of the published model.
        paper: names of the paper's rows for it, in the tables that have one.
        tiny: what replaces it at the tiny scale: settings of the training, START for that model without training, or
            None for nothing. By default the settings in which `config` differs from the paper's.
    """

    label: str
    config: str = ""
    model: str = ""
    paper: tuple[str, ...] = ()
    tiny: Mapping[str, object] | str | None = field(default_factory=dict)

    def run_name(self, scale: Scale, seed: int = 0) -> str:
        """Folder of its training and results; variants of the same settings share one."""
        if scale == "tiny" and self.tiny == START:
            return START
        return f"{self.config}-seed{seed}" if self.config and seed else self.config or self.model

    def is_at(self, scale: Scale) -> bool:
        """Whether it is run at a scale."""
        return scale == "paper" or self.tiny is not None


@dataclass(frozen=True, slots=True)
class Experiment:
    """A table or a figure of the paper.

    Attributes:
        varies: what the first column, or the axis, is.
    """

    name: str
    title: str
    varies: str
    variants: tuple[Variant, ...]
    tests: tuple[str, ...] = field(default_factory=paper_tests)

    @property
    def is_figure(self) -> bool:
        """Whether the paper shows it as a plot."""
        return self.name.startswith("figure")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is drawn and trained at the tiny scale.

    Attributes:
        pairs: number of pairs that the trainings of an experiment see.
        start_pairs: number of other pairs, for the starts.
        epochs, start_epochs: passes over them.
        max_steps: maximum steps per training.
        test_scenes: number of scenes that the models are evaluated on.
    """

    pairs: int = 2000
    start_pairs: int = 1000
    epochs: int = 1
    start_epochs: int = 12
    batch_size: int = 64
    max_steps: int | None = None
    test_scenes: int = 294


def find_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UserError: there is none; the message lists the known ones.
    """
    if name not in EXPERIMENTS:
        raise UserError(f"no experiment {name!r}{not_among(name, EXPERIMENTS)}")
    return EXPERIMENTS[name]


def _variant(row: Mapping[str, Any], *, is_in_table: bool) -> Variant:
    paper = row.get("paper", row["label"] if is_in_table else "")
    return Variant(
        label=row["label"],
        config=row.get("config", ""),
        model=row.get("model", ""),
        paper=(paper,) if paper else (),
        tiny=row.get("tiny", {} if "config" in row else None),
    )


def _experiment(name: str, content: Mapping[str, Any]) -> Experiment:
    variants = tuple(_variant(row, is_in_table=name.startswith("table")) for row in content["variants"])
    tests = tuple(content.get("tests", paper_tests()))
    return Experiment(name, content["title"], content["varies"], variants, tests)


def _read() -> dict[str, Experiment]:
    content = yaml.safe_load(Path(__file__).with_name("experiments.yaml").read_text(encoding="utf-8"))
    return {name: _experiment(name, facts) for name, facts in content.items()}


EXPERIMENTS = _read()
