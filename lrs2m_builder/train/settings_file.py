"""Trainings that can be kept: the settings file of `lrs2m train FILE`, and --resume RUN from the run's config.json.

A key of a settings file is the name of an option of `lrs2m train`, with _ for -, or `data`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lrs2m_builder.declared.settings_file import dumped, write_settings
from lrs2m_builder.declared.yaml_mapping import invalid
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json
from lrs2m_builder.train.config import TrainConfig, changed
from lrs2m_builder.train.named_configs import config_named


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class TrainSettings(BaseModel):
    """The arguments and options of a training, by their names; those that are not given have their defaults.

    Attributes:
        settings: what `--set` changes; the key is `set`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Annotated[Names, Field(min_length=1)]
    out: str
    config: str = "paper_b16"
    start: str | None = None
    eval_data: Names = ()
    where: str | None = None
    best: float | None = None
    by: str | None = None
    wandb: bool = False
    settings: Annotated[dict[str, Any], Field(alias="set")] = {}

    def train_config(self) -> TrainConfig:
        """The training's configuration.

        Raises:
            UserError: an unknown name or key, or an invalid value.
        """
        given = {"start": self.start, "where": self.where, "best": self.best, "best_by": self.by}
        changes = {name: value for name, value in given.items() if value is not None}
        wandb = {"wandb": True} if self.wandb else {}
        return changed(config_named(self.config), {**self.settings, **changes, **wandb})


KEYS = tuple(field.alias or name for name, field in TrainSettings.model_fields.items())


def validated(keys: Mapping[str, Any], where: str) -> TrainSettings:
    """The settings, checked.

    Args:
        where: the file that they are of; empty for the command line.

    Raises:
        UserError: a key is unknown or missing, or a value is of the wrong kind.
    """
    if missing := [key for key in ("data", "out") if key not in keys]:
        if where:
            raise UserError(f"{where}: no {' and no '.join(missing)}; add it")
        options = " and ".join("DATA" if key == "data" else "--out" for key in missing)
        raise UserError(f"Missing {options}; give it, or a settings file (try: lrs2m train --help)")
    try:
        return TrainSettings(**keys)
    except ValidationError as error:
        raise invalid(where or "settings", error, KEYS) from error


def write_train_file(path: Path, settings: TrainSettings) -> None:
    """Write settings as a file of `lrs2m train FILE`, with what the configuration resolves to as a comment.

    Raises:
        UserError: the file exists, or the settings cannot be used.
    """
    resolved = dataclasses.asdict(settings.train_config())
    usual = dataclasses.asdict(TrainConfig())
    shown = ["start", "batch_size", "epochs", "max_steps", "lr", "long_weight", "precision"]
    shown += [name for name in resolved if name not in shown and resolved[name] != usual[name]]
    line = ", ".join(f"{name} {resolved[name]}" for name in shown)
    given = settings.model_dump(mode="json", exclude_unset=True, by_alias=True)
    write_settings(path, "train", [f"# {settings.config}: {line}", *dumped(given)])


def kept_run(run_dir: Path) -> tuple[TrainConfig, list[str], list[str]]:
    """Configuration, data and held-out data of an earlier run, from its config.json.

    Raises:
        UserError: there is no run, or its config.json cannot be used.
    """
    path = run_dir / "config.json"
    if not path.is_file():
        raise UserError(f"--resume {run_dir}: no training was begun there (no config.json); start one with --out")
    stored = read_json(path)
    config, data = stored.get("config"), stored.get("data")
    if not isinstance(config, dict) or not isinstance(data, list):
        raise UserError(f"{path}: not the settings of a training run; give DATA and --out")
    return changed(TrainConfig(), config), [str(name) for name in data], [str(n) for n in stored.get("eval_data", ())]
