"""The settings of a run: config.json, with all settings, the data, the held-out data and the initial model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lrs2m_builder import __version__
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json, write_json
from lrs2m_builder.terminal import say
from lrs2m_builder.train.config import SPEED_ONLY, TrainConfig
from lrs2m_builder.train.loss import world_size
from lrs2m_builder.train.mixture import Part


class RunSettings:
    """The settings of this run, held against those that its folder has."""

    def __init__(self, path: Path, config: TrainConfig, data: Sequence[Path | str], eval_data: Sequence[Path]) -> None:
        self.path = path
        self._settings: dict[str, Any] = {
            "config": _plain(config),
            "data": [str(path) for path in data],
            "eval_data": [str(path) for path in eval_data],
        }

    def check(self) -> int:
        """The pairs per process and step, after a check that an earlier run of the folder had the same settings.

        These are the setting's or, in a run that resumes with another number of processes, those that keep the pairs
        per step of all processes.

        Raises:
            UserError: it had other settings.
        """
        if not self.path.exists():
            return int(self._settings["config"]["batch_size"])
        stored = read_json(self.path)
        self._compare(stored)
        return self._batch_size(stored)

    def write(self, start_revision: str, parts: Sequence[Part]) -> None:
        """Write config.json: the settings, the versions, and what an epoch uses of each subset."""
        made_with = {"start_revision": start_revision, "version": __version__, "torch": torch.__version__}
        made_with |= {"processes": world_size()}
        write_json(self.path, self._settings | made_with | {"trained_on": [dataclasses.asdict(part) for part in parts]})

    def _compare(self, stored: dict[str, Any]) -> None:
        # An earlier version did not have the newest settings: it trained with their present defaults.
        config = stored.get("config")
        if not isinstance(config, dict):
            raise UserError(f"{self.path}: not the settings of a training run; give a new folder")
        earlier: dict[str, Any] = {"data": stored.get("data"), **_plain(TrainConfig()), **config}
        for key, value in {**self._settings["config"], "data": self._settings["data"]}.items():
            before = earlier[key]
            if key not in {*SPEED_ONLY, "batch_size"} and before != value:
                raise UserError(
                    f"{self.path.parent}: was trained with {key}={before}, now {key}={value}; give the same settings "
                    f"to resume, or a new folder"
                )

    def _batch_size(self, stored: dict[str, Any]) -> int:
        """The pairs per process with which a run goes on, so that its pairs per step stay.

        Raises:
            UserError: other pairs per step are asked for, or the processes cannot share those of the run.
        """
        now, before = int(self._settings["config"]["batch_size"]), int(stored["config"]["batch_size"])
        processes, earlier = world_size(), int(stored.get("processes", world_size()))
        total = before * earlier
        run = f"{self.path.parent}: was trained with {total} pairs per step ({earlier} x batch_size {before})"
        fitting = [number for number in range(1, total // 2 + 1) if total % number == 0]
        if processes not in fitting:
            below, above = max(n for n in fitting if n < processes), [n for n in fitting if n > processes][:1]
            raise UserError(
                f"{run}, which {processes} processes cannot share; use {' or '.join(map(str, [below, *above]))}"
            )
        if now != before and now * processes != total:
            raise UserError(
                f"{run}, now {now * processes} ({processes} x {now}); give batch_size={total // processes} to resume, "
                "or a new folder"
            )
        if processes != earlier and self._settings["config"]["pcm"] == "local":
            raise UserError(
                f"{run}, and pcm=local depends on the batch of each process; use {earlier} processes, or a new folder"
            )
        if processes != earlier:
            say(f"{run}; now {processes} x {total // processes}")
        return total // processes


def _plain(config: TrainConfig) -> dict[str, Any]:
    """The settings after a round trip through JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain
